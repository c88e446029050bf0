// Capture's handle of the Kafka topic: a queue, and the one thread that sends.
//
// Each round takes what is queued and commits records and state in one transaction; what comes
// meanwhile is the next group. The producer belongs to one holder of the lease: it is made behind
// the lease, and dropped with the first failure.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "support/kafka/producer.h"
#include "topic/kafka/lease.h"
#include "topic/kafka/record_headers.h"
#include "topic/kafka/settings.h"
#include "topic/kafka/topic_setup.h"
#include "topic/topic.h"
#include "util/mutex.h"

namespace tailwater {

class KafkaWriter final : public TopicWriter {
 public:
  // Makes or checks the topics, waits for the lease, fences whoever held it before, reads the state
  // to its end, writes the head of a new log. Errors: those of SetUpTopics() and of the head, and
  // kGap "topic_state_lost".
  static Result<std::unique_ptr<KafkaWriter>> Open(
      const KafkaSettings& settings, const std::stop_token& stop,
      const std::function<void(std::string holder)>& standby, CaptureLease::Contested contested);
  ~KafkaWriter() override;

  int32_t partitions() const override { return layout_.partitions; }
  const std::string& log_id() const override { return log_id_; }
  Result<std::map<std::string, std::string>> LoadState() override;
  Result<Offsets> Ends() override;
  size_t max_record_bytes() const override { return layout_.max_record_bytes; }
  void Append(AppendBatch batch, AppendDone done) override;
  bool WaitForRoom(std::chrono::milliseconds timeout) override;
  size_t queued_bytes() const override;
  void Flush() override {}  // nothing waits for more to share its transaction
  Status Recover() override;
  std::stop_token lost() const override { return lease_->lost(); }

 private:
  struct Item {
    AppendBatch batch;
    AppendDone done;
    size_t bytes = 0;
    bool too_large = false;  // holds a record that the topic does not take
  };

  KafkaWriter(const KafkaSettings& settings, TopicLayout layout,
              std::unique_ptr<CaptureLease> lease);

  void Run(const std::stop_token& stop);
  std::vector<Item> TakeGroup(const std::stop_token& stop);
  void Finish(std::vector<Item> group, const Status& status, const Offsets& ends);
  // What later batches are told, too, until Recover().
  Status StoreGroup(const std::vector<Item>& group, Offsets& ends);
  Error Failed(Error error) TW_REQUIRES(producer_mutex_);

  // Makes the producer, fences, and reads what is stored; writes the head if there is none.
  Status TakeOver(const std::stop_token& stop) TW_REQUIRES(producer_mutex_);
  Status WriteHead() TW_REQUIRES(producer_mutex_);
  Status CheckHead(std::map<std::string, std::string> stored) TW_REQUIRES(producer_mutex_);
  Status SendGroup(const std::vector<Item>& group) TW_REQUIRES(producer_mutex_);
  Status SendRecord(const AppendBatch& batch, const AppendBatch::Record& record)
      TW_REQUIRES(producer_mutex_);
  Status SendFence(const AppendBatch& batch, size_t index) TW_REQUIRES(producer_mutex_);
  Status SendState(const std::map<std::string_view, std::string_view>& state)
      TW_REQUIRES(producer_mutex_);

  const KafkaSettings settings_;
  const TopicLayout layout_;
  const std::unique_ptr<CaptureLease> lease_;
  std::string log_id_;  // set once, by Open()

  mutable Mutex queue_mutex_;
  CondVar changed_;
  std::deque<Item> queue_ TW_GUARDED_BY(queue_mutex_);
  size_t queued_bytes_ TW_GUARDED_BY(queue_mutex_) = 0;  // with the group that is being stored
  std::optional<Error> failed_ TW_GUARDED_BY(queue_mutex_);

  Mutex producer_mutex_;  // taken before queue_mutex_, where both are
  // What the open transaction sends that lies in no batch; goes after the producer.
  std::deque<std::string> fences_ TW_GUARDED_BY(producer_mutex_);
  std::unique_ptr<kafka::Producer> producer_ TW_GUARDED_BY(producer_mutex_);  // null: failed
  std::map<std::string, std::string> state_ TW_GUARDED_BY(producer_mutex_);   // committed
  Offsets ends_ TW_GUARDED_BY(producer_mutex_);  // behind the last committed records
  RecordHeaderList headers_ TW_GUARDED_BY(producer_mutex_);

  std::jthread thread_;
};

}  // namespace tailwater
