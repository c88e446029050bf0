// The topic: the one durable, partitioned log between capture and delivery.
//
// A Topic opens three kinds of handle. TopicWriter is capture's, exclusive in the world (lease),
// and stores records and state in one transaction. TopicReader is shared by all sinks of the
// process. Subscription is one sink's: which partitions are its own, its committed offsets, its
// dead letters. Implementations: local/ (SQLite) and kafka/ (librdkafka);
// tests/support/memory_topic.h is a stub for tests without a server. All pass
// tests/conformance/topic_conformance.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/change.h"
#include "tailwater/result.h"
#include "tailwater/sink.h"
#include "tailwater/source.h"
#include "topic/append_batch.h"

namespace tailwater {

// Proof that a batch is durable.
struct AppendReceipt {
  Offsets ends;  // next offset per partition after this batch
};
// Called once per Append(), in order, on a thread of the topic's. Must not block.
using AppendDone = std::function<void(Result<AppendReceipt>)>;

// Threads: Append() and WaitForRoom() from any thread; order is that of the calls. Destroying it
// flushes what was accepted.
class TopicWriter {
 public:
  virtual ~TopicWriter() = default;
  virtual int32_t partitions() const = 0;
  virtual const std::string& log_id() const = 0;  // random, made with the log
  virtual Result<std::map<std::string, std::string>> LoadState() = 0;
  virtual Result<Offsets> Ends() = 0;
  // Largest record that the topic takes, key and value together.
  virtual size_t max_record_bytes() const = 0;

  // Queues a batch to be stored. Bounded: while queued_bytes() exceeds the capacity WaitForRoom()
  // answers false; Append() itself never blocks and always accepts. After a failure every queued
  // and every later batch fails with the same error until Recover() succeeds; nothing after the
  // failed batch is ever stored before that.
  virtual void Append(AppendBatch batch, AppendDone done) = 0;
  virtual bool WaitForRoom(std::chrono::milliseconds timeout) = 0;
  virtual size_t queued_bytes() const = 0;
  // Hurry: store what is queued without waiting for more to share the flush.
  virtual void Flush() = 0;
  // After a failure, when no batch is queued any more: checks that the topic takes writes again.
  // Callers start over from LoadState(). kNeedsOperator "topic_disk_full" and the like while it
  // does not.
  virtual Status Recover() = 0;

  // Requested once the lease is no longer ours: another process may write. Every batch fails with
  // kRetry "topic_lease_lost" from then on, Recover() too; destroy the writer and open another,
  // which stands by. A lease that ends only with the process is never lost.
  virtual std::stop_token lost() const { return {}; }
};

// Records as read, shared and immutable.
class ReadBatch {
 public:
  struct Record {
    int64_t offset = 0;
    int64_t timestamp_micros = 0;
    std::string_view key;
    std::string_view value;
  };
  int32_t partition = 0;
  int64_t next_offset = 0;  // read on from here; may be behind the last record (holes are normal)
  std::vector<Record> records;         // in offset order
  std::shared_ptr<const void> memory;  // owns what key and value point to
  size_t bytes = 0;

  // All records decoded, once per batch however many sinks ask; thread-safe. kFatal
  // "record_malformed", …
  Result<std::span<const Change>> Changes() const;
  // What the batch takes in memory: the bytes, and once it is decoded the changes as well.
  size_t memory_bytes() const;

  ReadBatch();
  ~ReadBatch();

