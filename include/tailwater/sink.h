// The contracts of a sink connector.
//
// A sink gets batches of changes of its tables, in partition order, and answers with one verdict
// per change. It cannot move an offset; the engine's runner commits the contiguous prefix of final
// verdicts per partition. Delivery is at least once: a sink states the mechanism that makes a
// repeated or late change harmless (Change::version, compared with >=). Threads: every call comes
// from the sink's one thread. Exceptions end the sink, never the process.
//
// Three shapes: a plain sink writes a batch and answers; a TransactionalSink keeps the offsets
// itself; a ConcurrentSink has many changes in flight and answers for each when it is done.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/change.h"
#include "tailwater/result.h"

namespace tailwater {

struct Verdict {
  enum class Kind : uint8_t {
    kNone,        // never a legal answer: the sink forgot this change
    kApplied,     // durable in the target (for a transactional sink: once Commit() succeeds)
    kSuperseded,  // the target holds something newer, or the same
    kRejected,    // can never succeed: becomes a dead letter
    kRetry,       // not now: this change and, for its key, all that follow come again
  };
  Kind kind = Kind::kNone;
  std::string_view code;  // kRejected, kRetry: static, snake_case: metric label and runbook heading
  std::string reason;     // kRejected, kRetry: for people, without row values
  std::chrono::milliseconds after{0};  // kRetry: not before; 0 = the runner's backoff
  // kRetry: the target takes nothing at the moment (it is down, throttles, refuses our
  // credentials). That says nothing about this change: it counts as no attempt, and nothing is
  // parked for it.
  bool whole_target = false;
  // kRetry with whole_target or table_stopped: it will not heal alone; the reason says what to do.
  bool needs_operator = false;
  // kRetry: the target takes nothing of this table until a person acts (a breaking schema change).
  // Its records are parked at once, in order, and tried again; other tables go on.
  bool table_stopped = false;

  static Verdict Applied() { return {Kind::kApplied, {}, {}, {}}; }
  static Verdict Superseded() { return {Kind::kSuperseded, {}, {}, {}}; }
  static Verdict Rejected(std::string_view code, std::string reason) {
    return {Kind::kRejected, code, std::move(reason), {}};
  }
  static Verdict Retry(std::string_view code, std::string reason,
                       std::chrono::milliseconds after = {}) {
    return {Kind::kRetry, code, std::move(reason), after};
  }
  static Verdict Unavailable(std::string_view code, std::string reason,
                             std::chrono::milliseconds after, bool needs_operator = false) {
    return {Kind::kRetry, code, std::move(reason), after, true, needs_operator};
  }
  static Verdict TableStopped(std::string_view code, std::string reason) {
    return {Kind::kRetry, code, std::move(reason), {}, false, true, true};
  }
  bool final() const {
    return kind == Kind::kApplied || kind == Kind::kSuperseded || kind == Kind::kRejected;
  }
};

// A partial row whose base the sink does not hold: kept as one entry per key, never counts against
// the threshold, and is cleared by that key's next whole row.
inline constexpr std::string_view kBaseMissing = "base_missing";

// One change as a sink gets it.
struct Delivery {
  const Change* change = nullptr;
  std::string_view key;    // record key: canonical bytes of (source, table, key columns)
  std::string_view value;  // the record's wire bytes
  int32_t partition = 0;
  int64_t offset = 0;
  bool replay = false;  // below the sink's highest offset at its last rewind
};

// Valid during Write() and, for a transactional sink, until Commit() or Rollback().
struct DeliveryBatch {
  std::span<const Delivery> deliveries;  // in offset order within each partition
};

// What a sink does when a table of its source changes its columns.
enum class SchemaChanges : uint8_t {
  kApply,   // additive ones are made in the target too; a breaking one stops that table
  kIgnore,  // the target stays as it is: columns that it lacks are left out
  kHalt,    // any change stops that table until a person has made it in the target
};

// Next offset to read, per partition.
using Offsets = std::map<int32_t, int64_t>;

// Remove the rows of one table that are older than a version: TRUNCATE, or the end of a
// re-snapshot. Idempotent.
struct SweepRequest {
  std::string_view source;
  std::string_view table;
  int64_t version = 0;  // rows with a strictly smaller version go
  bool truncate = false;
};

class TransactionalSink;
class ConcurrentSink;

class Sink {
 public:
  virtual ~Sink() = default;

