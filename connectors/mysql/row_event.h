// Rows events of all kinds (v1, v2, partial updates), one row at a time (PROTOCOLS B8).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "mysql/binlog_event.h"
#include "mysql/table_map.h"
#include "tailwater/change.h"
#include "tailwater/result.h"

namespace tailwater::mysql {

enum class RowKind : uint8_t { kInsert, kUpdate, kDelete };

// The head of a rows event.
struct RowsHead {
  uint64_t table_id = 0;
  RowKind kind = RowKind::kInsert;
  bool statement_end = false;
  bool partial = false;  // PARTIAL_UPDATE_ROWS
  uint32_t columns = 0;
  std::string_view present_before;  // bitmaps over `columns`; empty: no such image
  std::string_view present_after;
  std::string_view rows;

  // `event`: not a compressed one. kFatal "mysql_event_malformed".
  static Result<RowsHead> Parse(const Event& event, const LogFormat& format);
};

struct RowImages {
  std::span<const Value> before;  // empty: none. What the event left out is omitted
  std::span<const Value> after;
};

// Walks the rows of one event. `table` outlives it; values view the event's bytes or the batch.
class RowReader {
 public:
  RowReader(const RowsHead& head, const MappedTable& table);
  // An event has a row, even if it is one without a byte: all columns left out.
  bool done() const { return head_.rows.empty() && rows_read_ != 0; }
  // The next row into the batch. A column that an update's after image left out keeps the value of
  // the before image, if that has it, else it is unchanged. kFatal "mysql_table_mismatch" (another
  // number of columns than the table), "mysql_event_malformed"; kGap "mysql_partial_json" (a diff
  // without the document it belongs to); and what ValueReader::Read() says, with the column's name.
  Result<RowImages> Next(ChangeBatch& batch);
  // The same without a value made of it.
  Status Skip();

 private:
  Error InColumn(size_t column, Error error) const;
  Status CheckShape() const;
  // Calls take(column, is_null, status) for each column that an image has, until it says false, and
  // answers what it left in `status`; `count`: how many columns.
  template <class Take>
  Status WalkImage(std::string_view present, size_t count, Take take);
  Status ReadImage(std::string_view present, size_t count, std::span<Value> row,
                   ChangeBatch& batch);
  Status ReadDocuments();
  Status ReadMarks();
  bool TakeDiffs(std::string_view& diffs);
  Status ReadPartialValue(size_t column, const Value& before, Value& out, ChangeBatch& batch);
  Status ReadPartialImage(std::span<const Value> before, std::span<Value> row, ChangeBatch& batch);

  RowsHead head_;
  const MappedTable& table_;
  size_t before_count_ = 0;  // columns of the images
  size_t after_count_ = 0;
  uint64_t rows_read_ = 0;
  // Partial updates only: JSON of the before image in binary, and which after images are diffs.
  std::vector<std::string_view> documents_;
  std::vector<bool> is_diff_;
};

// System-versioned tables: whether `row_end`, the value of that column, says that the row holds
// until further notice. Else it is history.
bool IsCurrentRow(const Value& row_end);

}  // namespace tailwater::mysql
