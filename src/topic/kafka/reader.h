// The reading end of the kafka topic: one fetch and one decode for all sinks of the process that
// are close to each other.
//
// Lanes (fetch_lane.h) are clients, each with its own place per partition. A sink goes on in the
// lane that holds its offset, the foremost one first; where none does, because it lags or was
// rewound, a lane of its own reads for it and slows no other, until it reaches what another one
// holds. Partitions that nobody asked for in some seconds are no longer fetched, and a lane without
// any ends. Of each lane some 4 MiB are held, and some more fetched ahead.
//
// Read() hands over what has been fetched. With no time to wait it may answer null although the
// broker has more: WaitForAny() tells when that came.
//
// Ranges(): `end` is the last stable offset, in front of the first open transaction: what a
// committed reader reaches. Read() gets there, over transaction markers and aborted records, with
// batches that may have no record; so a sink that has read all has offset == end, and offsets in
// between that hold no record count as lag until they are passed.
//
// Threads: any; librdkafka's own threads fetch. No call waits for another sink's fetch.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "topic/kafka/bell.h"
#include "topic/kafka/fetch_lane.h"
#include "topic/kafka/settings.h"
#include "topic/topic.h"
#include "util/known_answer.h"
#include "util/mutex.h"

namespace tailwater {

class KafkaReader final : public TopicReader {
 public:
  // kRetry "topic_not_created" while there is no head in <topic>.state.
  static Result<std::shared_ptr<KafkaReader>> Open(const KafkaSettings& settings);

  int32_t partitions() const override { return partitions_; }
  const std::string& log_id() const override { return log_id_; }
  // kGap "topic_log_replaced": the topic was made anew; seen when a partition cannot be read on or
  // ends earlier than before. The reader is over then: see replaced().
  Result<std::shared_ptr<const ReadBatch>> Read(int32_t partition, int64_t offset, size_t max_bytes,
                                                std::chrono::milliseconds timeout,
                                                std::stop_token stop) override;
  bool WaitForAny(const Offsets& offsets, std::chrono::milliseconds timeout,
                  std::stop_token stop) override;
  Result<std::map<int32_t, PartitionRange>> Ranges() override;
  std::optional<std::map<int32_t, PartitionRange>> KnownRanges() override {
    return known_ranges_.Get();
  }
  Result<int64_t> OffsetAt(int32_t partition, int64_t time_micros) override;

  // Open another one.
  bool replaced() const { return replaced_; }
  size_t lanes() const TW_EXCLUDES(mutex_);

 private:
  using SteadyClock = std::chrono::steady_clock;
  using Lanes = std::vector<std::unique_ptr<FetchLane>>;

  KafkaReader(KafkaSettings settings, std::string log_id, int32_t partitions,
              std::unique_ptr<kafka::Consumer> asker);
  // One more lane, for who found none; made without the lock.
  Status AddLane() TW_EXCLUDES(mutex_);
  Result<std::shared_ptr<const ReadBatch>> ReadNow(int32_t partition, int64_t offset,
                                                   size_t max_bytes) TW_EXCLUDES(mutex_);
  Result<bool> LookForAny(const Offsets& offsets) TW_EXCLUDES(mutex_);
  // Null: none can take it.
  Result<FetchLane*> LaneAt(int32_t partition, int64_t offset, SteadyClock::time_point now)
      TW_REQUIRES(mutex_);
  // Lanes that nobody needs any more, to be destroyed without the lock.
  Lanes TakeIdleLanes(SteadyClock::time_point now) TW_REQUIRES(mutex_);
  // What a partition's failure means: perhaps this is another log.
  Error Named(Error error, int32_t partition, int64_t offset);
  Status CheckLog();

  const KafkaSettings settings_;
  const std::string log_id_;
  const int32_t partitions_;
  std::vector<int32_t> all_;  // partitions
  std::atomic<bool> replaced_ = false;

  Bell bell_;  // outlives the lanes that ring it
  // Of its own: a broker answers a question behind the fetch that waits on the same connection.
  const std::unique_ptr<kafka::Consumer> asker_;

  mutable Mutex mutex_;
  Lanes lanes_ TW_GUARDED_BY(mutex_);
  SteadyClock::time_point last_look_ TW_GUARDED_BY(mutex_){};
  std::map<int32_t, int64_t> seen_ends_ TW_GUARDED_BY(mutex_);
  // Last: its thread uses the rest.
  KnownAnswer<std::map<int32_t, PartitionRange>> known_ranges_;
};

// The head in <topic>.state. kRetry "topic_not_created".
struct TopicHead;
Result<TopicHead> FindTopicHead(const KafkaSettings& settings);

}  // namespace tailwater
