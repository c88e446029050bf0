#include "mysql/row_changes.h"

#include <algorithm>

#include "support/text.h"

namespace tailwater::mysql {
namespace {

bool HasAll(std::string_view present, uint32_t columns) {
  for (uint32_t i = 0; i < columns; ++i) {
    if ((static_cast<uint8_t>(present[i / 8]) >> i % 8 & 1) == 0) return false;
  }
  return true;
}

}  // namespace

Result<RowChanges> RowChanges::Open(const Event& event, const LogFormat& format,
                                    const MappedTable& table) {
  TW_ASSIGN_OR_RETURN(const RowsHead head, RowsHead::Parse(event, format));
  return RowChanges(head, table);
}

RowChanges::RowChanges(const RowsHead& head, const MappedTable& table)
    : rows_(head, table),
      kind_(head.kind),
      table_(&table),
      before_whole_(!head.present_before.empty() && HasAll(head.present_before, head.columns)) {}

Error RowChanges::KeyMissing() const {
  return {Disposition::kFatal, "mysql_key_missing",
          fmt::format("{}: the log holds no key of the old row; nothing was skipped: SET GLOBAL "
                      "binlog_row_image = FULL (in sessions too), then copy the table again",
                      table_->schema->table())};
}

Change& RowChanges::Append(Operation operation, uint32_t part, ChangeBatch& batch) const {
  Change& change = batch.Append();
  change.operation = operation;
  change.schema = table_->schema.get();
  change.table = table_->schema->table();
  change.ordinal = ordinal_;
  change.part = part;
  return change;
}

// Of a system-versioned table: the row's time is over.
bool RowChanges::IsHistory(std::span<const Value> row) const {
  return table_->row_end >= 0 && !IsCurrentRow(row[static_cast<size_t>(table_->row_end)]);
}

Status RowChanges::Next(uint64_t ordinal, ChangeBatch& batch) {
  ordinal_ = ordinal;
  if (table_->sequence) return rows_.Skip();
  TW_ASSIGN_OR_RETURN(const RowImages images, rows_.Next(batch));
  switch (kind_) {
    case RowKind::kInsert:
      if (!IsHistory(images.after)) {
        Append(Operation::kInsert, 0, batch).after = images.after;
      }
      return {};
    case RowKind::kUpdate:
      if (IsHistory(images.before)) return {};
      // The row lives on as history: for those who look now it is deleted.
      return IsHistory(images.after) ? Delete(images.before, batch) : Update(images, batch);
    case RowKind::kDelete:
      return IsHistory(images.before) ? Status() : Delete(images.before, batch);
  }
  return {};
}

Result<bool> RowChanges::KeyChanged(const RowImages& images) const {
  for (const uint32_t i : table_->schema->key_columns()) {
    if (images.before[i].is_omitted()) return KeyMissing();
    if (!images.after[i].is_unchanged() && images.after[i] != images.before[i]) return true;
  }
  return false;
}

Result<std::span<const Value>> RowChanges::OldRow(std::span<const Value> before,
                                                  ChangeBatch& batch) const {
  if (before_whole_ || table_->schema->keyless()) return before;
  const std::span<Value> key = batch.NewRow(before.size());
  for (const uint32_t i : table_->schema->key_columns()) {
    if (before[i].is_omitted()) return KeyMissing();
    key[i] = before[i];
  }
  return std::span<const Value>(key);
}

Status RowChanges::Update(const RowImages& images, ChangeBatch& batch) {
  TW_ASSIGN_OR_RETURN(const bool key_changed, KeyChanged(images));
  if (!key_changed) {
    Change& change = Append(Operation::kUpdate, 0, batch);
    change.after = images.after;
    if (before_whole_) change.before = images.before;
    return {};
  }
  TW_ASSIGN_OR_RETURN(const std::span<const Value> old_row, OldRow(images.before, batch));
  std::span<const Value> new_row = images.after;
  if (std::any_of(new_row.begin(), new_row.end(),
                  [](const Value& value) { return value.is_unchanged(); })) {
    // Nobody has the row under its new key: what the log does not say of it is left out.
    const std::span<Value> row = batch.NewRow(new_row.size());
    for (size_t i = 0; i < row.size(); ++i) {
      if (!new_row[i].is_unchanged()) row[i] = new_row[i];
    }
    new_row = row;
  }
  Append(Operation::kDelete, 0, batch).before = old_row;
  Append(Operation::kInsert, 1, batch).after = new_row;
  return {};
}

Status RowChanges::Delete(std::span<const Value> before, ChangeBatch& batch) {
  TW_ASSIGN_OR_RETURN(const std::span<const Value> old_row, OldRow(before, batch));
  Append(Operation::kDelete, 0, batch).before = old_row;
  return {};
}

}  // namespace tailwater::mysql
