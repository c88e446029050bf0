// What of the topic a sink gets, and what happens to the records that it cannot take: the options
// of a sink that are the engine's own. Plain data; made by the configuration.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "expression/condition.h"
#include "pipeline/start_spec.h"
#include "tailwater/sink.h"
#include "tailwater/tables.h"

namespace tailwater {

// The `when:` of one entry of `tables:`.
struct TableCondition {
  std::shared_ptr<const Condition> when;  // null: every change
  OnMissing on_missing_before = OnMissing::kHalt;
};

struct DeliveryRules {
  TableSelection tables;
  std::vector<TableCondition> conditions;  // one per entry of `tables`, or empty: none at all
  StartSpec start;
  bool snapshot = true;  // snapshot rows are delivered
  bool replay = true;    // records below the mark of the last rewind are delivered
  // A refused change holds back the later ones of its key (SinkTraits::trigger).
  bool keeps_order_behind_dead = false;
  bool one_writer = false;  // SinkTraits::one_writer
  // A transactional sink's commits hold whole transactions of the source: no partition goes past a
  // frontier record before all have come to it.
  bool whole_transactions = false;
  SchemaChanges schema_changes = SchemaChanges::kApply;
  // With so many dead letters stored, the next refused record is not put aside: the sink waits in
  // front of it. 0: it waits in front of the first. base_missing entries do not count.
  uint64_t halt_after = 100;
  // A key that fails for longer, while the target takes other records, is parked.
  std::chrono::milliseconds max_lane_wait{60'000};
  // With so many records parked nothing more is: the partition waits for the keys that fail.
  uint64_t park_limit = 100'000;
};

}  // namespace tailwater
