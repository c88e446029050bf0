// Two mirrors in memory, as simple as they can be: what any real sink has to do with versions,
// tombstones, partial rows and offsets, without a target that could help. Both run into trouble on
// purpose.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/history.h"
#include "tailwater/collapse.h"
#include "tailwater/sink.h"

namespace tailwater::model {

// How often something came up: a model that never gets into trouble proves nothing.
using Coverage = std::map<std::string, uint64_t>;

// What the two sinks' trouble is decided by. One per world, so that a seed repeats itself.
struct Trouble {
  std::function<bool(uint64_t)> one_in;  // chance; false once the world calms down
  std::function<void()> in_the_middle;   // anything may happen elsewhere while a sink writes
  std::vector<std::string>* violations = nullptr;
  Coverage* coverage = nullptr;
  void Count(const char* what) { ++(*coverage)[what]; }
};

// What a target holds; it outlives the sinks that write into it.
struct Target {
  struct Entry {
    int64_t version = 0;
    bool deleted = false;  // a tombstone
    std::pair<std::string, std::string> table;
    ReadableRow row;
  };
  struct KeylessRow {
    int64_t version = 0;
    ReadableRow row;
  };
  std::map<std::string, Entry> keyed;  // by record key
  std::map<std::pair<std::string, std::string>, std::vector<KeylessRow>> keyless;
  std::string log_id;  // transactional sinks only
  Offsets offsets;

  Tables Rows() const;
};

// At least once, guarded by version and tombstones. Holds keyed tables only: nothing can make a
// repeated keyless row harmless but a transaction.
class PlainMirror final : public Sink {
 public:
  // `collapse`: writes the last change per key of each batch, as sinks do that write in bulk.
  PlainMirror(Target& target, Trouble& trouble, bool collapse)
      : target_(target), trouble_(trouble), collapse_(collapse) {}
  Status Open() override;
  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) override;
  Status Sweep(const SweepRequest& request) override;

 private:
  Result<std::vector<Verdict>> WriteCollapsed(const DeliveryBatch& batch);

  Target& target_;
  Trouble& trouble_;
  const bool collapse_;
  Collapser collapser_;
};

// Exactly once: offsets lie in the target, in the same transaction.
class TransactionalMirror final : public Sink, public TransactionalSink {
 public:
  // `keyless`: holds keyless tables, too; such a sink can not be rewound.
  TransactionalMirror(Target& target, Trouble& trouble, bool keyless)
      : target_(target), trouble_(trouble), keyless_(keyless) {}
  Status Open() override;
  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) override;
  Status Sweep(const SweepRequest& request) override;
  TransactionalSink* transactional() override { return this; }

  Result<Stored> StoredOffsets() override;
  Result<CommitOutcome> Commit(std::string_view log_id, const Offsets& expected,
                               const Offsets& next) override;
  void Rollback() override;

 private:
  struct KeylessStep {
    std::pair<std::string, std::string> table;
    int64_t version = 0;
    bool sweep = false;  // else: remove `before`, add `after`
    std::optional<ReadableRow> before, after;
    std::set<std::string> columns;  // rows may hold others, which the table has no more
  };
  const Target::Entry* Find(const std::string& key) const;
  void StageKeyless(const Change& change);
  void Apply();

  Target& target_;
  Trouble& trouble_;
  const bool keyless_;
  // The open transaction: nobody else sees it.
  std::map<std::string, Target::Entry> staged_;
  std::vector<KeylessStep> keyless_steps_;
};

}  // namespace tailwater::model
