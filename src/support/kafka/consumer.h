// A consumer of partitions that its owner chooses; no group. Reads committed records only, unless
// told otherwise.
//
// Threads: one at a time, but for Watermarks() and OffsetsForTime(), which any thread may call.
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
  bool read_committed = true;
  size_t queue_bytes = 4 << 20;               // fetched ahead, over all partitions
  size_t fetch_bytes = 1 << 20;               // of one partition at once
  std::chrono::milliseconds fetch_wait{500};  // how long a broker holds a fetch that finds nothing
};

// A record as read. Views point into librdkafka's buffer, which `memory` keeps alive.
struct IncomingRecord {
  int32_t partition = 0;
  int64_t offset = 0;
  int64_t timestamp_millis = 0;
  std::string_view key;    // data() null: no key
  std::string_view value;  // data() null: a tombstone
  size_t bytes = 0;        // as librdkafka accounts for it
  std::shared_ptr<const void> memory;
};

// What Poll() came back with, beside records.
struct PartitionEvent {
  enum class Kind : uint8_t {
    kRecord,
    kEnd,    // everything that can be read now, up to and without `record.offset`, was handed out;
             // aborted records and transaction markers in front of it are passed
    kError,  // this partition does not go on: `error` (kGap "kafka_offset_out_of_range", …)
  };
  Kind kind = Kind::kRecord;
  IncomingRecord record;  // kEnd, kError: partition and offset only
  std::optional<Error> error;
};

struct Watermarks {
  int64_t low = 0;   // first offset that is still there
  int64_t high = 0;  // next offset of the log, open transactions included
};

class Consumer {
 public:
  static Result<std::unique_ptr<Consumer>> Create(ConsumerOptions options);
  ~Consumer();
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  // Reads these partitions from these offsets on; those not named are no longer read.
  Status Assign(const std::string& topic, const std::map<int32_t, int64_t>& offsets);
  // One partition more, or from another offset.
  Status Start(const std::string& topic, int32_t partition, int64_t offset);
  Status Stop(const std::string& topic, int32_t partition);
  // Fetches nothing more of it, or goes on; what was fetched still comes.
  Status Pause(const std::string& topic, int32_t partition, bool paused);
  // Nothing if `timeout` passed.
  Result<std::optional<PartitionEvent>> Poll(std::chrono::milliseconds timeout);

  Result<Watermarks> QueryWatermarks(const std::string& topic, int32_t partition,
                                     std::chrono::milliseconds timeout);
  // First offset whose timestamp is at or after the time; the end if there is none.
  Result<int64_t> OffsetAt(const std::string& topic, int32_t partition, int64_t time_millis,
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

}  // namespace tailwater::kafka
