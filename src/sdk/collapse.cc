#include "tailwater/collapse.h"

#include <algorithm>

namespace tailwater {
namespace {

bool Collapses(const Change& change) {
  return IsRowOperation(change.operation) && change.schema != nullptr && !change.schema->keyless();
}

bool IsWhole(Row row) {
  return std::none_of(row.begin(), row.end(), [](const Value& v) { return v.is_unchanged(); });
}

}  // namespace

bool IsRowOperation(Operation operation) {
  switch (operation) {
    case Operation::kInsert:
    case Operation::kUpdate:
    case Operation::kDelete:
    case Operation::kRead:
      return true;
    case Operation::kTruncate:
    case Operation::kSchema:
    case Operation::kMessage:
    case Operation::kFrontier:
    case Operation::kSweep:
      return false;
  }
  return false;
}

std::span<const CollapsedChange> Collapser::Collapse(const DeliveryBatch& batch) {
  index_.clear();
  items_.clear();
  item_of_.clear();
  rows_.Clear();
  for (const Delivery& delivery : batch.deliveries) {
    const Change& change = *delivery.change;
    const auto number = static_cast<uint32_t>(items_.size());
    const auto add = [&] {
      items_.push_back({&delivery, change.after, IsWhole(change.after), false});
      item_of_.push_back(number);
    };
    if (!Collapses(change)) {
      add();
      continue;
    }
    const auto [known, is_new] = index_.try_emplace(delivery.key, number);
    if (is_new) {
      add();
      continue;
    }
    CollapsedChange& item = items_[known->second];
    if (change.version < item.last->change->version) {
      item_of_.push_back(kSuperseded);
      continue;
    }
    item_of_.push_back(known->second);
    const bool after_delete = item.last->change->operation == Operation::kDelete;
    item.base_gone = item.base_gone || after_delete;
    if (change.operation == Operation::kDelete) {
      item.after = {};
      item.base_gone = false;  // a delete needs no base
    } else if (after_delete || IsWhole(change.after)) {
      item.after = change.after;
    } else {
      item.after = Overlay(*item.last->change, item.after, change);
    }
    item.whole = IsWhole(item.after);
    item.last = &delivery;
  }
  return items_;
}

Row Collapser::Overlay(const Change& older, Row older_row, const Change& newer) {
  const std::span<Value> row = rows_.NewRow(newer.after.size());
  const auto& columns = newer.schema->columns();
  const auto& older_columns = older.schema->columns();
  const bool same_schema = older.schema->fingerprint() == newer.schema->fingerprint();
  for (size_t i = 0; i < row.size(); ++i) {
    row[i] = newer.after[i];
    if (!row[i].is_unchanged()) continue;
    if (same_schema) {
      row[i] = older_row[i];
      continue;
    }
    for (size_t j = 0; j < older_row.size(); ++j) {
      if (older_columns[j].name == columns[i].name) row[i] = older_row[j];
    }
  }
  return row;
}

std::vector<Verdict> Collapser::Expand(std::span<const Verdict> item_verdicts) const {
  std::vector<Verdict> verdicts;
  verdicts.reserve(item_of_.size());
  for (const uint32_t item : item_of_) {
    verdicts.push_back(item == kSuperseded ? Verdict::Superseded() : item_verdicts[item]);
  }
  return verdicts;
}

}  // namespace tailwater
