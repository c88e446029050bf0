// Capture's lease: the one partition of <topic>.state, assigned to a member of <topic>.capture.
//
// Threads: one of its own keeps it; the rest from any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "support/kafka/group_member.h"
#include "tailwater/result.h"
#include "topic/kafka/settings.h"

namespace tailwater {

class CaptureLease {
 public:
  // Set when a process of our own instance name took the lease: the next Wait() lets that one go
  // first, instead of taking it back, and clears it. Shared by the leases of a topic.
  using Contested = std::shared_ptr<std::atomic<bool>>;

  // Waits until the lease is ours; calls `standby` once if somebody else has it. kCancelled if
  // stopped.
  static Result<std::unique_ptr<CaptureLease>> Wait(
      const KafkaSettings& settings, const std::stop_token& stop,
      const std::function<void(std::string holder)>& standby, Contested contested);
  ~CaptureLease();
  CaptureLease(const CaptureLease&) = delete;
  CaptureLease& operator=(const CaptureLease&) = delete;

  // Asks the group's coordinator. kRetry "topic_lease_lost", "kafka_fenced", "kafka_not_ready".
  Status Confirm();
  // Requested once it is not ours any more, for whatever reason.
  std::stop_token lost() const { return lost_.get_token(); }
  // Somebody else was seen to write.
  void Lose() { lost_.request_stop(); }

 private:
  CaptureLease(const KafkaSettings& settings, std::unique_ptr<kafka::GroupMember> member,
               Contested contested);
  void Keep(const std::stop_token& stop);

  const KafkaSettings settings_;
  std::mutex mutex_;  // of the member
  std::unique_ptr<kafka::GroupMember> member_;
  std::stop_source lost_;
  const Contested contested_;
  std::mutex wait_mutex_;
  std::condition_variable_any wait_;
  std::jthread thread_;
};

// kRetry "topic_lease_lost".
Error LeaseLost(const KafkaSettings& settings);

}  // namespace tailwater
