// A transactional producer: what it was given becomes visible whole, or not at all.
//
// Always idempotent, acks=all, no automatic topics. One transaction at a time. Threads: one at a
// time; delivery reports come on a thread of librdkafka's own.
//
// After an error between Begin() and Commit() call Abort() and do the work again. Of a failed
// Commit(), "kafka_commit_undecided" and "kafka_fenced" say nothing about what is stored; with
// every other error nothing of the transaction is. Drop the producer after "kafka_fenced",
// "kafka_client_failed", "kafka_commit_undecided" and after a failed Abort(), and read back what is
// stored.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "support/kafka/client.h"

namespace tailwater::kafka {

class GroupMember;
struct CommittedOffset;

struct ProducerOptions {
  ClientOptions client;
  std::string transactional_id;
  std::string compression = "lz4";  // librdkafka's names
  // A transaction that nobody ends is aborted by the broker after so long; committed readers wait.
  std::chrono::milliseconds transaction_timeout{10'000};
  std::chrono::milliseconds linger{2};
  size_t queue_bytes = 32 << 20;      // handed over and not yet delivered; Send() waits beyond it
  size_t max_record_bytes = 1 << 20;  // key and value; the topic's max.message.bytes has to take
                                      // the headers as well
};

struct OutgoingRecord {
  int32_t partition = 0;
  int64_t timestamp_millis = 0;  // 0: now
  std::string_view key;          // data() null: no key
  std::string_view value;        // data() null: a tombstone
  std::span<const Header> headers;
};

class Producer {
 public:
  // Connects in the background; nothing is fenced yet. kNeedsOperator "kafka_settings_invalid".
  static Result<std::unique_ptr<Producer>> Create(ProducerOptions options);
  // Drops what is not committed: an open transaction is aborted, if the cluster answers at once.
  ~Producer();
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  // Fences every earlier producer of the same transactional id and ends what it left open; waits
  // for the cluster until `stop` (kCancelled) or the timeout.
  Status Init(std::stop_token stop, std::chrono::milliseconds timeout);
  // Learns the topic's leaders now instead of in the first transaction, which would wait a second
  // for them. kNeedsOperator "kafka_topic_missing".
  Status Prepare(const std::string& topic, std::chrono::milliseconds timeout);

  Status Begin();
  // Keys and headers are copied, values are not: they stay where they are until Flush(), Commit()
  // or Abort() has returned kOk, or the producer is gone. Waits while the queue is full. An error
  // of an earlier record may come here. kReject "kafka_record_too_large".
  Status Send(const std::string& topic, const OutgoingRecord& record);
  // Until everything sent is stored; the transaction stays open.
  Status Flush();
  // The group's offsets become part of the transaction; fenced by the member's generation.
  Status SendOffsets(const GroupMember& member, const std::map<int32_t, CommittedOffset>& offsets);
  Status Commit();
  // kOk also where nothing was open.
  Status Abort();

  // Offset of the last record of this transaction that was stored, per partition of a topic. Valid
  // after Flush() and Commit(), until Begin().
  const std::map<int32_t, int64_t>& delivered(const std::string& topic) const;
  size_t queued_bytes() const;

 private:
  class Impl;
  explicit Producer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailwater::kafka
