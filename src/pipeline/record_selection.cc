#include "pipeline/record_selection.h"

#include <utility>

#include "codec/codec.h"
#include "support/text.h"

namespace tailwater {

RecordSelection::RecordSelection(const DeliveryRules& rules, std::string sink)
    : tables_(rules.tables),
      conditions_(rules.conditions),
      snapshot_(rules.snapshot),
      replay_(rules.replay),
      sink_(std::move(sink)),
      evaluators_(conditions_.size()) {}

Result<RecordSelection::Selected> RecordSelection::Select(const ReadBatch& batch,
                                                          int64_t replay_below) {
  decisions_.clear();
  selected_.clear();
  bool any_condition = false;
  for (const ReadBatch::Record& record : batch.records) {
    auto headers = PeekHeaders(record.value);
    if (!headers) {
      return std::move(headers).error().Within(
          fmt::format("partition {} offset {}", batch.partition, record.offset));
    }
    Decision& decision = decisions_.emplace_back();
    decision.entry = FindEntry(headers->source, headers->table);
    decision.refused = Refuse(*headers, record.offset < replay_below, decision.entry);
    any_condition =
        any_condition || (!decision.refused && HasCondition(headers->operation, decision.entry));
  }
  std::span<const Change> changes;
  if (any_condition) {
    TW_ASSIGN_OR_RETURN(changes, batch.Changes());
  }
  Selected result;
  result.next_offset = batch.next_offset;
  for (uint32_t i = 0; i < decisions_.size(); ++i) {
    Decision& decision = decisions_[i];
    if (any_condition && !decision.refused && HasCondition(changes[i].operation, decision.entry)) {
      Result<bool> matches = Matches(changes[i], decision.entry);
      if (!matches) {
        result.next_offset = batch.records[i].offset;
        result.blocked = std::move(matches).error();
        break;
      }
      if (!*matches) decision.refused = FilterReason::kWhen;
    }
    if (decision.refused) {
      ++result.filtered[static_cast<size_t>(*decision.refused)];
    } else {
      selected_.push_back(i);
    }
  }
  result.records = selected_;
  return result;
}

std::optional<FilterReason> RecordSelection::Refuse(const RecordHeaders& headers, bool replay,
                                                    uint32_t entry) const {
  if (!headers.addressee.empty() && headers.addressee != sink_) return FilterReason::kAddressee;
  if (headers.operation == Operation::kFrontier) return std::nullopt;
  if (entry == kNoEntry) return FilterReason::kTable;
  if (headers.operation == Operation::kSchema) return std::nullopt;
  const bool sweep = headers.operation == Operation::kSweep;
  if (sweep && takes_events_) return FilterReason::kControl;
  // The sweep at the end of a snapshot would remove the rows that the snapshot did not bring.
  if (!snapshot_ && (sweep || headers.operation == Operation::kRead ||
                     headers.snapshot != SnapshotMark::kStreaming)) {
    return FilterReason::kSnapshot;
  }
  if (!replay_ && replay) return FilterReason::kReplay;
  return std::nullopt;
}

bool RecordSelection::HasCondition(Operation operation, uint32_t entry) const {
  if (entry >= conditions_.size() || conditions_[entry].when == nullptr) return false;
  return !IsControl(operation) || (operation == Operation::kTruncate && takes_events_);
}

Result<bool> RecordSelection::Matches(const Change& change, uint32_t entry) {
  const TableCondition& condition = conditions_[entry];
  std::unique_ptr<ConditionEvaluator>& evaluator = evaluators_[entry];
  if (evaluator == nullptr) {
    TW_ASSIGN_OR_RETURN(evaluator,
                        ConditionEvaluator::Create(condition.when, condition.on_missing_before));
  }
  Result<bool> matches = evaluator->Matches(change);
  if (matches) return matches;
  return std::move(matches).error().Within(fmt::format("{}: {} (change {})",
                                                       condition.when->node().location.ToString(),
                                                       condition.when->node().path, Id(change)));
}

uint32_t RecordSelection::FindEntry(std::string_view source, std::string_view table) {
  if (has_last_ && source == last_source_ && table == last_table_) return last_entry_;
  auto by_source = known_.find(source);
  if (by_source == known_.end()) by_source = known_.try_emplace(std::string(source)).first;
  auto& tables = by_source->second;
  auto answer = tables.find(table);
  if (answer == tables.end()) {
    const std::optional<size_t> entry = tables_.Find(source, table);
    answer =
        tables.try_emplace(std::string(table), entry ? static_cast<uint32_t>(*entry) : kNoEntry)
            .first;
  }
  last_source_ = source;
  last_table_ = table;
  last_entry_ = answer->second;
  has_last_ = true;
  return last_entry_;
}

}  // namespace tailwater