 private:
  struct Decoded;
  std::unique_ptr<Decoded> decoded_;
};

struct PartitionRange {
  int64_t begin = 0;  // oldest offset that can still be read
  int64_t end = 0;    // next offset to be written
};

// Thread-safe; shared by all sinks of a process.
class TopicReader {
 public:
  virtual ~TopicReader() = default;
  virtual int32_t partitions() const = 0;
  virtual const std::string& log_id() const = 0;
  // Waits for records from `offset` on, at most `timeout`; a null batch if there are none. Returns
  // at most about max_bytes, but at least one record. kGap "topic_offset_out_of_range": the offset
  // was trimmed away, or lies behind the end.
  virtual Result<std::shared_ptr<const ReadBatch>> Read(int32_t partition, int64_t offset,
                                                        size_t max_bytes,
                                                        std::chrono::milliseconds timeout,
                                                        std::stop_token stop) = 0;
  // Waits until Read() has something to say of one of these partitions (records at or behind the
  // offset, a gap, an error), at most `timeout`. False: nothing came.
  virtual bool WaitForAny(const Offsets& offsets, std::chrono::milliseconds timeout,
                          std::stop_token stop) = 0;
  virtual Result<std::map<int32_t, PartitionRange>> Ranges() = 0;
  // The same for status and metrics: at most a second old, told within a second whatever the topic
  // does. Nothing: it does not tell.
  virtual std::optional<std::map<int32_t, PartitionRange>> KnownRanges() {
    auto ranges = Ranges();
    if (!ranges) return std::nullopt;
    return *std::move(ranges);
  }
  // First offset whose record's timestamp is at or after the time; the end if there is none.
  virtual Result<int64_t> OffsetAt(int32_t partition, int64_t time_micros) = 0;
};

// Where a record lies: the key of a stored dead letter.
struct RecordPlace {
  int32_t partition = 0;
  int64_t offset = 0;
  auto operator<=>(const RecordPlace&) const = default;
};

// A record that its sink cannot take, or not yet.
struct DeadLetter {
  enum class State : uint8_t {
    kDead,    // waits for a person: replay or drop
    kParked,  // waits for the target, or behind an older record of its key; tried again by itself
  };
  State state = State::kDead;
  // Later changes of the key wait behind it. Always for parked records; for dead ones where order
  // matters more than progress (event sinks).
  bool blocks_key = false;
  int32_t partition = 0;
  int64_t offset = 0;
  std::string id;  // tailwater.id
  std::string source;
  std::string table;
  int64_t version = 0;
  std::string key;    // record key
  std::string value;  // original wire bytes
  std::string code;
  std::string reason;
  uint32_t attempts = 1;
  int64_t first_seen_micros = 0;
};

std::string_view DeadLetterStateName(DeadLetter::State state);  // "dead", "parked"
std::optional<DeadLetter::State> DeadLetterStateNamed(std::string_view name);

// Which stored records are meant; every given part must match.
struct DeadLetterFilter {
  std::vector<std::string> ids;  // tailwater.id, at most some thousand; empty = any
  std::string source;            // empty = any
  std::string table;             // empty = any
  std::string code;              // empty = any
  std::optional<DeadLetter::State> state;
};

// A part of the stored records, in order of (partition, offset).
struct DeadLetterPage {
  std::vector<DeadLetter> letters;
  std::optional<RecordPlace> next;  // where the next page begins; absent at the end
  uint64_t matched = 0;             // over all pages
};

// One sink's place in the topic. Threads: the sink's own; `Describe…` calls of status go to files
// or brokers by themselves.
class Subscription {
 public:
  virtual ~Subscription() = default;

  // Partitions that this process owns now, with a number that grows at each change of the set.
  // Blocks at most `timeout`.
  struct Assignment {
    uint64_t generation = 0;
    std::vector<int32_t> partitions;
  };
  virtual Result<Assignment> Poll(std::chrono::milliseconds timeout) = 0;

  struct Stored {
    std::string log_id;    // empty: nothing was ever committed
    Offsets offsets;       // next offset per partition
    Offsets rewound_from;  // highest offset at the last rewind: records below it are replays
    bool paused = false;   // by a person, until a person resumes it
  };
  virtual Result<Stored> Load() = 0;
  // Offsets of the whole group, for sweep markers.
  virtual Result<Offsets> GroupOffsets() = 0;
  // Atomically, in this order: sweeps and base_missing entries cleared, records removed, records
  // added, offsets moved. kRetry "not_owner": the generation is over.
  struct Update {
    std::string log_id;
    Offsets offsets;
    Offsets rewound_from;         // only those that change
    std::optional<bool> paused;   // only if it changes
    // The offsets move back: dead and parked records at or behind them go, for they come again.
    bool rewind = false;
    std::vector<DeadLetter> add;  // replaces a stored one of the same place
    std::vector<RecordPlace> remove;
    // base_missing entries of these record keys, cleared by a whole row.
    std::vector<std::string> clear_base_missing;
    // Dead and parked records of (source, table) older than a version, dropped by a sweep.
    std::vector<SweepRequest> sweeps;
  };
  virtual Status Commit(uint64_t generation, const Update& update) = 0;

