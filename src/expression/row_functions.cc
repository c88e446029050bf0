#include "expression/row_functions.h"

#include <re2/re2.h>
#include <sqlite3.h>

#include <charconv>
#include <cmath>

#include "expression/decimal.h"
#include "expression/temporal_text.h"

namespace tailwater::expression {
namespace {

const Value kNullValue = Value::Null();

RowContext& ContextOf(sqlite3_context* call) {
  return *static_cast<RowContext*>(sqlite3_user_data(call));
}

bool IsSent(const Value& value) { return value.has_value() || value.is_null(); }

const Value* At(Row row, size_t index) { return index < row.size() ? &row[index] : nullptr; }

const Value* Missing(RowContext& context, size_t index, bool before, ColumnState state) {
  context.missing = MissingValue{index, before, state};
  return nullptr;
}

const Value* FindNew(RowContext& context, size_t index) {
  const Change& change = *context.change;
  if (change.operation == Operation::kDelete) return &kNullValue;
  const Value* value = At(change.after, index);
  if (value != nullptr && IsSent(*value)) return value;
  const bool unchanged = value != nullptr && value->is_unchanged();
  if (unchanged && change.operation == Operation::kUpdate) {
    const Value* old = At(change.before, index);
    if (old != nullptr && IsSent(*old)) return old;
  }
  return Missing(context, index, false,
                 unchanged ? ColumnState::kUnchanged : ColumnState::kOmitted);
}

const Value* FindOld(RowContext& context, size_t index) {
  const Change& change = *context.change;
  if (change.operation == Operation::kInsert || change.operation == Operation::kRead) {
    return &kNullValue;
  }
  const Value* value = At(change.before, index);
  if (value != nullptr && IsSent(*value)) return value;
  // An update with another key arrives as a delete and an insert.
  if (change.operation == Operation::kUpdate && context.columns[index].key) {
    value = At(change.after, index);
    if (value != nullptr && IsSent(*value)) return value;
  }
  return Missing(context, index, true, ColumnState::kOmitted);
}

bool IsSame(const Value& a, const Value& b) {
  if (!a.has_value() || !b.has_value()) return a.state() == b.state();
  if (a.type() != b.type()) return false;
  if (a.type() == ValueType::kDecimal) {
    std::string copy_a, copy_b;
    std::string_view left, right;
    return CanonicalDecimal(a.bytes(), copy_a, left) &&
           CanonicalDecimal(b.bytes(), copy_b, right) && left == right;
  }
  if (a.type() == ValueType::kFloat64) {
    const double left = a.as_float64(), right = b.as_float64();
    return left == right || (std::isnan(left) && std::isnan(right));
  }
  return a == b;
}

void ResultText(sqlite3_context* call, std::string_view text, sqlite3_destructor_type lifetime) {
  sqlite3_result_text64(call, text.empty() ? "" : text.data(), text.size(), lifetime, SQLITE_UTF8);
}

// False: the value is none of the column's type.
bool SetResult(sqlite3_context* call, const RowColumn& column, const Value& value) {
  if (value.is_null()) {
    sqlite3_result_null(call);
    return true;
  }
  if (value.type() != column.type) {
    // Infinite, BC and out-of-range times travel as text.
    const bool temporal = column.type == ValueType::kDate || column.type == ValueType::kTimestamp ||
                          column.type == ValueType::kTimestampTz;
    if (!temporal || value.type() != ValueType::kOther) return false;
    const std::optional<int64_t> time = TemporalColumnValue(column.type, value.bytes());
    if (time) sqlite3_result_int64(call, *time);
    return time.has_value();
  }
  switch (value.type()) {
    case ValueType::kBool:
    case ValueType::kInt64:
    case ValueType::kDate:
    case ValueType::kTime:
    case ValueType::kTimestamp:
    case ValueType::kTimestampTz:
      sqlite3_result_int64(call, value.as_int64());
      return true;
    case ValueType::kUint64: {
      char digits[24];
      const auto end = std::to_chars(digits, digits + sizeof digits, value.as_uint64()).ptr;
      ResultText(call, {digits, static_cast<size_t>(end - digits)}, SQLITE_TRANSIENT);
      return true;
    }
    case ValueType::kFloat64:
      if (std::isnan(value.as_float64())) {
        ResultText(call, "NaN", SQLITE_STATIC);  // SQLite has none; text sorts behind all numbers
      } else {
        sqlite3_result_double(call, value.as_float64());
      }
      return true;
    case ValueType::kDecimal: {
      std::string copy;
      std::string_view canonical;
      if (!CanonicalDecimal(value.bytes(), copy, canonical)) return false;
      ResultText(call, canonical, copy.empty() ? SQLITE_STATIC : SQLITE_TRANSIENT);
      return true;
    }
    case ValueType::kText: {
      std::string_view text = value.bytes();
      while (column.trims_blanks && text.ends_with(' ')) text.remove_suffix(1);
      ResultText(call, text, SQLITE_STATIC);
      return true;
    }
    case ValueType::kEnum:
    case ValueType::kJson:
    case ValueType::kOther:
      ResultText(call, value.bytes(), SQLITE_STATIC);
      return true;
    case ValueType::kBytes:
      sqlite3_result_blob64(call, value.bytes().empty() ? "" : value.bytes().data(),
                            value.bytes().size(), SQLITE_STATIC);
      return true;
    case ValueType::kUuid: {
      std::string text;
      AppendReadable(value, text);
      ResultText(call, text, SQLITE_TRANSIENT);
      return true;
    }
    case ValueType::kInterval:
    case ValueType::kArray:
      sqlite3_result_int(call, 1);  // only whether it is NULL is ever asked
      return true;
  }
  return false;
}

void Return(sqlite3_context* call, RowContext& context, size_t index, const Value* value) {
  if (value == nullptr) return sqlite3_result_error(call, "value missing", -1);
  if (SetResult(call, context.columns[index], *value)) return;
  context.unreadable = index;
  sqlite3_result_error(call, "value unreadable", -1);
}

void NewValue(sqlite3_context* call, int, sqlite3_value** arguments) {
  RowContext& context = ContextOf(call);
  const auto index = static_cast<size_t>(sqlite3_value_int(arguments[0]));
  Return(call, context, index, FindNew(context, index));
}

void OldValue(sqlite3_context* call, int, sqlite3_value** arguments) {
  RowContext& context = ContextOf(call);
  const auto index = static_cast<size_t>(sqlite3_value_int(arguments[0]));
  Return(call, context, index, FindOld(context, index));
}

void ChangedValue(sqlite3_context* call, int, sqlite3_value** arguments) {
  RowContext& context = ContextOf(call);
  const auto index = static_cast<size_t>(sqlite3_value_int(arguments[0]));
  const Change& change = *context.change;
  if (change.operation == Operation::kUpdate) {
    const Value* now = At(change.after, index);
    if (now != nullptr && now->is_unchanged()) return sqlite3_result_int(call, 0);
  }
  const Value* now = FindNew(context, index);
  const Value* old = now == nullptr ? nullptr : FindOld(context, index);
  if (old == nullptr) return sqlite3_result_error(call, "value missing", -1);
  sqlite3_result_int(call, IsSame(*now, *old) ? 0 : 1);
}

void RegexpMatch(sqlite3_context* call, int, sqlite3_value** arguments) {
  if (sqlite3_value_type(arguments[1]) == SQLITE_NULL) return sqlite3_result_null(call);
  const auto& pattern =
      *ContextOf(call).patterns[static_cast<size_t>(sqlite3_value_int(arguments[0]))];
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(arguments[1]));
  if (text == nullptr) return sqlite3_result_error_nomem(call);
  const re2::StringPiece piece(text, static_cast<size_t>(sqlite3_value_bytes(arguments[1])));
  sqlite3_result_int(call, RE2::PartialMatch(piece, pattern) ? 1 : 0);
}

}  // namespace

Status RegisterRowFunctions(sqlite::Database& database, RowContext& context) {
  // Not deterministic: SQLite would ask for all of them in advance.
  constexpr int kFlags = SQLITE_UTF8 | SQLITE_DIRECTONLY;
  const struct {
    const char* name;
    int arguments;
    void (*function)(sqlite3_context*, int, sqlite3_value**);
  } kFunctions[] = {{"new_value", 1, NewValue},
                    {"old_value", 1, OldValue},
                    {"changed_value", 1, ChangedValue},
                    {"regexp_match", 2, RegexpMatch}};
  for (const auto& entry : kFunctions) {
    const int code =
        sqlite3_create_function_v2(database.handle(), entry.name, entry.arguments, kFlags, &context,
                                   entry.function, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return database.LastError("register functions");
  }
  return {};
}

}  // namespace tailwater::expression
