// What a Producer is made of. Included by producer*.cc alone.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "support/kafka/client_handle.h"
#include "support/kafka/producer.h"

namespace tailwater::kafka {

class Producer::Impl {
 public:
  explicit Impl(ProducerOptions options) : options_(std::move(options)) {}
  ~Impl();

  Status Start();
  Status Init(const std::stop_token& stop, std::chrono::milliseconds timeout);
  Status Prepare(const std::string& topic, std::chrono::milliseconds timeout);
  Status Begin();
  Status Send(const std::string& topic, const OutgoingRecord& record);
  Status Flush();
  Status SendOffsets(const rd_kafka_topic_partition_list_t* offsets,
                     const rd_kafka_consumer_group_metadata_t* group);
  Status Commit();
  Status Abort(std::chrono::milliseconds timeout);

  const ProducerOptions& options() const { return options_; }
  const std::map<int32_t, int64_t>& delivered(const std::string& topic) const;
  size_t queued_bytes() const { return queued_bytes_; }

 private:
  void HandleDelivered(rd_kafka_event_t* event);
  rd_kafka_topic_t* TopicHandle(const std::string& topic);
  Status WaitForRoom(size_t bytes);
  // The first record of this transaction that was not stored.
  std::optional<Error> FailedRecord() const;
  // Takes `error`, of a call inside of a transaction.
  Error Refused(rd_kafka_error_t* error, std::string_view doing) const;

  const ProducerOptions options_;
  std::map<std::string, rd_kafka_topic_t*> topics_;
  bool open_ = false;  // a transaction

  mutable std::mutex mutex_;  // guards the next two
  std::optional<Error> failed_;
  std::map<std::string, std::map<int32_t, int64_t>, std::less<>> delivered_;
  std::condition_variable room_;
  std::atomic<size_t> queued_bytes_ = 0;
  std::atomic<size_t> queued_records_ = 0;

  std::unique_ptr<ClientHandle> handle_;  // last: its threads use the members above
};

}  // namespace tailwater::kafka
