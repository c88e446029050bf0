// What is known of the topic's partitions without waiting for the cluster: for status and metrics,
// which have to answer while it is away.
//
// Threads: one of its own asks; Get() from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <thread>

#include "topic/topic.h"
#include "util/mutex.h"

namespace tailwater {

class KnownRanges {
 public:
  using Ranges = std::map<int32_t, PartitionRange>;
  explicit KnownRanges(std::function<Result<Ranges>()> ask);
  ~KnownRanges();

  // At most a second old; waits for a newer answer a moment. Nothing: the cluster does not tell.
  std::optional<Ranges> Get() TW_EXCLUDES(mutex_);

 private:
  void Run(const std::stop_token& stop) TW_EXCLUDES(mutex_);

  const std::function<Result<Ranges>()> ask_;
  Mutex mutex_;
  CondVar changed_;
  bool wanted_ TW_GUARDED_BY(mutex_) = false;
  std::optional<Ranges> known_ TW_GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point known_at_ TW_GUARDED_BY(mutex_){};
  std::jthread thread_;
};

}  // namespace tailwater
