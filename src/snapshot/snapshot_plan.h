// Which tables of one source are copied, what of them comes next, and what the topic's state has to
// hold of that. Knows no thread and no server: SnapshotRun asks it under its mutex.
//
// A unit is stored before its first chunk is read: TakeNotes() takes it in. A chunk's rows and what
// they change in the plan go into the same transaction of the topic: Published() tells what.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "snapshot/snapshot_options.h"
#include "snapshot/snapshot_port.h"
#include "snapshot/snapshot_unit.h"
#include "tailwater/result.h"

namespace tailwater {

std::string SnapshotPlanKey(std::string_view source);  // of the topic's state

// What a worker does next.
struct SnapshotJob {
  enum class Kind : uint8_t {
    kRange,  // read `range`
    kBound,  // find the next bound behind `range.after`, then EndBound() tells the range
    kWhole,  // copy the table in one piece
  };
  Kind kind = Kind::kRange;
  uint64_t unit = 0;
  uint32_t generation = 0;
  SnapshotRequest request;
  KeyRange range;
  uint32_t rows = 0;  // kBound: how many rows ahead
};

class SnapshotPlan {
 public:
  struct Now {
    Clock::TimePoint time;
    int64_t unix_micros = 0;
  };

  // kNeedsOperator "state_newer", kFatal "state_malformed".
  static Result<std::unique_ptr<SnapshotPlan>> Load(std::string source,
                                                    const SnapshotOptions& options,
                                                    const std::map<std::string, std::string>& state,
                                                    const BackoffOptions& backoff = {});

  // The state held no plan.
  bool is_new() const { return is_new_; }
  // A plan that met no table yet is not to be stored: the next run has to find none, too.
  void HoldBack() { plan_dirty_ = false; }
  // No table was ever taken in.
  bool met_nothing() const { return known_.empty(); }

  // --- what there is to copy ---
  // A gap: what is under way means nothing any more, and every table is copied again.
  void CopyAllAgain(Now now);
  bool copies_all_again() const { return copy_all_; }
  // The tables as they are now. `copy`: those that are new get units; else they are only
  // remembered. How many are new.
  size_t Meet(const std::vector<SnapshotTable>& tables, bool copy, Now now);
  // Sinks that nobody looked at yet.
  std::vector<SnapshotSink> NewSinks(const std::vector<SnapshotSink>& sinks) const;
  // Brings one up to date: a unit per table that it takes and that it cannot have from the topic.
  // How many.
  size_t BringUpToDate(const SnapshotSink& sink, bool topic_is_whole, Now now);
  void Remember(const SnapshotSink& sink);
  // The table holds other rows than the stream told. What is under way of it begins again; with
  // `copy`, a unit copies all of it for everybody, and sweeps. Until one has, it is stale.
  void RowsReplaced(const std::string& table, std::string_view why, bool copy, Now now);
  // What a person asks for; the table was met. kReject: "snapshot_exists",
  // "snapshot_keyless_where".
  Result<uint64_t> Add(const SnapshotRequest& request, Now now);
  bool Knows(const std::string& table) const { return facts_.contains(table); }
  std::vector<std::string_view> tables() const;  // as last met

  // `unit` empty: all that have not ended. kReject "snapshot_unknown".
  Status Change(std::optional<uint64_t> unit, SnapshotAction action, Now now);

  // Units that wait for transactions that were open; SetSettled() for those: they are over.
  std::vector<uint64_t> Unsettled() const;
  void SetSettled(const std::vector<uint64_t>& units);

  // --- what comes next ---
  std::optional<SnapshotJob> NextJob(Clock::TimePoint now);
  bool has_work(Clock::TimePoint now) const {
    return !ready_.empty() || (!ready_whole_.empty() && !copying_whole_) ||
           (!later_.empty() && later_.begin()->first <= now);
  }
  // When to ask again, if nothing else happens.
  std::optional<Clock::TimePoint> next_due() const;
  // The bound that was found. Nothing: the unit has changed meanwhile.
  std::optional<SnapshotJob> EndBound(const SnapshotJob& job, SnapshotKey bound);
  // Gives the job back. `until`: the unit is left alone so long; `code`, if it is blocked.
  void GiveBack(const SnapshotJob& job, std::optional<Clock::TimePoint> until = std::nullopt,
                std::string_view code = {}, std::string_view message = {});
  // The schema that rows of the unit have. False: its key is another one than its ranges speak of,
  // and it starts over; the job is void.
  bool CheckKey(const SnapshotJob& job, const SchemaPtr& schema);
  // The source cannot read on from the unit's keys: it begins again. The job is void.
  void StartOver(const SnapshotJob& job);
  // Its table is gone.
  void EndGone(const SnapshotJob& job, Now now);
  // Whether the job is still wanted: neither cancelled nor started over.
  bool Wants(const SnapshotJob& job) const;
  // It has to be read once more: how many times in a row now.
  uint32_t CountAgain(const SnapshotJob& job);
  // Its rows took so long to read: how long to leave the server alone, and why.
  std::chrono::milliseconds ObserveRead(const SnapshotJob& job, std::chrono::nanoseconds took,
                                        uint64_t rows, std::string& why);
  // How long to leave the unit alone after a failure.
  std::chrono::milliseconds NextDelay(const SnapshotJob& job, Disposition disposition);

