#include "tailwater/value.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "tailwater/array.h"

namespace tailwater {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;

void AppendNumber(int64_t number, std::string& out) {
  char buffer[24];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, number);
  out.append(buffer, result.ptr);
}

void AppendPadded(uint64_t number, size_t width, std::string& out) {
  char buffer[24];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, number);
  const auto digits = static_cast<size_t>(result.ptr - buffer);
  if (digits < width) out.append(width - digits, '0');
  out.append(buffer, result.ptr);
}

void AppendHex(std::string_view bytes, std::string& out) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
}

// Proleptic Gregorian; the year counts from March inside.
void AppendDate(int64_t days, std::string& out) {
  constexpr int64_t kDaysPerEra = 146'097;
  constexpr int64_t kLargest = 1'000'000'000'000;  // no database has such dates; a damaged one may
  if (days > kLargest || days < -kLargest) {
    AppendNumber(days, out);
    out += " days since 1970-01-01";
    return;
  }
  days += 719'468;  // from 1970-01-01 to 0000-03-01
  const int64_t era = (days >= 0 ? days : days - kDaysPerEra + 1) / kDaysPerEra;
  const int64_t day_of_era = days - era * kDaysPerEra;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t shifted_month = (5 * day_of_year + 2) / 153;
  const int64_t day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  const int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  const int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  if (year < 0) out += '-';
  AppendPadded(static_cast<uint64_t>(std::abs(year)), 4, out);
  out += '-';
  AppendPadded(static_cast<uint64_t>(month), 2, out);
  out += '-';
  AppendPadded(static_cast<uint64_t>(day), 2, out);
}

// Not negative. The fraction without trailing zeros, as Postgres prints it.
void AppendTime(uint64_t micros, std::string& out) {
  const uint64_t seconds = micros / kMicrosPerSecond;
  AppendPadded(seconds / 3600, 2, out);
  out += ':';
  AppendPadded(seconds / 60 % 60, 2, out);
  out += ':';
  AppendPadded(seconds % 60, 2, out);
  if (const uint64_t fraction = micros % kMicrosPerSecond; fraction != 0) {
    out += '.';
    AppendPadded(fraction, 6, out);
    while (out.back() == '0') out.pop_back();
  }
}

void AppendTimestamp(int64_t micros, std::string& out) {
  int64_t days = micros / kMicrosPerDay;
  int64_t of_day = micros % kMicrosPerDay;
  if (of_day < 0) {
    of_day += kMicrosPerDay;
    --days;
  }
  AppendDate(days, out);
  out += ' ';
  AppendTime(static_cast<uint64_t>(of_day), out);
}

void AppendFloat(double value, std::string& out) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value < 0 ? "-Infinity" : "Infinity";
  } else {
    char buffer[32];
    const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);  // shortest, exact
    out.append(buffer, result.ptr);
  }
}

void AppendInterval(const Interval& interval, std::string& out) {
  const size_t start = out.size();
  bool negative = false;  // the part before: what follows it shows its sign
  const auto part = [&](int64_t count, std::string_view unit) {
    if (count == 0) return;
    if (out.size() != start) out += ' ';
    if (negative && count > 0) out += '+';
    negative = count < 0;
    AppendNumber(count, out);
    out += ' ';
    out += unit;
    if (count != 1) out += 's';
  };
  part(interval.months / 12, "year");
  part(interval.months % 12, "mon");
  part(interval.days, "day");
  if (interval.micros == 0 && out.size() != start) return;
  if (out.size() != start) out += ' ';
  if (interval.micros < 0) {
    out += '-';
  } else if (negative) {
    out += '+';
  }
  const auto micros = static_cast<uint64_t>(interval.micros);
  AppendTime(interval.micros < 0 ? 0 - micros : micros, out);
}

void AppendUuid(std::string_view bytes, std::string& out) {
  if (bytes.size() != 16) {
    AppendHex(bytes, out);
    return;
  }
  constexpr size_t kGroups[] = {4, 2, 2, 2, 6};
  size_t at = 0;
  for (const size_t group : kGroups) {
    if (at != 0) out += '-';
    AppendHex(bytes.substr(at, group), out);
    at += group;
  }
}

