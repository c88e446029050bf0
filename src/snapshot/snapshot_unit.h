// One table on its way into the topic: which ranges of its key are published, which were handed
// out, and what is still to be planned. Keys are opaque: they are kept, compared for equality and
// given back to the source.
//
// Not thread-safe: SnapshotPlan owns it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "snapshot/progress_rate.h"
#include "snapshot/snapshot_status.h"
#include "snapshot/throttle.h"
#include "tailwater/result.h"
#include "tailwater/snapshot.h"
#include "util/backoff.h"
#include "util/clock.h"

namespace tailwater {

// Rows strictly behind `after`, and not behind `upto`. Empty: the table's beginning, its end.
struct KeyRange {
  SnapshotKey after;
  SnapshotKey upto;
  bool operator==(const KeyRange&) const = default;
};

class SnapshotUnit {
 public:
  // Why a table is copied.
  static constexpr std::string_view kInitial = "initial";
  static constexpr std::string_view kAdded = "added";
  static constexpr std::string_view kRequested = "requested";
  static constexpr std::string_view kGap = "gap";
  static constexpr std::string_view kSink = "sink";
  static constexpr std::string_view kRowsReplaced = "rows_replaced";

  SnapshotUnit(uint64_t id, SnapshotRequest request, std::string_view reason, bool wants_sweep,
               int64_t requested_micros);

  // As the topic's state holds it. kNeedsOperator "state_newer", kFatal "state_malformed".
  static Result<SnapshotUnit> Decode(const std::string& state_key, const std::string& bytes);
  std::string Encode() const;

  uint64_t id() const { return id_; }
  const SnapshotRequest& request() const { return request_; }
  const std::string& reason() const { return reason_; }
  void set_reason(std::string_view reason) { reason_ = reason; }
  // Comes by itself; else a person asked for it.
  bool automatic() const { return reason_ != kRequested; }
  // All rows for everybody: the table counts as copied afterwards.
  bool full() const { return request_.where.empty() && request_.addressee.empty(); }

  // --- ranges ---
  // One that was handed out before and that nobody reads now.
  std::optional<KeyRange> TakeRange();
  bool has_range() const;
  // The rest of the table has to be planned, and nobody does it now.
  bool wants_bound() const { return !planned_all_ && !planning_; }
  // The place to plan from. Ends with EndBound() or DropBound().
  SnapshotKey BeginBound();
  // The range up to `bound` (empty: the table's end), taken.
  KeyRange EndBound(SnapshotKey bound);
  void DropBound() { planning_ = false; }
  // It was not published: it is read again.
  void GiveBack(const KeyRange& range);
  // Its rows are published, up to `last` if the reading stopped there.
  void Published(const KeyRange& range, bool complete, const SnapshotKey& last);
  // Nothing is left but this range.
  bool IsLast(const KeyRange& range) const;
  bool all_published() const { return planned_all_ && pending_.empty(); }
  // The key is another one now: from the beginning.
  void StartOver(std::vector<std::string> key);
  void MarkWholeBegun() { begun_whole_ = true; }
  bool begun_whole() const { return begun_whole_; }
  // Something of it was published under its present key.
  bool begun() const { return planned_all_ || !planned_.empty() || begun_whole_; }

  // Columns that its ranges speak of; none: the table has no key.
  const std::vector<std::string>& key() const { return key_; }
  void SetKey(std::vector<std::string> key) { key_ = std::move(key); }

  // --- facts, kept with the state ---
  int64_t sweep_below = 0;  // 0: no sweep at its end
  uint64_t rows = 0;
  uint64_t bytes = 0;
  uint64_t chunks = 0;
  int64_t started_micros = 0;
  int64_t ended_micros = 0;
  bool paused = false;

  // --- facts of this run ---
  bool stored = false;       // the state that will be stored next, or was, holds it
  bool wants_sweep = false;  // gets its sweep_below when it is taken in
  bool settled = false;      // transactions that were open when it came are over
  bool whole = false;        // no key: copied in one piece
  uint32_t active = 0;       // workers that are at it
  uint32_t generation = 0;   // counts StartOver(): what belongs to an earlier one is void
  uint64_t again = 0;        // chunks that were read once more
  uint32_t again_in_row = 0;
  std::string blocked_code;  // static in errors; kept as text
  std::string message;       // why it is blocked, or put off
  std::optional<Clock::TimePoint> not_before;
  Backoff backoff;
  ProgressRate rate;
  ReadPace pace;
  std::optional<uint64_t> estimated_rows;
  std::optional<uint64_t> estimated_bytes;

  int64_t requested_micros() const { return requested_micros_; }

 private:
  struct Pending {
    KeyRange range;
    bool taken = false;
  };
  std::vector<Pending>::iterator FindPending(const KeyRange& range);

  uint64_t id_;
  SnapshotRequest request_;
  std::string reason_;
  int64_t requested_micros_;
  std::vector<std::string> key_;
  SnapshotKey planned_;
  bool planned_all_ = false;
  bool planning_ = false;
  bool begun_whole_ = false;
  std::vector<Pending> pending_;  // about as many as there are workers
};

}  // namespace tailwater
