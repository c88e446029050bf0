#include "model/model_sink.h"

#include <algorithm>

namespace tailwater::model {
namespace {

Error TargetDown() {
  return {Disposition::kRetry, "model_target_down", "the model's target is down, on purpose"};
}

std::pair<std::string, std::string> TableOf(const Change& change) {
  return {std::string(change.source), std::string(change.table)};
}

bool IsRow(const Change& change) {
  return !IsControl(change.operation) && change.operation != Operation::kMessage;
}

ReadableRow Readable(const TableSchema& schema, Row row) {
  ReadableRow readable;
  for (size_t i = 0; i < row.size(); ++i) {
    if (row[i].has_value()) readable[schema.columns()[i].name] = TypedText(row[i]);
  }
  return readable;
}

ReadableRow Only(const std::set<std::string>& columns, ReadableRow row) {
  std::erase_if(row, [&](const auto& cell) { return !columns.contains(cell.first); });
  return row;
}

// The new row over what is held; nothing if it needs a base and there is none.
std::optional<ReadableRow> Overlay(const Change& change, const ReadableRow* base) {
  ReadableRow row = Readable(*change.schema, change.after);
  for (size_t i = 0; i < change.after.size(); ++i) {
    if (!change.after[i].is_unchanged()) continue;
    const std::string& name = change.schema->columns()[i].name;
    if (!change.before.empty() && !change.before[i].is_omitted()) {
      if (change.before[i].has_value()) row[name] = TypedText(change.before[i]);
      continue;
    }
    if (base == nullptr) return std::nullopt;
    if (const auto held = base->find(name); held != base->end()) row[name] = held->second;
  }
  return row;
}

// What becomes of a key; kApplied fills `next`.
Verdict Decide(const Target::Entry* held, const Change& change, Target::Entry& next,
               Trouble& trouble) {
  if (held != nullptr && change.version < held->version) {
    trouble.Count(held->deleted ? "change behind a tombstone" : "change behind a newer row");
    return Verdict::Superseded();
  }
  if (held != nullptr && change.version == held->version) trouble.Count("same change again");
  next = {change.version, change.operation == Operation::kDelete, TableOf(change), {}};
  if (next.deleted) return Verdict::Applied();
  const bool has_base = held != nullptr && !held->deleted;
  std::optional<ReadableRow> row = Overlay(change, has_base ? &held->row : nullptr);
  if (!row) return Verdict::Rejected(kBaseMissing, "the row is not held");
  if (has_base && held->row.size() > 0 && change.before.empty()) trouble.Count("row over its base");
  next.row = *std::move(row);
  return Verdict::Applied();
}

}  // namespace

Tables Target::Rows() const {
  Tables tables;
  for (const auto& [key, entry] : keyed) {
    if (!entry.deleted) tables[entry.table].insert(entry.row);
  }
  for (const auto& [table, rows] : keyless) {
    for (const KeylessRow& row : rows) tables[table].insert(row.row);
  }
  return tables;
}

// --- PlainMirror ---

Status PlainMirror::Open() {
  if (trouble_.one_in(10)) return TargetDown();
  return {};
}

Result<std::vector<Verdict>> PlainMirror::WriteCollapsed(const DeliveryBatch& batch) {
  std::vector<Verdict> verdicts;
  for (const CollapsedChange& item : collapser_.Collapse(batch)) {
    if (trouble_.one_in(60)) trouble_.in_the_middle();
    if (trouble_.one_in(150)) return TargetDown();
    const Change& change = *item.last->change;
    if (!IsRow(change) || change.schema->keyless()) {
      verdicts.push_back(Verdict::Applied());
      continue;
    }
    if (trouble_.one_in(60)) {
      verdicts.push_back(Verdict::Retry("model_key_busy", "this key is busy, on purpose"));
      continue;
    }
    if (change.after.data() != item.after.data()) trouble_.Count("rows laid over each other");
    Change collapsed = change;
    collapsed.after = item.after;
    if (item.base_gone && !item.whole) {
      verdicts.push_back(Verdict::Rejected(kBaseMissing, "its base was deleted in this batch"));
      continue;
    }
    const std::string key(item.last->key);
    const auto held = target_.keyed.find(key);
    Target::Entry next;
    verdicts.push_back(
        Decide(held == target_.keyed.end() ? nullptr : &held->second, collapsed, next, trouble_));
    if (verdicts.back().kind == Verdict::Kind::kApplied) target_.keyed[key] = std::move(next);
  }
  if (trouble_.one_in(40)) return TargetDown();
  return collapser_.Expand(verdicts);
}

Result<std::vector<Verdict>> PlainMirror::Write(const DeliveryBatch& batch) {
  if (collapse_) return WriteCollapsed(batch);
  std::vector<Verdict> verdicts;
  std::set<std::string, std::less<>> put_off;
  for (const Delivery& delivery : batch.deliveries) {
    if (trouble_.one_in(60)) trouble_.in_the_middle();
    if (trouble_.one_in(150)) return TargetDown();  // what came before it was written
    const Change& change = *delivery.change;
    if (!IsRow(change) || change.schema->keyless()) {
      verdicts.push_back(Verdict::Applied());
      continue;
    }
    bool first = false;
    if (trouble_.one_in(60)) {
      trouble_.Count("key put off");
      first = put_off.emplace(delivery.key).second;
    }
    if (put_off.contains(delivery.key)) {
      // What follows of its key was not looked at, whatever the verdict says.
      verdicts.push_back(first ? Verdict::Retry("model_key_busy", "this key is busy, on purpose")
                               : Verdict::Applied());
      continue;
    }
    const std::string key(delivery.key);
    const auto held = target_.keyed.find(key);
    Target::Entry next;
    verdicts.push_back(
        Decide(held == target_.keyed.end() ? nullptr : &held->second, change, next, trouble_));
    if (verdicts.back().kind == Verdict::Kind::kApplied) target_.keyed[key] = std::move(next);
  }
  if (trouble_.one_in(40)) return TargetDown();  // all was written, the answer is lost
  return verdicts;
}

Status PlainMirror::Sweep(const SweepRequest& request) {
  if (trouble_.one_in(10)) return TargetDown();
  for (auto& [key, entry] : target_.keyed) {
    if (entry.table != std::pair(std::string(request.source), std::string(request.table))) continue;
    if (entry.version >= request.version) continue;
    trouble_.Count("row swept");
    entry = {request.version, true, entry.table, {}};
  }
  if (trouble_.one_in(10)) return TargetDown();
  return {};
}

// --- TransactionalMirror ---

Status TransactionalMirror::Open() {
  if (trouble_.one_in(10)) return TargetDown();
  return {};
}

const Target::Entry* TransactionalMirror::Find(const std::string& key) const {
  if (const auto found = staged_.find(key); found != staged_.end()) return &found->second;
  const auto found = target_.keyed.find(key);
  return found == target_.keyed.end() ? nullptr : &found->second;
}

void TransactionalMirror::StageKeyless(const Change& change) {
  KeylessStep& step = keyless_steps_.emplace_back();
  step.table = TableOf(change);
  step.version = change.version;
  for (const Column& column : change.schema->columns()) step.columns.insert(column.name);
  if (!change.before.empty()) step.before = Readable(*change.schema, change.before);
  if (change.after.empty()) return;
  step.after = Overlay(change, nullptr);
  if (!step.after) trouble_.violations->push_back("a keyless row without its old image");
}

Result<std::vector<Verdict>> TransactionalMirror::Write(const DeliveryBatch& batch) {
  std::vector<Verdict> verdicts;
  for (const Delivery& delivery : batch.deliveries) {
    if (trouble_.one_in(60)) trouble_.in_the_middle();
    if (trouble_.one_in(150)) return TargetDown();
    const Change& change = *delivery.change;
    if (!IsRow(change)) {
      verdicts.push_back(Verdict::Applied());
    } else if (trouble_.one_in(100)) {
      trouble_.Count("transaction put off");
      verdicts.push_back(Verdict::Retry("model_key_busy", "this key is busy, on purpose"));
    } else if (change.schema->keyless()) {
      if (keyless_) {
        trouble_.Count("keyless row");
        StageKeyless(change);
      }
      verdicts.push_back(Verdict::Applied());
    } else {
      const std::string key(delivery.key);
      Target::Entry next;
      verdicts.push_back(Decide(Find(key), change, next, trouble_));
      if (verdicts.back().kind == Verdict::Kind::kApplied) staged_[key] = std::move(next);
    }
  }
  return verdicts;
}

Status TransactionalMirror::Sweep(const SweepRequest& request) {
  if (trouble_.one_in(10)) return TargetDown();
  const std::pair table(std::string(request.source), std::string(request.table));
  const auto swept = [&](const Target::Entry& entry) {
    return entry.table == table && entry.version < request.version;
  };
  for (auto& [key, entry] : staged_) {
    if (swept(entry)) entry = {request.version, true, table, {}};
  }
  for (const auto& [key, entry] : target_.keyed) {
    if (swept(entry)) staged_.try_emplace(key, Target::Entry{request.version, true, table, {}});
  }
  keyless_steps_.push_back({.table = table, .version = request.version, .sweep = true});
  return {};
}

Result<TransactionalSink::Stored> TransactionalMirror::StoredOffsets() {
  if (trouble_.one_in(50)) return TargetDown();
  return Stored{target_.log_id, target_.offsets};
}

Result<CommitOutcome> TransactionalMirror::Commit(std::string_view log_id, const Offsets& expected,
                                                  const Offsets& next) {
  if (trouble_.one_in(40)) trouble_.in_the_middle();
  if (trouble_.one_in(40)) {
    Rollback();
    return TargetDown();
  }
  for (const auto& [partition, offset] : next) {
    const auto stored = target_.offsets.find(partition);
    const auto wanted = expected.find(partition);
    const bool same = stored == target_.offsets.end()
                          ? wanted == expected.end()
                          : wanted != expected.end() && wanted->second == stored->second;
    if (!same) {
      trouble_.Count("compare-and-set lost");
      Rollback();
      return CommitOutcome::kLost;
    }
  }
  Apply();
  target_.log_id = log_id;
  for (const auto& [partition, offset] : next) target_.offsets[partition] = offset;
  Rollback();
  if (trouble_.one_in(40)) {
    trouble_.Count("answer of the target lost");
    return TargetDown();
  }
  return CommitOutcome::kCommitted;
}

void TransactionalMirror::Apply() {
  for (auto& [key, entry] : staged_) {
    // A sweep of ours and a newer row of another partition's owner: the row stays, as it would
    // under a row lock.
    Target::Entry& held = target_.keyed[key];
    if (entry.version >= held.version) held = std::move(entry);
  }
  for (KeylessStep& step : keyless_steps_) {
    auto& rows = target_.keyless[step.table];
    if (step.sweep) {
      std::erase_if(rows, [&](const auto& row) { return row.version < step.version; });
      continue;
    }
    if (step.before) {
      // The newest of equal rows: an older one may be waiting for its sweep.
      auto row = rows.end();
      for (auto held = rows.begin(); held != rows.end(); ++held) {
        if (Only(step.columns, held->row) != *step.before) continue;
        if (row == rows.end() || held->version > row->version) row = held;
      }
      if (row == rows.end()) {
        trouble_.violations->push_back("a keyless row to remove from " + step.table.second +
                                       " is not there");
      } else {
        rows.erase(row);
      }
    }
    if (step.after) rows.push_back({step.version, *std::move(step.after)});
  }
}

void TransactionalMirror::Rollback() {
  staged_.clear();
  keyless_steps_.clear();
}

}  // namespace tailwater::model
