// A consumer of partitions of one topic that its owner chooses; no group. Reads committed records
// only, unless told otherwise.
//
// librdkafka fetches ahead on threads of its own, within bounds; Take() hands over what is there
// and never waits; `on_ready` tells that there is more. Threads: Start(), Stop(), Take() and the
// destructor one at a time; the others from any.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "support/kafka/client.h"

namespace tailwater::kafka {

struct ConsumerOptions {
  ClientOptions client;
  std::string topic;
  bool read_committed = true;
  bool headers = false;          // parse them
  size_t queue_bytes = 1 << 20;  // fetched ahead of each partition
  // Of one partition at once; a larger record comes all the same.
  size_t fetch_bytes = 512 << 10;
  // How long a broker holds a fetch that finds nothing: the end of a partition is told so late.
  std::chrono::milliseconds fetch_wait{500};
  // Something may have come: on a thread of librdkafka's, under a lock of its own. Must return at
  // once, and must not wait for anybody who is in a call of this consumer.
  std::function<void()> on_ready;
};

// A record as read. Views point into what `Taken::memory` owns.
struct IncomingRecord {
  int64_t offset = 0;
  int64_t timestamp_millis = 0;
  std::string_view key;         // data() null: no key
  std::string_view value;       // data() null: a tombstone
  std::vector<Header> headers;  // only if ConsumerOptions::headers
};

// A part of a partition.
struct Taken {
  std::vector<IncomingRecord> records;
  std::shared_ptr<const void> memory;
  size_t bytes = 0;  // of keys and values
  // Read on from here: behind the records and whatever was passed without one (transaction
  // markers, aborted records, what compaction removed).
  int64_t next_offset = 0;
  // Behind the records: the partition does not go on until it is started again (kGap
  // "kafka_offset_out_of_range", …).
  std::optional<Error> error;
};

struct Watermarks {
  int64_t low = 0;  // first offset that is still there
  // What a reader reaches: the last stable offset of a committed reader, in front of the first open
  // transaction; the next offset of the log for others.
  int64_t high = 0;
};

class Consumer {
 public:
  static Result<std::unique_ptr<Consumer>> Create(ConsumerOptions options);
  ~Consumer();
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  // How many the topic has. Learns their leaders as well: without it, the first fetch waits a
  // second for them. kNeedsOperator "kafka_topic_missing".
  Result<int32_t> Partitions(std::chrono::milliseconds timeout);

  // Reads this partition, too, or again from another offset.
  Status Start(int32_t partition, int64_t offset);
  void Stop(int32_t partition);
  // What was fetched of a partition that was started: as much as fits, but at least one record if
  // there is any.
  Taken Take(int32_t partition, size_t max_bytes);
  // Why nothing comes, if the brokers said within the last minute what does not heal alone.
  std::optional<Error> Trouble() const;

  Result<std::map<int32_t, Watermarks>> QueryWatermarks(const std::vector<int32_t>& partitions,
                                                        std::chrono::milliseconds timeout);
  // First offset whose timestamp is at or after the time; nothing if there is none.
  Result<std::optional<int64_t>> OffsetAt(int32_t partition, int64_t time_millis,
                                          std::chrono::milliseconds timeout);

 private:
  class Impl;
  explicit Consumer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Reads a compacted partition from its beginning to the high watermark as a read_uncommitted query
// gives it when the call begins, committed records only, and hands each to `visit` in order. Waits
// for transactions that are open at that moment to end. kCancelled if stopped; kRetry
// "kafka_timeout".
Status ReadToEnd(const ClientOptions& client, const std::string& topic, int32_t partition,
                 std::stop_token stop, std::chrono::milliseconds timeout,
                 const std::function<Status(const IncomingRecord&)>& visit);
// The same to the last stable offset and not one record further: waits for no transaction, and what
// one transaction wrote is handed over whole or not at all.
Status ReadStable(const ClientOptions& client, const std::string& topic, int32_t partition,
                  std::stop_token stop, std::chrono::milliseconds timeout,
                  const std::function<Status(const IncomingRecord&)>& visit);

}  // namespace tailwater::kafka
