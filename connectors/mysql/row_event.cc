#include "mysql/row_event.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "mysql/json_diff.h"
#include "mysql/wire_bytes.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

bool Bit(std::string_view bitmap, size_t index) {
  return (static_cast<uint8_t>(bitmap[index / 8]) >> index % 8 & 1) != 0;
}

// Bits beyond `bits` are noise.
size_t CountBits(std::string_view bitmap, size_t bits) {
  size_t count = 0;
  for (size_t i = 0; i < bits / 8; ++i) {
    count += static_cast<size_t>(std::popcount(static_cast<uint8_t>(bitmap[i])));
  }
  if (bits % 8 != 0) {
    const auto last = static_cast<uint8_t>(bitmap[bits / 8]) & ((1U << bits % 8) - 1);
    count += static_cast<size_t>(std::popcount(last));
  }
  return count;
}

Result<RowKind> KindOf(EventType type) {
  switch (type) {
    case EventType::kWriteRowsV1:
    case EventType::kWriteRowsV2:
      return RowKind::kInsert;
    case EventType::kUpdateRowsV1:
    case EventType::kUpdateRowsV2:
    case EventType::kPartialUpdateRows:
      return RowKind::kUpdate;
    case EventType::kDeleteRowsV1:
    case EventType::kDeleteRowsV2:
      return RowKind::kDelete;
    default:
      return CutShort("rows", "type");
  }
}

bool HasExtra(EventType type) {
  return type == EventType::kWriteRowsV2 || type == EventType::kUpdateRowsV2 ||
         type == EventType::kDeleteRowsV2 || type == EventType::kPartialUpdateRows;
}

}  // namespace

Result<RowsHead> RowsHead::Parse(const Event& event, const LogFormat& format) {
  constexpr uint16_t kStatementEnd = 1;
  RowsHead head;
  TW_ASSIGN_OR_RETURN(head.kind, KindOf(event.type));
  head.partial = event.type == EventType::kPartialUpdateRows;
  std::string_view rest = event.body;
  uint16_t flags = 0, extra = 0;
  if (!TakeInt(rest, format.table_id_bytes, head.table_id) || !TakeInt(rest, flags)) {
    return CutShort("rows", "head");
  }
  head.statement_end = (flags & kStatementEnd) != 0;
  if (HasExtra(event.type)) {  // its length counts itself
    std::string_view bytes;
    if (!TakeInt(rest, extra) || extra < 2 || !TakeBytes(rest, extra - 2U, bytes)) {
      return CutShort("rows", "head");
    }
  }
  uint64_t columns = 0;
  if (!TakeLenenc(rest, columns) || columns == 0 || columns > 4096)
    return CutShort("rows", "columns");
  head.columns = static_cast<uint32_t>(columns);
  const uint64_t bitmap = (columns + 7) / 8;
  if (head.kind != RowKind::kInsert && !TakeBytes(rest, bitmap, head.present_before)) {
    return CutShort("rows", "columns");
  }
  if (head.kind != RowKind::kDelete && !TakeBytes(rest, bitmap, head.present_after)) {
    return CutShort("rows", "columns");
  }
  head.rows = rest;
  return head;
}

RowReader::RowReader(const RowsHead& head, const MappedTable& table) : head_(head), table_(table) {
  if (!head.present_before.empty()) before_count_ = CountBits(head.present_before, head.columns);
  if (!head.present_after.empty()) after_count_ = CountBits(head.present_after, head.columns);
}

Error RowReader::InColumn(size_t column, Error error) const {
  return std::move(error).Within(
      fmt::format("{}: column '{}'", table_.map.name.ToString(), table_.map.columns[column].name));
}

Status RowReader::CheckShape() const {
  if (head_.columns == table_.readers.size()) return {};
  return Error{
      Disposition::kFatal, "mysql_table_mismatch",
      fmt::format("{}: rows of {} columns follow a description of {}: keep the binlog file "
                  "and report it with the server's version",
                  table_.map.name.ToString(), head_.columns, table_.readers.size())};
}

