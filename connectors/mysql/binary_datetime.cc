// Dates and times as row images hold them (PROTOCOLS B9).
#include <chrono>

#include "mysql/value_functions.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;
// What a number in the bytes of a fraction counts, by its bytes.
constexpr unsigned kFractionUnit[] = {0, 10'000, 100, 1};

constexpr unsigned kPowers[] = {1'000'000, 100'000, 10'000, 1'000, 100, 10, 1};

// ".123" with `scale` digits; nothing for 0.
void AppendFraction(unsigned micros, unsigned scale, std::string& out) {
  if (scale != 0) out += fmt::format(".{:0{}}", micros / kPowers[scale], scale);
}

std::string DateText(const DateParts& parts) {
  return fmt::format("{:04}-{:02}-{:02}", parts.year, parts.month, parts.day);
}

std::string DatetimeText(const DateParts& parts, unsigned scale) {
  std::string text =
      fmt::format("{} {:02}:{:02}:{:02}", DateText(parts), parts.hour, parts.minute, parts.second);
  AppendFraction(parts.micros, scale, text);
  return text;
}

ReadOutcome TakeDatetime(const ValueReader& reader, const DateParts& parts, ChangeBatch& batch,
                         Value& out) {
  int64_t days, micros;
  if (!MicrosOf(parts, micros)) return ReadOutcome::kMalformed;
  if (DaysOf(parts, days)) [[likely]] {
    out = Value::Timestamp(days * kMicrosPerDay + micros);
    return ReadOutcome::kOk;
  }
  if (parts.month > 12 || parts.day > 31) return ReadOutcome::kMalformed;
  return TakeInvalidDate(reader, DatetimeText(parts, reader.form().scale), batch, out);
}

ReadOutcome TakeInstant(const ValueReader& reader, uint32_t seconds, unsigned micros,
                        ChangeBatch& batch, Value& out) {
  if (micros >= kMicrosPerSecond) return ReadOutcome::kMalformed;
  if (seconds == 0 && micros == 0) [[unlikely]] {
    return TakeInvalidDate(reader, DatetimeText({}, reader.form().scale), batch, out);
  }
  out = Value::TimestampTz(int64_t{seconds} * kMicrosPerSecond + micros);
  return ReadOutcome::kOk;
}

ReadOutcome TakeDuration(const ValueReader& reader, bool negative, const DateParts& parts,
                         ChangeBatch& batch, Value& out) {
  if (parts.minute > 59 || parts.second > 59 || parts.micros >= kMicrosPerSecond) {
    return ReadOutcome::kMalformed;
  }
  int64_t micros;
  if (!negative && MicrosOf(parts, micros)) {
    out = Value::Time(micros);
    return ReadOutcome::kOk;
  }
  std::string text = fmt::format("{}{:02}:{:02}:{:02}", negative ? "-" : "", parts.hour,
                                 parts.minute, parts.second);
  AppendFraction(parts.micros, reader.form().scale, text);
  out = Value::Other(batch.arena().Copy(text));
  return ReadOutcome::kOk;
}

}  // namespace

bool DaysOf(const DateParts& parts, int64_t& days) {
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(parts.year)),
                                         std::chrono::month(parts.month),
                                         std::chrono::day(parts.day)};
  if (parts.year == 0 || !date.ok()) return false;
  days = std::chrono::sys_days(date).time_since_epoch().count();
  return true;
}

bool MicrosOf(const DateParts& parts, int64_t& micros) {
  micros =
      ((parts.hour * 60LL + parts.minute) * 60 + parts.second) * kMicrosPerSecond + parts.micros;
  return parts.hour < 24 && parts.minute < 60 && parts.second < 60 &&
         parts.micros < kMicrosPerSecond;
}

ReadOutcome TakeInvalidDate(const ValueReader& reader, std::string_view text, ChangeBatch& batch,
                            Value& out) {
  switch (reader.form().options.zero_dates) {
    case ZeroDates::kText:
      out = Value::Other(batch.arena().Copy(text));
      return ReadOutcome::kOk;
    case ZeroDates::kNull:
      out = Value::Null();
      return ReadOutcome::kOk;
    case ZeroDates::kHalt:
      break;
  }
  return ReadOutcome::kInvalidDate;
}

