#include "pipeline/record_selection.h"

#include "codec/codec.h"
#include "support/text.h"

namespace tailwater {

Result<std::span<const uint32_t>> RecordSelection::Select(const ReadBatch& batch) {
  selected_.clear();
  for (uint32_t i = 0; i < batch.records.size(); ++i) {
    auto headers = PeekHeaders(batch.records[i].value);
    if (!headers) {
      return std::move(headers).error().Within(
          fmt::format("partition {} offset {}", batch.partition, batch.records[i].offset));
    }
    if (!headers->addressee.empty() && headers->addressee != sink_) continue;
    if (headers->operation == Operation::kSweep && skip_sweeps_) continue;
    if (headers->operation != Operation::kFrontier && !Selects(headers->source, headers->table)) {
      continue;
    }
    selected_.push_back(i);
  }
  return std::span<const uint32_t>(selected_);
}

bool RecordSelection::Selects(std::string_view source, std::string_view table) {
  if (has_last_ && source == last_source_ && table == last_table_) return last_answer_;
  auto by_source = known_.find(source);
  if (by_source == known_.end()) by_source = known_.try_emplace(std::string(source)).first;
  auto& tables = by_source->second;
  auto answer = tables.find(table);
  if (answer == tables.end()) {
    answer = tables.try_emplace(std::string(table), tables_.Selects(source, table)).first;
  }
  last_source_ = source;
  last_table_ = table;
  last_answer_ = answer->second;
  has_last_ = true;
  return last_answer_;
}

}  // namespace tailwater
