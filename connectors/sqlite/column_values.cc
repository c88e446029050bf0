#include "sqlite/column_values.h"

#include <cmath>
#include <limits>

#include "support/change_json.h"

namespace tailwater {
namespace {

// FNV-1a, 64 bits.
uint64_t Hash(std::string_view bytes, uint64_t hash) {
  for (const char c : bytes) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 1'099'511'628'211u;
  }
  return hash;
}

Status BindReadable(sqlite::Statement& statement, int parameter, const Value& value,
                    std::string& scratch) {
  scratch.clear();
  AppendReadable(value, scratch);
  // SQLite's date functions know hours with minutes only: +00 becomes +00:00.
  if (value.type() == ValueType::kTimestampTz) scratch += ":00";
  statement.BindText(parameter, scratch);
  return {};
}

}  // namespace

std::string_view DeclaredType(ValueType type) {
  switch (type) {
    case ValueType::kBool:
      return "BOOLEAN";
    case ValueType::kInt64:
      return "INTEGER";
    case ValueType::kUint64:
      return "";  // no affinity: what exceeds 63 bits is text, and must not become a float
    case ValueType::kFloat64:
      return "REAL";
    case ValueType::kBytes:
      return "BLOB";
    case ValueType::kDecimal:
    case ValueType::kText:
    case ValueType::kDate:
    case ValueType::kTime:
    case ValueType::kTimestamp:
    case ValueType::kTimestampTz:
    case ValueType::kInterval:
    case ValueType::kUuid:
    case ValueType::kJson:
    case ValueType::kArray:
    case ValueType::kEnum:
    case ValueType::kOther:
      return "TEXT";
  }
  return "TEXT";
}

Status BindValue(sqlite::Statement& statement, int parameter, const Value& value,
                 std::string& scratch) {
  if (!value.has_value()) {
    statement.BindNull(parameter);
    return {};
  }
  switch (value.type()) {
    case ValueType::kBool:
    case ValueType::kInt64:
      statement.Bind(parameter, value.as_int64());
      return {};
    case ValueType::kUint64:
      if (value.as_uint64() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        statement.Bind(parameter, value.as_int64());
        return {};
      }
      return BindReadable(statement, parameter, value, scratch);
    case ValueType::kFloat64:
      // SQLite would take NaN for NULL.
      if (std::isnan(value.as_float64())) {
        statement.BindText(parameter, "NaN");
      } else {
        statement.BindDouble(parameter, value.as_float64());
      }
      return {};
    case ValueType::kBytes:
      statement.BindBlob(parameter, value.bytes());
      return {};
    case ValueType::kDecimal:
    case ValueType::kText:
    case ValueType::kJson:
    case ValueType::kEnum:
    case ValueType::kOther:
      statement.BindText(parameter, value.bytes());
      return {};
    case ValueType::kDate:
    case ValueType::kTime:
    case ValueType::kTimestamp:
    case ValueType::kTimestampTz:
    case ValueType::kInterval:
    case ValueType::kUuid:
      return BindReadable(statement, parameter, value, scratch);
    case ValueType::kArray: {
      scratch.clear();
      if (Status status = AppendValueJson(value, scratch); !status) {
        return Error{Disposition::kReject, status.error().code, std::move(status.error().message)};
      }
      statement.BindText(parameter, scratch);
      return {};
    }
  }
  return Error{Disposition::kReject, "record_malformed", "a value has an unknown type"};
}

uint64_t HashValue(std::string_view column, const Value& value) {
  if (!value.has_value()) return 0;
  uint64_t hash = Hash(column, 14'695'981'039'346'656'037u);
  if (Value::IsBytes(value.type())) {
    hash = Hash(value.bytes(), hash);
  } else {
    const int64_t number = value.as_int64();
    hash = Hash({reinterpret_cast<const char*>(&number), sizeof number}, hash);
  }
  return hash ^ (hash >> 29);
}

std::string Quoted(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out += '"';
}

}  // namespace tailwater