template <class Take>
Status RowReader::WalkImage(std::string_view present, size_t count, Take take) {
  std::string_view nulls;
  if (!TakeBytes(head_.rows, (count + 7) / 8, nulls)) return CutShort("rows", "rows");
  const size_t columns = head_.columns;
  Status status;
  if (count == columns) {
    for (size_t column = 0; column < columns; ++column) {
      if (!take(column, Bit(nulls, column), status)) [[unlikely]]
        return status;
    }
    return {};
  }
  size_t next = 0;
  for (size_t column = 0; column < columns; ++column) {
    if (!Bit(present, column)) continue;
    if (!take(column, Bit(nulls, next), status)) [[unlikely]]
      return status;
    ++next;
  }
  return {};
}

Status RowReader::ReadImage(std::string_view present, size_t count, std::span<Value> row,
                            ChangeBatch& batch) {
  const ValueReader* const readers = table_.readers.data();
  return WalkImage(present, count, [&](size_t column, bool null, Status& status) {
    if (null) {
      row[column] = Value::Null();
      return true;
    }
    const ReadOutcome outcome = readers[column].Next(head_.rows, batch, row[column]);
    if (outcome == ReadOutcome::kOk) [[likely]]
      return true;
    status = InColumn(column, readers[column].Refusal(outcome));
    return false;
  });
}

// What comes before the after image of a partial update: which documents are diffs.
Status RowReader::ReadMarks() {
  constexpr uint64_t kPartialJson = 1;
  uint64_t options = 0;
  if (!TakeLenenc(head_.rows, options) || options > kPartialJson)
    return CutShort("rows", "row options");
  is_diff_.assign(head_.columns, false);
  if (options != kPartialJson) return {};
  // The bitmap counts JSON columns of the table, whether this image has them or not.
  const auto is_document = [](const MapColumn& column) { return column.type == FieldType::kJson; };
  const auto& columns = table_.map.columns;
  const auto documents = std::count_if(columns.begin(), columns.end(), is_document);
  std::string_view marks;
  if (!TakeBytes(head_.rows, static_cast<uint64_t>(documents + 7) / 8, marks)) {
    return CutShort("rows", "row options");
  }
  for (size_t column = 0, next = 0; column < columns.size(); ++column) {
    if (is_document(columns[column])) is_diff_[column] = Bit(marks, next++);
  }
  return {};
}

bool RowReader::TakeDiffs(std::string_view& diffs) {
  uint32_t size = 0;
  return TakeInt(head_.rows, size) && TakeBytes(head_.rows, size, diffs);
}

// One column of a partial update's after image that is not NULL.
Status RowReader::ReadPartialValue(size_t column, const Value& before, Value& out,
                                   ChangeBatch& batch) {
  const ValueReader& reader = table_.readers[column];
  if (!is_diff_[column]) {
    const ReadOutcome outcome = reader.Next(head_.rows, batch, out);
    if (outcome == ReadOutcome::kOk) return {};
    return InColumn(column, reader.Refusal(outcome));
  }
  std::string_view diffs;
  if (!TakeDiffs(diffs)) return InColumn(column, CutShort("rows", "JSON diff"));
  if (diffs.empty()) {
    out = before.is_omitted() ? Value::Unchanged() : before;
    return {};
  }
  if (before.is_omitted()) {
    return InColumn(
        column,
        Error{Disposition::kGap, "mysql_partial_json",
              "the binlog has only what was changed in a JSON document, and not the document: SET "
              "GLOBAL binlog_row_value_options = '', or SET GLOBAL binlog_row_image = FULL (in "
              "sessions too)"});
  }
  std::string text;
  if (!before.has_value() || !ApplyJsonDiffs(documents_[column], diffs, text)) {
    return InColumn(column, CutShort("rows", "JSON diff"));
  }
  out = Value::Json(batch.arena().Copy(text));
  return {};
}