ReadOutcome DecodeDate(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                       Value& out) {
  const auto packed = static_cast<uint32_t>(LoadLittle(bytes.data(), 3));
  const DateParts parts{.year = packed >> 9, .month = packed >> 5 & 15, .day = packed & 31};
  int64_t days;
  if (DaysOf(parts, days)) [[likely]] {
    out = Value::Date(days);
    return ReadOutcome::kOk;
  }
  if (parts.month > 12 || parts.year > 9999) return ReadOutcome::kMalformed;
  return TakeInvalidDate(reader, DateText(parts), batch, out);
}

// All bytes as one number, so that the fraction of a negative time borrows where it must.
ReadOutcome DecodeTime(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                       Value& out) {
  const size_t fraction = bytes.size() - 3;
  const auto packed = static_cast<int64_t>(LoadBig(bytes.data(), bytes.size())) -
                      (int64_t{0x800000} << 8 * fraction);
  const bool negative = packed < 0;
  const auto size = static_cast<uint64_t>(negative ? -packed : packed);
  const auto whole = static_cast<unsigned>(size >> 8 * fraction);
  const auto rest = static_cast<unsigned>(size & ((uint64_t{1} << 8 * fraction) - 1));
  const DateParts parts{.hour = whole >> 12 & 0x3FF,
                        .minute = whole >> 6 & 0x3F,
                        .second = whole & 0x3F,
                        .micros = rest * kFractionUnit[fraction]};
  return TakeDuration(reader, negative, parts, batch, out);
}

ReadOutcome DecodeDatetime(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                           Value& out) {
  const uint64_t packed = LoadBig(bytes.data(), 5);
  if (packed < 0x8000000000) return ReadOutcome::kMalformed;
  const uint64_t date = (packed - 0x8000000000) >> 17;
  const auto time = static_cast<unsigned>(packed & 0x1FFFF);
  const auto months = static_cast<unsigned>(date >> 5);
  const size_t fraction = bytes.size() - 5;
  const DateParts parts{.year = months / 13,
                        .month = months % 13,
                        .day = static_cast<unsigned>(date & 31),
                        .hour = time >> 12,
                        .minute = time >> 6 & 0x3F,
                        .second = time & 0x3F,
                        .micros = static_cast<unsigned>(LoadBig(bytes.data() + 5, fraction)) *
                                  kFractionUnit[fraction]};
  if (parts.year > 9999) return ReadOutcome::kMalformed;
  return TakeDatetime(reader, parts, batch, out);
}

ReadOutcome DecodeTimestamp(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                            Value& out) {
  const size_t fraction = bytes.size() - 4;
  return TakeInstant(
      reader, static_cast<uint32_t>(LoadBig(bytes.data(), 4)),
      static_cast<unsigned>(LoadBig(bytes.data() + 4, fraction)) * kFractionUnit[fraction], batch,
      out);
}

// The forms before MySQL 5.6, which MariaDB still has with mysql56_temporal_format=OFF: decimal.
ReadOutcome DecodeOldTime(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                          Value& out) {
  const auto number = static_cast<int32_t>(LoadLittle(bytes.data(), 3) << 8) >> 8;
  const auto size = static_cast<unsigned>(number < 0 ? -number : number);
  const DateParts parts{.hour = size / 10'000, .minute = size / 100 % 100, .second = size % 100};
  return TakeDuration(reader, number < 0, parts, batch, out);
}

ReadOutcome DecodeOldDatetime(const ValueReader& reader, std::string_view bytes, ChangeBatch& batch,
                              Value& out) {
  const auto number = LoadLittle<uint64_t>(bytes.data());
  if (number > 99'991'231'235'959) return ReadOutcome::kMalformed;
  const auto date = static_cast<unsigned>(number / 1'000'000);
  const auto time = static_cast<unsigned>(number % 1'000'000);
  const DateParts parts{.year = date / 10'000,
                        .month = date / 100 % 100,
                        .day = date % 100,
                        .hour = time / 10'000,
                        .minute = time / 100 % 100,
                        .second = time % 100};
  return TakeDatetime(reader, parts, batch, out);
}

ReadOutcome DecodeOldTimestamp(const ValueReader& reader, std::string_view bytes,
                               ChangeBatch& batch, Value& out) {
  return TakeInstant(reader, LoadLittle<uint32_t>(bytes.data()), 0, batch, out);
}

}  // namespace tailwater::mysql