  // Connects and prepares; called again, with backoff, until it succeeds. kNeedsOperator and kRetry
  // are probed again.
  virtual Status Open() = 0;

  // Applies the batch and answers with one verdict per delivery, in order. An error instead of
  // verdicts concerns the target as a whole: nothing of the batch counts as applied, the whole
  // batch comes again after a backoff. Schema and frontier records come too, for sinks that care;
  // others answer kApplied. A kTruncate record comes through Sweep() unless
  // wants_truncate_events(). After a kRetry nothing further of that key may be applied in this
  // batch: answer kRetry for it too, the runner brings all of them again in order.
  virtual Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) = 0;

  virtual Status Sweep(const SweepRequest& request) = 0;

  // Event sinks get TRUNCATE as a delivery, in every partition's order, and no Sweep(). Default: a
  // mirror.
  virtual bool wants_truncate_events() const { return false; }

  // Non-null for a sink that keeps the offsets itself, in the same transaction as the data.
  virtual TransactionalSink* transactional() { return nullptr; }

  // Non-null for a sink that has many changes in flight; Write() is then never called. Asked once,
  // after Open().
  virtual ConcurrentSink* concurrent() { return nullptr; }
};

// A sink whose target answers slowly, or each change for itself. The runner submits the changes
// that may go now, at most one per record key and only as many as there is room for, and takes the
// verdicts as they come. Frontier, schema and sweep records are not submitted. A TRUNCATE is
// submitted alone: nothing before it in its partition is still in flight, nothing behind it goes
// before its verdict.
class ConcurrentSink {
 public:
  virtual ~ConcurrentSink() = default;

  // Called once, before the first Submit(). The sink calls `wake`, from any thread, whenever a
  // verdict or room has come; `wake` returns at once and may be called too often.
  virtual void OnProgress(std::function<void()> wake) = 0;

  // How many more changes it takes now; 0 = none before it wakes the runner.
  virtual size_t Room() const = 0;

  // Takes one; the delivery is valid during the call only. Each ticket comes back from
  // TakeFinished() once, unless CancelAll() comes first. Does not wait for the target.
  virtual void Submit(uint64_t ticket, const Delivery& delivery) = 0;

  struct Finished {
    uint64_t ticket = 0;
    Verdict verdict;
  };
  // Appends what is finished; does not wait. An error is one that no retry heals: the sink halts
  // with it.
  virtual Status TakeFinished(std::vector<Finished>& finished) = 0;

  // Gives up what is in flight: none of these tickets comes back, though the target may have got
  // them. Returns at once.
  virtual void CancelAll() = 0;
};

// The result of a commit that compares the stored offsets first.
enum class CommitOutcome : uint8_t {
  kCommitted,
  kLost,  // another writer moved the offsets: nothing was written; read StoredOffsets() and seek
};

// A sink whose Write() leaves its transaction open. The runner makes dead letters durable in
// between, then calls Commit(); any retry verdict makes it call Rollback(), and the whole batch
// comes again. Sweep() runs inside the open transaction too.
class TransactionalSink {
 public:
  virtual ~TransactionalSink() = default;

  // What the target holds: (log id, offsets, high-water mark). An empty log id: nothing was ever
  // committed.
  struct Stored {
    std::string log_id;
    Offsets offsets;
  };
  virtual Result<Stored> StoredOffsets() = 0;

  // Which partitions are this process's from now on; called before StoredOffsets(), after every
  // change. A sink that several processes share keeps others from writing for these here.
  virtual Status Assigned(std::span<const int32_t> partitions) {
    static_cast<void>(partitions);
    return {};
  }

  // Stores `next` if the target still holds `expected`, and ends the transaction. Also without a
  // Write() before it.
  virtual Result<CommitOutcome> Commit(std::string_view log_id, const Offsets& expected,
                                       const Offsets& next) = 0;
  virtual void Rollback() = 0;
};

}  // namespace tailwater