Status RowReader::ReadPartialImage(std::span<const Value> before, std::span<Value> row,
                                   ChangeBatch& batch) {
  TW_TRY(ReadMarks());
  return WalkImage(head_.present_after, after_count_,
                   [&](size_t column, bool null, Status& status) {
                     if (null) {
                       row[column] = Value::Null();
                     } else {
                       status = ReadPartialValue(column, before[column], row[column], batch);
                     }
                     return status.has_value();
                   });
}

// As ReadImage(), and keeps the bytes of documents: what a diff is applied to.
Status RowReader::ReadDocuments() {
  documents_.assign(head_.columns, {});
  const std::string_view rows = head_.rows;
  const auto keep = [&](size_t column, bool null, Status& status) {
    std::string_view bytes;
    if (null) return true;
    if (!table_.readers[column].Take(head_.rows, bytes)) {
      status = InColumn(column, table_.readers[column].Refusal(ReadOutcome::kMalformed));
      return false;
    }
    if (table_.map.columns[column].type == FieldType::kJson) documents_[column] = bytes;
    return true;
  };
  const Status status = WalkImage(head_.present_before, before_count_, keep);
  head_.rows = rows;
  return status;
}

Result<RowImages> RowReader::Next(ChangeBatch& batch) {
  TW_TRY(CheckShape());
  const size_t size_before = head_.rows.size();
  RowImages images;
  if (head_.kind != RowKind::kInsert) {
    if (head_.partial) TW_TRY(ReadDocuments());
    const std::span<Value> row = batch.NewRow(head_.columns);
    TW_TRY(ReadImage(head_.present_before, before_count_, row, batch));
    images.before = row;
  }
  if (head_.kind != RowKind::kDelete) {
    const std::span<Value> row = batch.NewRow(head_.columns);
    if (head_.partial) {
      TW_TRY(ReadPartialImage(images.before, row, batch));
    } else {
      TW_TRY(ReadImage(head_.present_after, after_count_, row, batch));
    }
    if (head_.kind == RowKind::kUpdate && after_count_ != head_.columns) {
      for (size_t i = 0; i < row.size(); ++i) {
        if (Bit(head_.present_after, i)) continue;
        row[i] = images.before[i].is_omitted() ? Value::Unchanged() : images.before[i];
      }
    }
    images.after = row;
  }
  if (head_.rows.size() == size_before && size_before != 0) return CutShort("rows", "rows");
  ++rows_read_;
  return images;
}

Status RowReader::Skip() {
  TW_TRY(CheckShape());
  const size_t size_before = head_.rows.size();
  bool diffs = false;
  const auto skip = [&](size_t column, bool null, Status& status) {
    std::string_view bytes;
    if (null) return true;
    if (diffs && is_diff_[column] ? TakeDiffs(bytes)
                                  : table_.readers[column].Take(head_.rows, bytes)) {
      return true;
    }
    status = InColumn(column, table_.readers[column].Refusal(ReadOutcome::kMalformed));
    return false;
  };
  if (head_.kind != RowKind::kInsert) {
    TW_TRY(WalkImage(head_.present_before, before_count_, skip));
  }
  if (head_.partial) TW_TRY(ReadMarks());
  diffs = head_.partial;
  if (head_.kind != RowKind::kDelete) {
    TW_TRY(WalkImage(head_.present_after, after_count_, skip));
  }
  if (head_.rows.size() == size_before && size_before != 0) return CutShort("rows", "rows");
  ++rows_read_;
  return {};
}

// The greatest TIMESTAMP(6) of 32 bits, since MariaDB 11.5 of unsigned ones, or of transaction
// numbers.
bool IsCurrentRow(const Value& row_end) {
  if (!row_end.has_value()) return true;
  if (row_end.type() == ValueType::kUint64) return row_end.as_uint64() == UINT64_MAX;
  constexpr int64_t kSigned = 2'147'483'647'999'999, kUnsigned = 4'294'967'295'999'999;
  return row_end.as_int64() == kSigned || row_end.as_int64() == kUnsigned;
}

}  // namespace tailwater::mysql
