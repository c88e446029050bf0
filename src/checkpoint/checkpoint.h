// The one object that knows how far a source is: what is durable in the topic, and what the next
// batch will make so.
//
// The pending side moves with what the source hands over; Seal() puts it into the batch that
// carries the records, so that both are stored in one transaction of the topic. Only Published(),
// with the topic's receipt for that batch, moves the durable side and makes a DurableFrontier.
// Threads: Published() and durable() from any thread, Published() once per sealed batch and in
// their order; everything else from the thread that owns the source's writer.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tailwater/position.h"
#include "tailwater/result.h"
#include "tailwater/schema.h"
#include "topic/topic.h"
#include "util/clock.h"
#include "util/mutex.h"

namespace tailwater {

// Keys of the topic's state.
std::string CheckpointKey(
    std::string_view source);  // "source/<name>": CaptureState without `schemas`
std::string SchemasKey(
    std::string_view source);  // "schemas/<name>": CaptureState with `schemas` only

// A transaction of which a part is published.
struct PartialTransaction {
  std::string position;
  uint64_t events = 0;        // server events handed over
  uint64_t last_ordinal = 0;  // of the last of them
  uint64_t hash = 0;          // over operation, table and key of their records
  bool operator==(const PartialTransaction&) const = default;
};

// Changes that nobody can have any more, and that a new start passed (`on_gap: resnapshot`).
struct PassedGap {
  std::string code;
  std::string message;
  std::optional<Position> from;  // the frontier in front of it
  std::optional<Position> to;    // where the source began anew; unknown until it has
  int64_t at_micros = 0;         // of the new start, Unix time
  uint32_t epoch = 0;            // that began with it
  bool operator==(const PassedGap&) const = default;
};

class Checkpoint {
 public:
  static constexpr size_t kGapsKept = 10;

  // What one stored CaptureState says, and what the topic confirmed since.
  struct Durable {
    SourceIdentity identity;
    std::optional<Position> frontier;
    int64_t frontier_time_micros = 0;  // 0 = unknown
    int64_t saved_at_micros = 0;       // 0 = never
    uint32_t epoch = 0;
    int64_t last_version = 0;
    std::optional<PartialTransaction> in_progress;
    bool after_gap = false;       // began anew behind the last of `gaps`, no frontier yet
    std::vector<PassedGap> gaps;  // the last ones, in their order
  };

  // From the state of a topic that stands at `ends` now. Without a state a new epoch begins.
  // kNeedsOperator "state_newer": written by a newer release; "source_type_changed": by a source of
  // another type. kFatal "state_malformed". kGap "topic_rewound": the topic is another log than the
  // one that the state was stored with, or has lost its end.
  static Result<std::unique_ptr<Checkpoint>> Load(std::string source, std::string source_type,
                                                  const std::map<std::string, std::string>& state,
                                                  const std::string& log_id, const Offsets& ends,
                                                  const Clock& clock);

  // As loaded.
  const ResumePoint& resume_point() const { return resume_point_; }
  const std::optional<PartialTransaction>& resumed_transaction() const {
    return resumed_transaction_;
  }

  // --- pending side ---
  // The log behind the frontier is lost: a new epoch without identity and frontier. It holds once
  // it is stored, and until the first frontier is set the source gets it as ResumePoint::after_gap.
  void StartAfterGap(const Error& gap);
  const std::vector<PassedGap>& gaps() const { return pending_.gaps; }
  uint32_t epoch() const { return pending_.epoch; }
  int64_t NextVersion() { return ++pending_.last_version; }
  int64_t last_version() const { return pending_.last_version; }
  bool has_frontier() const { return pending_.frontier.has_value(); }
  std::string_view frontier() const {
    return pending_.frontier ? std::string_view(pending_.frontier->text) : std::string_view();
  }
  int64_t frontier_time_micros() const { return pending_.frontier_time_micros; }
  // A new epoch that knows nothing of a server any more: no identity, no frontier, no transaction
  // in progress. Versions and schemas go on.
  void BeginEpoch();
  void SetIdentity(const SourceIdentity& identity);
  // Everything up to there is in sealed batches or in the next one. Ends a transaction in progress.
  void SetFrontier(std::string_view frontier, int64_t commit_time_micros);
  void SetInProgress(std::optional<PartialTransaction> transaction);

  // Whether the topic (with the next batch) holds a schema record for this table as it is now.
  bool KnowsSchema(const TableSchema& schema);
  void AddSchema(const TableSchema& schema);

  // Rollback() takes versions and schemas back to the last Mark() or Seal().
  void Mark();
  void Rollback();

  // Stores the pending state with the batch.
  void Seal(AppendBatch& batch);

  // --- durable side ---
  // The oldest sealed batch is durable. A frontier if it moved.
  std::optional<DurableFrontier> Published(const AppendReceipt& receipt) TW_EXCLUDES(mutex_);
  Durable durable() const TW_EXCLUDES(mutex_);

 private:
  Checkpoint(std::string source, std::string source_type, std::string log_id, const Clock& clock);
  Status Parse(const std::map<std::string, std::string>& state, const Offsets& ends);
  void StartEpoch();
  void EndGap(std::string_view frontier);
  void EncodeConstantPart();

  const std::string source_;
  const std::string source_type_;
  const std::string log_id_;
  const std::string key_;
  const std::string schemas_key_;
  const Clock& clock_;
  ResumePoint resume_point_;
  std::optional<PartialTransaction> resumed_transaction_;

  // What Seal() notes until the receipt comes.
  struct Sealed {
    std::optional<SourceIdentity> identity;  // if it changed
    std::optional<std::vector<PassedGap>> gaps;
    bool after_gap = false;
    std::optional<Position> frontier;
    int64_t frontier_time_micros = 0;
    int64_t saved_at_micros = 0;
    uint32_t epoch = 0;
    int64_t last_version = 0;
    std::optional<PartialTransaction> in_progress;
  };

  Durable pending_;
  bool identity_changed_ = false;
  bool gaps_changed_ = false;
  std::string constant_part_;  // of the encoded state: what only SetIdentity() changes
  std::map<std::string, uint64_t, std::less<>> schemas_;  // table -> fingerprint
  bool schemas_changed_ = false;
  // Fingerprints that are current for their table, by their low bits: spares the look-up per
  // change.
  static constexpr size_t kCacheSlots = 64;
  uint64_t current_[kCacheSlots] = {};
  struct Undo {
    std::string table;
    std::optional<uint64_t> fingerprint;
  };
  std::vector<Undo> undo_;
  int64_t version_at_mark_ = 0;

  mutable Mutex mutex_;
  std::deque<Sealed> sealed_ TW_GUARDED_BY(mutex_);
  Durable durable_ TW_GUARDED_BY(mutex_);
  Offsets ends_ TW_GUARDED_BY(mutex_);
};

}  // namespace tailwater
