// The values of the change at hand as SQL functions: new_value(i), old_value(i), changed_value(i),
// regexp_match(i, text).
//
// A value is looked up when SQLite asks for it, so that one which the log did not send stops the
// evaluation only if it was needed. Text and bytes are lent to SQLite until the statement is reset.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "support/sqlite.h"
#include "tailwater/change.h"

namespace re2 {
class RE2;
}

namespace tailwater::expression {

struct RowColumn {
  std::string name;
  ValueType type = ValueType::kText;
  bool key = false;
  bool trims_blanks = false;
};

struct MissingValue {
  size_t column = 0;
  bool before = false;
  ColumnState state = ColumnState::kOmitted;  // kUnchanged or kOmitted
};

// What the functions look at; set before each evaluation, outlives the connection.
struct RowContext {
  const Change* change = nullptr;
  std::span<const RowColumn> columns;
  std::span<const std::shared_ptr<const re2::RE2>> patterns;
  // After a failed evaluation: why, if a function is the reason.
  std::optional<MissingValue> missing;
  std::optional<size_t> unreadable;  // a column whose value is not of its type
};

Status RegisterRowFunctions(sqlite::Database& database, RowContext& context);

}  // namespace tailwater::expression