  struct Outcome {
    SchemaPtr schema;  // null: as last met
    uint64_t rows = 0;
    uint64_t bytes = 0;
    bool complete = true;
    SnapshotKey last;
  };
  bool IsLast(const SnapshotJob& job, bool complete) const;
  // The chunk is in the batch that these notes go into. Ends the job. kWhole: `complete` ends it.
  SnapshotNotes Published(const SnapshotJob& job, const Outcome& outcome, Now now);

  // --- what has to be stored ---
  bool wants_notes() const { return plan_dirty_ || !dirty_.empty() || !removed_.empty(); }
  SnapshotNotes TakeNotes(int64_t next_version, Now now);

  // --- for people ---
  std::vector<SnapshotStatus> Statuses(Clock::TimePoint now) const;
  std::optional<SnapshotStatus> StatusOf(uint64_t unit, Clock::TimePoint now) const;
  const SnapshotUnit* Find(uint64_t unit) const;
  SchemaPtr SchemaOf(const std::string& table) const;  // as last met; may be null
  const std::map<uint64_t, SnapshotUnit>& open_units() const { return open_; }
  // As last met; empty if the source cannot tell.
  std::string IdentityOf(const std::string& table) const;
  std::vector<StaleTable> StaleTables() const;  // captured ones, without a unit that copies them
  uint64_t tables_copied() const { return tables_copied_; }
  uint64_t tables_met() const { return known_.size(); }

 private:
  struct Copied {
    bool copied = false;
    int64_t ended_micros = 0;
    uint64_t rows = 0;
    std::string identity = {};
    int64_t replaced_micros = 0;
    std::string replaced_why = {};
  };
  struct Facts {  // of a table, as last met
    SchemaPtr schema;
    std::optional<uint64_t> rows;
    std::optional<uint64_t> bytes;
  };

  SnapshotPlan(std::string source, const SnapshotOptions& options, const BackoffOptions& backoff);
  std::string UnitKey(uint64_t unit) const;
  static bool IsOther(const Copied& known, const SnapshotTable& table);
  void ForgetCopy(const std::string& table, Now now);
  void SetNotCopied(Copied& known, std::string_view why, Now now);
  SnapshotUnit& AddUnit(SnapshotRequest request, std::string_view reason, bool wants_sweep,
                        Now now);
  void TakeFacts(SnapshotUnit& unit);
  void StartOver(SnapshotUnit& unit, std::vector<std::string> key, bool sweep);
  void SetCopied(const SnapshotUnit& unit);
  bool HasOpenFullUnit(const std::string& table) const;
  // Keeps the order in which jobs are handed out; after every change of a unit.
  void Index(SnapshotUnit& unit);
  void Unindex(uint64_t unit);
  SnapshotUnit* FindWanted(const SnapshotJob& job);
  // Takes the unit out; what becomes of its state is the caller's.
  void End(SnapshotUnit& unit, SnapshotState state, Now now);
  void Drop(SnapshotUnit& unit, SnapshotState state, Now now);  // and forgets its state
  void StoreEnd(SnapshotUnit& unit, std::map<std::string, std::string>& state, Now now);
  std::string EncodePlan() const;
  SnapshotStatus Describe(const SnapshotUnit& unit, Clock::TimePoint now) const;

  const std::string source_;
  const SnapshotOptions options_;
  const BackoffOptions backoff_;  // of a unit that fails
  bool is_new_ = true;
  bool copy_all_ = false;
  uint64_t last_unit_ = 0;
  std::map<std::string, Copied> known_;  // every table that was ever met
  std::set<std::string> unstored_;       // of those: their units are not stored yet
  uint64_t tables_copied_ = 0;
  std::set<std::string> sinks_;
  std::set<std::string> unstored_sinks_;
  std::map<std::string, Facts> facts_;

  std::map<uint64_t, SnapshotUnit> open_;
  std::map<std::string, std::set<uint64_t>> by_table_;    // open ones
  std::deque<SnapshotStatus> ended_;                      // the last ones, newest first
  using Ready = std::set<std::pair<uint32_t, uint64_t>>;  // (active, unit): the least busy first
  Ready ready_;
  Ready ready_whole_;
  std::set<std::pair<Clock::TimePoint, uint64_t>> later_;
  struct Place {
    Ready* ready = nullptr;
    uint32_t active = 0;
    std::optional<Clock::TimePoint> due;
  };
  std::map<uint64_t, Place> places_;
  bool copying_whole_ = false;  // one at a time: it holds the stream

  bool plan_dirty_ = false;
  std::set<uint64_t> dirty_;
  std::set<std::string> removed_;          // keys of the state
  std::vector<std::string> ended_stored_;  // keys of units that ended since the plan was stored
};

}  // namespace tailwater