void AppendArrayElement(const Value& element, std::string& out) {
  if (!element.has_value()) {
    out += "NULL";
    return;
  }
  std::string text;
  AppendReadable(element, text);
  const bool is_null_word = text.size() == 4 && (text[0] | 32) == 'n' && (text[1] | 32) == 'u' &&
                            (text[2] | 32) == 'l' && (text[3] | 32) == 'l';
  if (!text.empty() && !is_null_word &&
      text.find_first_of("{}\",\\ \t\n\r\v\f") == std::string::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

// The elements of `dimension` and deeper; `next` walks through them in row-major order.
void AppendArrayLevel(const ArrayView& array, size_t dimension, size_t& next, std::string& out) {
  out += '{';
  for (uint32_t i = 0; i < array.dimensions[dimension].length; ++i) {
    if (i != 0) out += ',';
    if (dimension + 1 < array.dimensions.size()) {
      AppendArrayLevel(array, dimension + 1, next, out);
    } else {
      AppendArrayElement(array.elements[next++], out);
    }
  }
  out += '}';
}

void AppendArray(std::string_view wire_array, std::string& out) {
  const Result<ArrayView> array = ReadArray(wire_array);
  if (!array) {
    out += "(malformed array)";
    return;
  }
  if (array->elements.empty()) {
    out += "{}";
    return;
  }
  bool shifted = false;
  for (const ArrayDimension& dimension : array->dimensions) shifted |= dimension.lower_bound != 1;
  if (shifted) {
    for (const ArrayDimension& dimension : array->dimensions) {
      out += '[';
      AppendNumber(dimension.lower_bound, out);
      out += ':';
      AppendNumber(int64_t{dimension.lower_bound} + dimension.length - 1, out);
      out += ']';
    }
    out += '=';
  }
  size_t next = 0;
  AppendArrayLevel(*array, 0, next, out);
}

}  // namespace

std::string_view ValueTypeName(ValueType type) {
  switch (type) {
    case ValueType::kBool:
      return "bool";
    case ValueType::kInt64:
      return "int64";
    case ValueType::kUint64:
      return "uint64";
    case ValueType::kFloat64:
      return "float64";
    case ValueType::kDecimal:
      return "decimal";
    case ValueType::kText:
      return "text";
    case ValueType::kBytes:
      return "bytes";
    case ValueType::kDate:
      return "date";
    case ValueType::kTime:
      return "time";
    case ValueType::kTimestamp:
      return "timestamp";
    case ValueType::kTimestampTz:
      return "timestamptz";
    case ValueType::kInterval:
      return "interval";
    case ValueType::kUuid:
      return "uuid";
    case ValueType::kJson:
      return "json";
    case ValueType::kArray:
      return "array";
    case ValueType::kEnum:
      return "enum";
    case ValueType::kOther:
      return "other";
  }
  return "unknown";
}

void AppendReadable(const Value& value, std::string& out) {
  switch (value.state()) {
    case ColumnState::kOmitted:
      out += "(omitted)";
      return;
    case ColumnState::kNull:
      out += "NULL";
      return;
    case ColumnState::kUnchanged:
      out += "(unchanged)";
      return;
    case ColumnState::kValue:
      break;
  }
  switch (value.type()) {
    case ValueType::kBool:
      out += value.as_bool() ? "true" : "false";
      return;
    case ValueType::kInt64:
      return AppendNumber(value.as_int64(), out);
    case ValueType::kUint64:
      return AppendPadded(value.as_uint64(), 1, out);
    case ValueType::kFloat64:
      return AppendFloat(value.as_float64(), out);
    case ValueType::kDate:
      return AppendDate(value.as_int64(), out);
    case ValueType::kTime:
      if (value.as_int64() < 0) {  // MySQL's TIME is a duration
        out += '-';
        return AppendTime(0 - value.as_uint64(), out);
      }
      return AppendTime(value.as_uint64(), out);
    case ValueType::kTimestamp:
      return AppendTimestamp(value.as_int64(), out);
    case ValueType::kTimestampTz:
      AppendTimestamp(value.as_int64(), out);
      out += "+00";
      return;
    case ValueType::kInterval:
      return AppendInterval(value.as_interval(), out);
    case ValueType::kUuid:
      return AppendUuid(value.bytes(), out);
    case ValueType::kBytes:
      out += "\\x";
      return AppendHex(value.bytes(), out);
    case ValueType::kArray:
      return AppendArray(value.bytes(), out);
    case ValueType::kDecimal:
    case ValueType::kText:
    case ValueType::kJson:
    case ValueType::kEnum:
    case ValueType::kOther:
      out += value.bytes();
      return;
  }
}

}  // namespace tailwater