  struct DeadLetterCounts {
    std::map<std::string, uint64_t> by_code;  // dead and parked
    uint64_t dead = 0;                        // without base_missing
    uint64_t parked = 0;
    std::optional<int64_t> oldest_micros;  // of dead and parked
  };
  virtual Result<DeadLetterCounts> CountDeadLetters() = 0;

  // A key that later changes wait behind, with its oldest blocking record.
  struct BlockedKey {
    std::string key;
    RecordPlace head;
    DeadLetter::State state = DeadLetter::State::kParked;  // of the head
    uint64_t records = 0;
  };
  // Of the partitions that are ours, in order of their heads: those whose head lies behind `after`,
  // at most `limit`.
  virtual Result<std::vector<BlockedKey>> BlockedKeys(
      size_t limit, std::optional<RecordPlace> after = std::nullopt) = 0;
  // The oldest blocking records of one key, in order; at least one if there is any, then as many as
  // fit into both bounds.
  virtual Result<std::vector<DeadLetter>> LoadBlocked(const std::string& key, size_t max_records,
                                                      size_t max_bytes) = 0;
  // Makes what matches due again: dead becomes parked and blocks its key, in its place. Answers the
  // keys, those of matching parked records too. kRetry "not_owner" as Commit(), and so below.
  virtual Result<std::vector<std::string>> Requeue(uint64_t generation,
                                                   const DeadLetterFilter& filter) = 0;
  // Deletes what matches. Answers how many. Dead ones only, unless the filter names a state or ids.
  // In steps: after a failure a part may be gone. What waited behind a deleted record moves up.
  virtual Result<uint64_t> DropDeadLetters(uint64_t generation, const DeadLetterFilter& filter) = 0;
};

class Topic {
 public:
  virtual ~Topic() = default;
  virtual std::string Describe() const = 0;  // "local /var/lib/tailwater/shop"
  // For `tailwater check`: whether the topic can be made, or is as the configuration says. Creates
  // nothing. What cannot be reached is a finding, too.
  virtual std::vector<Finding> Check() { return {}; }
  // Takes the lease; waits for it until `stop`, calling `standby` once if it has to wait.
  // kCancelled if stopped first.
  virtual Result<std::unique_ptr<TopicWriter>> OpenWriter(
      std::stop_token stop, const std::function<void(std::string holder)>& standby) = 0;
  // Creates nothing. kRetry "topic_not_created" while capture has not made the log yet.
  virtual Result<std::shared_ptr<TopicReader>> OpenReader() = 0;
  // Before Subscribe(): one process at a time gets all partitions of this sink. A topic on one
  // machine never does otherwise.
  virtual void KeepTogether(const std::string& sink) { static_cast<void>(sink); }
  virtual Result<std::unique_ptr<Subscription>> Subscribe(
      const std::string& sink, std::stop_token stop,
      const std::function<void(std::string holder)>& standby) = 0;
  // Reads a sink's committed offsets and dead letters without owning it; for status.
  virtual Result<Subscription::Stored> PeekOffsets(const std::string& sink) = 0;
  virtual Result<Subscription::DeadLetterCounts> PeekDeadLetters(const std::string& sink) = 0;
  // The stored records themselves, from `from` on, at most `limit` and about max_bytes of keys and
  // values.
  virtual Result<DeadLetterPage> ListDeadLetters(const std::string& sink,
                                                 const DeadLetterFilter& filter,
                                                 std::optional<RecordPlace> from, size_t limit,
                                                 size_t max_bytes) = 0;
  // Names of all sinks that ever stored anything here; for orphans.
  virtual Result<std::vector<std::string>> KnownSinks() = 0;
  // Capture's state without owning it; for status. Empty if there is no log yet.
  virtual Result<std::map<std::string, std::string>> PeekState() = 0;
  // Bytes on disk, if the implementation knows.
  virtual std::optional<uint64_t> StoredBytes() = 0;
  // Deletes everything that belongs to this topic; for `tailwater destroy`.
  virtual Status Destroy() = 0;
};

}  // namespace tailwater
