#include "postgres/value_parsers.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <limits>

#include "postgres/datetime_text.h"

namespace tailwater::postgres {
namespace {

// Value of a hexadecimal digit; 0xff for every other character.
constexpr std::array<uint8_t, 256> MakeHexTable() {
  std::array<uint8_t, 256> table{};
  for (auto& entry : table) entry = 0xff;
  for (int i = 0; i < 10; ++i) table['0' + i] = static_cast<uint8_t>(i);
  for (int i = 0; i < 6; ++i) {
    table['a' + i] = static_cast<uint8_t>(10 + i);
    table['A' + i] = static_cast<uint8_t>(10 + i);
  }
  return table;
}
constexpr std::array<uint8_t, 256> kHex = MakeHexTable();

// Both digits valid where the result is below 256.
unsigned HexByte(const char* digits) {
  const unsigned high = kHex[static_cast<uint8_t>(digits[0])];
  const unsigned low = kHex[static_cast<uint8_t>(digits[1])];
  return (high | low) == 0xff || high == 0xff || low == 0xff ? 256 : high << 4 | low;
}

template <class Float>
bool ReadFloat(std::string_view text, Float& out) {
  if (text == "NaN") return out = std::numeric_limits<Float>::quiet_NaN(), true;
  if (text == "Infinity") return out = std::numeric_limits<Float>::infinity(), true;
  if (text == "-Infinity") return out = -std::numeric_limits<Float>::infinity(), true;
  // from_chars would take "nan", "inf" and hexadecimal, which the server never writes.
  const size_t first = text.starts_with('-') ? 1 : 0;
  if (first >= text.size() || text[first] < '0' || text[first] > '9') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

bool ParseBool(const ValueParser&, std::string_view text, ChangeBatch&, Value& out) {
  if (text.size() != 1 || (text[0] != 't' && text[0] != 'f')) return false;
  out = Value::Bool(text[0] == 't');
  return true;
}

bool ParseInt64(const ValueParser&, std::string_view text, ChangeBatch&, Value& out) {
  const bool negative = text.starts_with('-');
  const char* next = text.data() + (negative ? 1 : 0);
  const char* const end = text.data() + text.size();
  if (next == end || end - next > 19) return false;
  uint64_t magnitude = 0;  // 19 digits fit
  for (; next != end; ++next) {
    const auto digit = static_cast<unsigned>(*next - '0');
    if (digit > 9) return false;
    magnitude = magnitude * 10 + digit;
  }
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (magnitude > kMost + (negative ? 1 : 0)) return false;
  out = Value::Int64(static_cast<int64_t>(negative ? 0 - magnitude : magnitude));
  return true;
}

bool ParseUint64(const ValueParser&, std::string_view text, ChangeBatch&, Value& out) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  out = Value::Uint64(number);
  return true;
}

// The double that people read in the shortest form ("0.1", not 0.10000000149011612), as long as it
// still rounds to the same single: then nothing is lost either way.
bool ParseFloat32(const ValueParser&, std::string_view text, ChangeBatch&, Value& out) {
  float single = 0;
  double wide = 0;
  if (!ReadFloat(text, single) || !ReadFloat(text, wide)) return false;
  const bool same = static_cast<float>(wide) == single || single != single;
  out = Value::Float64(same ? wide : static_cast<double>(single));
  return true;
}

bool ParseFloat64(const ValueParser&, std::string_view text, ChangeBatch&, Value& out) {
  double number = 0;
  if (!ReadFloat(text, number)) return false;
  out = Value::Float64(number);
  return true;
}

bool ParseDecimal(const ValueParser&, std::string_view text, ChangeBatch&, Value& out) {
  const char* next = text.data() + (text.starts_with('-') ? 1 : 0);
  const char* const end = text.data() + text.size();
  size_t digits = 0;
  bool point = false;
  for (; next != end; ++next) {
    if (static_cast<unsigned>(*next - '0') <= 9) {
      ++digits;
    } else if (*next == '.' && !point && digits != 0) {
      point = true;
    } else {
      digits = 0;
      break;
    }
  }
  if ((digits == 0 || end[-1] == '.') && text != "NaN" && text != "Infinity" &&
      text != "-Infinity") {
    return false;
  }
  out = Value::Decimal(text);
  return true;
}

bool ParseText(const ValueParser&, std::string_view text, ChangeBatch&, Value& out) {
  out = Value::Text(text);
  return true;
}

// One byte. Servers before 16 print one above 127 raw, which is no UTF-8: it is written as they do
// from 16 on, \ooo.
bool ParseChar(const ValueParser&, std::string_view text, ChangeBatch& batch, Value& out) {
  if (text.size() == 1 && static_cast<uint8_t>(text[0]) >= 0x80) {
    const auto byte = static_cast<uint8_t>(text[0]);
    char* octal = batch.arena().Allocate(4, 1);
    octal[0] = '\\';
    octal[1] = static_cast<char>('0' + (byte >> 6));
    octal[2] = static_cast<char>('0' + (byte >> 3 & 7));
    octal[3] = static_cast<char>('0' + (byte & 7));
    text = {octal, 4};
  }
  out = Value::Text(text);
  return true;
}

bool ParseJson(const ValueParser&, std::string_view text, ChangeBatch&, Value& out) {
  out = Value::Json(text);
  return true;
}

bool ParseEnum(const ValueParser&, std::string_view text, ChangeBatch&, Value& out) {
  out = Value::Enum(text);
  return true;
}

bool ParseOther(const ValueParser&, std::string_view text, ChangeBatch&, Value& out) {
  out = Value::Other(text);
  return true;
}

bool ParseBytea(const ValueParser&, std::string_view text, ChangeBatch& batch, Value& out) {
  if (!text.starts_with("\\x") || text.size() % 2 != 0) return false;
  const size_t size = text.size() / 2 - 1;
  char* const bytes = batch.arena().Allocate(size, 1);
  const char* digits = text.data() + 2;
  for (size_t i = 0; i < size; ++i, digits += 2) {
    const unsigned byte = HexByte(digits);
    if (byte > 255) return false;
    bytes[i] = static_cast<char>(byte);
  }
  out = Value::Blob({bytes, size});
  return true;
}

bool ParseUuid(const ValueParser&, std::string_view text, ChangeBatch& batch, Value& out) {
  if (text.size() != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' ||
      text[23] != '-') {
    return false;
  }
  char* const bytes = batch.arena().Allocate(16, 1);
  char* next = bytes;
  for (size_t at = 0; at < 36; at += 2) {
    if (at == 8 || at == 13 || at == 18 || at == 23) ++at;
    const unsigned byte = HexByte(text.data() + at);
    if (byte > 255) return false;
    *next++ = static_cast<char>(byte);
  }
  out = Value::Uuid({bytes, 16});
  return true;
}

namespace {

// What is legal but has no number stays the server's text.
bool TimeValue(TimeParse parsed, std::string_view text, Value value, Value& out) {
  out = parsed == TimeParse::kOk ? value : Value::Other(text);
  return parsed != TimeParse::kMalformed;
}

}  // namespace

bool ParseDate(const ValueParser&, std::string_view text, ChangeBatch&, Value& out) {
  int64_t days = 0;
  const TimeParse parsed = ParseDateText(text, days);
  return TimeValue(parsed, text, Value::Date(days), out);
}

bool ParseTime(const ValueParser&, std::string_view text, ChangeBatch&, Value& out) {
  int64_t micros = 0;
  const TimeParse parsed = ParseTimeText(text, micros);
  return TimeValue(parsed, text, Value::Time(micros), out);
}

bool ParseTimestamp(const ValueParser&, std::string_view text, ChangeBatch&, Value& out) {
  int64_t micros = 0;
  const TimeParse parsed = ParseTimestampText(text, micros);
  return TimeValue(parsed, text, Value::Timestamp(micros), out);
}

bool ParseTimestampTz(const ValueParser&, std::string_view text, ChangeBatch&, Value& out) {
  int64_t micros = 0;
  const TimeParse parsed = ParseTimestampTzText(text, micros);
  return TimeValue(parsed, text, Value::TimestampTz(micros), out);
}

bool ParseInterval(const ValueParser&, std::string_view text, ChangeBatch& batch, Value& out) {
  Interval interval;
  const TimeParse parsed = ParseIntervalText(text, interval);
  out = parsed == TimeParse::kOk ? Value::OfInterval(batch.NewInterval(interval))
                                 : Value::Other(text);
  return parsed != TimeParse::kMalformed;
}

}  // namespace tailwater::postgres
