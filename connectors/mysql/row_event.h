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

// Walks the rows of one event. The event must have as many columns as the table: kFatal
// "mysql_table_mismatch".
class RowReader {
 public:
  RowReader(const RowsHead& head, const MappedTable& table) : head_(head), table_(table) {}
  bool done() const { return head_.rows.empty(); }
  // The next row into the batch. A column that an update's after image left out keeps the value of
  // a whole before image, else it is unchanged. kFatal "mysql_value_malformed", …
  Result<RowImages> Next(ChangeBatch& batch);
  // The same without a value made of it.
  Status Skip();

 private:
  RowsHead head_;
  const MappedTable& table_;
};

}  // namespace tailwater::mysql
