// One normalized change of one source, and the batch that owns the memory of many.
//
// A Change is a view. On the capture side it points into the source's receive buffer and lives for
// one call of ChangeWriter::Append(); on the delivery side it points into a ChangeBatch, which
// keeps the topic's bytes and an arena alive. Identity, ordinal, part and version: see "The change"
// in src/README.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tailwater/schema.h"
#include "tailwater/value.h"

namespace tailwater {

// The numbers are part of the wire format (change.proto): never renumber.
enum class Operation : uint8_t {
  kInsert = 1,
  kUpdate = 2,
  kDelete = 3,
  kTruncate = 4,  // control record; mirrors apply it as Sweep(version < this version)
  kRead = 5,      // a snapshot row
  kSchema = 6,    // control record: `schema` holds for this table from here on
  kMessage = 7,   // a logical message: message_prefix and message_content
  kFrontier = 8,  // control record: everything of this source up to `position` came before
  kSweep = 9,     // control record: a re-snapshot ended; rows of the table older than `sweep_below`
                  // are gone
};

// "insert", "update", …: the `tailwater.op` header, the metric label, and `op` in expressions.
std::string_view OperationName(Operation operation);

// Control records are copied to every partition with the same identity.
constexpr bool IsControl(Operation operation) {
  return operation == Operation::kTruncate || operation == Operation::kSchema ||
         operation == Operation::kFrontier || operation == Operation::kSweep;
}

enum class SnapshotMark : uint8_t { kStreaming = 0, kSnapshot = 1, kLastOfTable = 2 };

using Row = std::span<const Value>;  // as long as the schema's columns, in their order; empty if
                                     // there is no such image

// Where a partition stood when a sweep marker was produced; see Change::fence.
struct PartitionOffset {
  int32_t partition = 0;
  int64_t offset = 0;
  bool operator==(const PartitionOffset&) const = default;
};

struct Change {
  Operation operation = Operation::kInsert;
  SnapshotMark snapshot = SnapshotMark::kStreaming;
  std::string_view source;
  std::string_view table;  // TableName::ToString(); empty for kFrontier and kMessage
  const TableSchema* schema =
      nullptr;  // null for kFrontier and kMessage; kept alive by the source or the batch

  // Identity: "source:epoch:position:ordinal:part". What is no event of a log transaction has
  // position "v<version>", 0, 0.
  uint32_t epoch = 0;
  std::string_view position;  // names the transaction, as the database prints it; kFrontier:
                              // "v<version>", see `frontier`
  uint64_t ordinal = 0;  // of the server's events in the transaction, from 0, before any filter
  uint32_t part = 0;     // of the records made of one event
  int64_t version =
      0;  // assigned by the engine in publication order per source; sinks guard with >=

  int64_t source_time_micros = 0;   // commit time since 1970-01-01 UTC; 0 = unknown
  std::string_view transaction_id;  // the server's own (Postgres xid); may be empty
  std::string_view addressee;       // name of the only sink meant; empty = all
  std::string_view traceparent;     // W3C trace context, if the source gave one

  Row before;  // whole under REPLICA IDENTITY FULL; key columns only (rest omitted) for other
               // deletes; else empty
  Row after;   // inserts, updates, snapshot rows

  std::string_view message_prefix;   // kMessage
  std::string_view message_content;  // kMessage; bytes

  // kFrontier: the frontier as the source prints it, and the log that the record lies in.
  std::string_view frontier;
  std::string_view log_id;

  // kSweep: rows with a smaller version were there before the snapshot began, and it did not meet
  // them. kTruncate: its own version.
  int64_t sweep_below = 0;

  // Sweep markers, in the copy for partition 0 only: where the copies for the other partitions lie.
  // The sweep runs once the sink's offsets have passed all of them.
  std::span<const PartitionOffset> fence;

  // The row that the record key is taken from: `after`, or `before` where there is no `after`.
  Row key_row() const { return after.empty() ? before : after; }
};

// Appends "source:epoch:position:ordinal:part": the `tailwater.id` header, ASCII, unique in the
// topic.
void AppendId(const Change& change, std::string& out);
std::string Id(const Change& change);

// Bump allocator: allocations live until Clear(), which keeps the memory for the next round. Not
// thread-safe.
class Arena {
 public:
  Arena() = default;
  Arena(Arena&& other) noexcept { Swap(other); }
  Arena& operator=(Arena&& other) noexcept {
    if (this != &other) Arena(std::move(other)).Swap(*this);
    return *this;
  }

  char* Allocate(size_t bytes, size_t alignment = alignof(std::max_align_t)) {
    size_t start = (used_ + alignment - 1) & ~(alignment - 1);
    if (start + bytes > current_size_) return AllocateSlow(bytes);
    used_ = start + bytes;
    return current_ + start;
  }
  std::string_view Copy(std::string_view bytes) {
    char* data = Allocate(bytes.size(), 1);
    if (!bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
    return {data, bytes.size()};
  }
  void Clear();  // blocks beyond the first few are given back
  size_t capacity_bytes() const { return capacity_; }

 private:
  char* AllocateSlow(size_t bytes);
  void Swap(Arena& other) noexcept {
    std::swap(blocks_, other.blocks_);
    std::swap(next_block_, other.next_block_);
    std::swap(current_, other.current_);
    std::swap(current_size_, other.current_size_);
    std::swap(used_, other.used_);
    std::swap(capacity_, other.capacity_);
  }
  struct Block {
    std::unique_ptr<char[]> data;
    size_t size;
  };
  std::vector<Block> blocks_;
  size_t next_block_ = 0;
  char* current_ = nullptr;
  size_t current_size_ = 0;
  size_t used_ = 0;
  size_t capacity_ = 0;
};

// Changes and everything that they point to. A source builds one change at a time in a batch of its
// own; the delivery half decodes a whole topic batch into one. Addresses of changes are stable only
// once the batch is complete.
class ChangeBatch {
 public:
  ChangeBatch() = default;
  ChangeBatch(ChangeBatch&&) = default;
  ChangeBatch& operator=(ChangeBatch&&) = default;

  Change& Append() { return changes_.emplace_back(); }
  // `columns` values, all omitted, in the arena.
  std::span<Value> NewRow(size_t columns) {
    auto* values =
        reinterpret_cast<Value*>(arena_.Allocate(columns * sizeof(Value), alignof(Value)));
    for (size_t i = 0; i < columns; ++i) new (values + i) Value();
    return {values, columns};
  }
  const Interval* NewInterval(Interval interval) {
    return new (arena_.Allocate(sizeof(Interval), alignof(Interval))) Interval(interval);
  }
  Arena& arena() { return arena_; }

  // Keeps `owner` (a schema, or whatever owns the bytes that changes point into) alive as long as
  // the batch. Cheap to call again with the same one.
  void Keep(const std::shared_ptr<const void>& owner) {
    const size_t newest = owners_.size();
    for (size_t i = newest; i > 0 && newest - i < 32; --i) {
      if (owners_[i - 1] == owner) return;
    }
    owners_.push_back(owner);
  }

  std::span<const Change> changes() const { return changes_; }
  // Of the changes and the arena; not of what Keep() holds.
  size_t memory_bytes() const {
    return changes_.capacity() * sizeof(Change) + arena_.capacity_bytes();
  }
  void Clear() {
    changes_.clear();
    owners_.clear();
    arena_.Clear();
  }

 private:
  Arena arena_;
  std::vector<Change> changes_;
  std::vector<std::shared_ptr<const void>> owners_;
};

}  // namespace tailwater
