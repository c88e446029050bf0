// Values as a SELECT's text protocol prints them, to what the row image's bytes give.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "mysql/value_functions.h"
#include "support/shortest_float.h"
#include "support/utf8.h"

namespace tailwater::mysql {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;

template <class T>
bool ReadNumber(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

bool TakeDigits(std::string_view& rest, size_t least, size_t most, unsigned& out) {
  size_t digits = 0;
  out = 0;
  while (digits < most && digits < rest.size() && rest[digits] >= '0' && rest[digits] <= '9') {
    out = out * 10 + static_cast<unsigned>(rest[digits++] - '0');
  }
  rest.remove_prefix(digits);
  return digits >= least;
}

bool Skip(std::string_view& rest, char c) {
  if (!rest.starts_with(c)) return false;
  rest.remove_prefix(1);
  return true;
}

bool TakeDate(std::string_view& rest, DateParts& parts) {
  return TakeDigits(rest, 4, 4, parts.year) && Skip(rest, '-') &&
         TakeDigits(rest, 2, 2, parts.month) && Skip(rest, '-') &&
         TakeDigits(rest, 2, 2, parts.day);
}

// HH:MM:SS and up to six digits of a fraction, to the end.
bool TakeClock(std::string_view rest, DateParts& parts) {
  if (!TakeDigits(rest, 2, 3, parts.hour) || !Skip(rest, ':') ||
      !TakeDigits(rest, 2, 2, parts.minute) || !Skip(rest, ':') ||
      !TakeDigits(rest, 2, 2, parts.second)) {
    return false;
  }
  if (rest.empty()) return true;
  if (!Skip(rest, '.')) return false;
  const size_t digits = rest.size();
  if (!TakeDigits(rest, 1, 6, parts.micros) || !rest.empty()) return false;
  for (size_t i = digits; i < 6; ++i) parts.micros *= 10;
  return true;
}

ReadOutcome TakeDatetimeText(const ValueReader& reader, std::string_view text, ChangeBatch& batch,
                             Value& out, Value (*make)(int64_t)) {
  DateParts parts;
  std::string_view rest = text;
  int64_t days, micros;
  if (!TakeDate(rest, parts) || !Skip(rest, ' ') || !TakeClock(rest, parts) ||
      !MicrosOf(parts, micros)) {
    return ReadOutcome::kMalformed;
  }
  if (!DaysOf(parts, days)) return TakeInvalidDate(reader, text, batch, out);
  out = make(days * kMicrosPerDay + micros);
  return ReadOutcome::kOk;
}

}  // namespace

ReadOutcome ParseInt64(const ValueReader&, std::string_view text, ChangeBatch&, Value& out) {
  int64_t number = 0;
  if (!ReadNumber(text, number)) return ReadOutcome::kMalformed;
  out = Value::Int64(number);
  return ReadOutcome::kOk;
}

ReadOutcome ParseUint64(const ValueReader&, std::string_view text, ChangeBatch&, Value& out) {
  uint64_t number = 0;
  if (!ReadNumber(text, number)) return ReadOutcome::kMalformed;
  out = Value::Uint64(number);
  return ReadOutcome::kOk;
}

// The copy selects the exact double of a FLOAT: the server would print six digits.
ReadOutcome ParseFloat(const ValueReader&, std::string_view text, ChangeBatch&, Value& out) {
  double number = 0;
  if (!ReadNumber(text, number)) return ReadOutcome::kMalformed;
  out = Value::Float64(ShortestDouble(static_cast<float>(number)));
  return ReadOutcome::kOk;
}

ReadOutcome ParseDouble(const ValueReader&, std::string_view text, ChangeBatch&, Value& out) {
  double number = 0;
  if (!ReadNumber(text, number)) return ReadOutcome::kMalformed;
  out = Value::Float64(number);
  return ReadOutcome::kOk;
}

ReadOutcome ParseDecimal(const ValueReader&, std::string_view text, ChangeBatch& batch,
                         Value& out) {
  const bool negative = text.starts_with('-');
  std::string_view digits = text.substr(negative ? 1 : 0);
  const size_t point = std::min(digits.find('.'), digits.size());
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const std::string_view whole = digits.substr(0, point);
  const std::string_view fraction = point < digits.size() ? digits.substr(point + 1) : "0";
  if (whole.empty() || fraction.empty() || !std::all_of(whole.begin(), whole.end(), is_digit) ||
      !std::all_of(fraction.begin(), fraction.end(), is_digit)) {
    return ReadOutcome::kMalformed;
  }
  // ZEROFILL is how it is shown.
  const size_t zeros = std::min(whole.find_first_not_of('0'), whole.size() - 1);
  digits.remove_prefix(zeros);
  if (zeros == 0) {
    out = Value::Decimal(text);
  } else if (!negative) {
    out = Value::Decimal(digits);
  } else {
    out = Value::Decimal(batch.arena().Copy(std::string("-").append(digits)));
  }
  return ReadOutcome::kOk;
}

ReadOutcome ParseDate(const ValueReader& reader, std::string_view text, ChangeBatch& batch,
                      Value& out) {
  DateParts parts;
  std::string_view rest = text;
  int64_t days;
  if (!TakeDate(rest, parts) || !rest.empty()) return ReadOutcome::kMalformed;
  if (!DaysOf(parts, days)) return TakeInvalidDate(reader, text, batch, out);
  out = Value::Date(days);
  return ReadOutcome::kOk;
}

ReadOutcome ParseTime(const ValueReader&, std::string_view text, ChangeBatch& batch, Value& out) {
  DateParts parts;
  const bool negative = text.starts_with('-');
  int64_t micros;
  if (!TakeClock(text.substr(negative ? 1 : 0), parts)) return ReadOutcome::kMalformed;
  if (!negative && MicrosOf(parts, micros)) {
    out = Value::Time(micros);
  } else {
    out = Value::Other(batch.arena().Copy(text));
  }
  return ReadOutcome::kOk;
}

ReadOutcome ParseDatetime(const ValueReader& reader, std::string_view text, ChangeBatch& batch,
                          Value& out) {
  return TakeDatetimeText(reader, text, batch, out, &Value::Timestamp);
}

ReadOutcome ParseTimestamp(const ValueReader& reader, std::string_view text, ChangeBatch& batch,
                           Value& out) {
  return TakeDatetimeText(reader, text, batch, out, &Value::TimestampTz);
}

ReadOutcome ParseEnum(const ValueReader&, std::string_view text, ChangeBatch&, Value& out) {
  if (!IsUtf8(text)) return ReadOutcome::kInvalidText;
  out = Value::Enum(text);
  return ReadOutcome::kOk;
}

ReadOutcome ParseSet(const ValueReader&, std::string_view text, ChangeBatch&, Value& out) {
  if (!IsUtf8(text)) return ReadOutcome::kInvalidText;
  out = Value::Text(text);
  return ReadOutcome::kOk;
}

ReadOutcome ParseJson(const ValueReader&, std::string_view text, ChangeBatch&, Value& out) {
  if (!IsUtf8(text)) return ReadOutcome::kInvalidText;
  out = Value::Json(text);
  return ReadOutcome::kOk;
}

ReadOutcome ParseUuid(const ValueReader&, std::string_view text, ChangeBatch& batch, Value& out) {
  char* const bytes = batch.arena().Allocate(16, 1);
  size_t digits = 0;
  for (const char c : text) {
    if (c == '-') continue;
    unsigned digit = 0;
    if (std::from_chars(&c, &c + 1, digit, 16).ec != std::errc() || digits == 32) {
      return ReadOutcome::kMalformed;
    }
    bytes[digits / 2] = static_cast<char>(
        digits % 2 == 0 ? digit << 4 : static_cast<uint8_t>(bytes[digits / 2]) | digit);
    ++digits;
  }
  if (digits != 32) return ReadOutcome::kMalformed;
  out = Value::Uuid({bytes, 16});
  return ReadOutcome::kOk;
}

ReadOutcome ParseInet(const ValueReader&, std::string_view text, ChangeBatch&, Value& out) {
  if (AsciiPrefix(text) != text.size()) return ReadOutcome::kMalformed;
  out = Value::Other(text);
  return ReadOutcome::kOk;
}

}  // namespace tailwater::mysql
