// Which records of a read batch are for one sink: by table, addressee, snapshot mark and replay
// from the record headers, so that a batch of other tables is not even decoded; then by the `when:`
// of the table's entry. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "expression/condition.h"
#include "pipeline/delivery_rules.h"
#include "pipeline/filter_reason.h"
#include "tailwater/result.h"
#include "topic/topic.h"

namespace tailwater {

struct RecordHeaders;

class RecordSelection {
 public:
  RecordSelection(const DeliveryRules& rules, std::string sink);

  // Sinks that take events have no rows that a sweep could remove, and a TRUNCATE is a change to
  // them like any other.
  void set_takes_events(bool takes) { takes_events_ = takes; }

  struct Selected {
    std::span<const uint32_t> records;  // indexes into the batch; valid until the next call
    int64_t next_offset = 0;            // what lies below it is selected or filtered
    FilterCounts filtered{};
    // The record at next_offset cannot be judged: deliver what came before it, then report this and
    // select again from there.
    std::optional<Error> blocked;
  };
  // Frontier and schema records are always for it. `replay_below`: the partition's mark of the last
  // rewind.
  Result<Selected> Select(const ReadBatch& batch, int64_t replay_below);

 private:
  static constexpr uint32_t kNoEntry = UINT32_MAX;

  struct Decision {
    uint32_t entry = kNoEntry;
    std::optional<FilterReason> refused;
  };

  // Nothing: it is for this sink, as far as its headers tell.
  std::optional<FilterReason> Refuse(const RecordHeaders& headers, bool replay,
                                     uint32_t entry) const;
  bool HasCondition(Operation operation, uint32_t entry) const;
  Result<bool> Matches(const Change& change, uint32_t entry);
  // Index of the entry of `tables` that decides; kNoEntry: not selected.
  uint32_t FindEntry(std::string_view source, std::string_view table);

  const TableSelection tables_;
  const std::vector<TableCondition> conditions_;
  const bool snapshot_;
  const bool replay_;
  const std::string sink_;
  bool takes_events_ = false;
  std::vector<std::unique_ptr<ConditionEvaluator>> evaluators_;  // by entry; made when needed

  std::vector<Decision> decisions_;  // by record
  std::vector<uint32_t> selected_;
  std::map<std::string, std::map<std::string, uint32_t, std::less<>>, std::less<>> known_;
  // The last answer: consecutive records mostly are of one table.
  std::string last_source_;
  std::string last_table_;
  uint32_t last_entry_ = kNoEntry;
  bool has_last_ = false;
};

}  // namespace tailwater
