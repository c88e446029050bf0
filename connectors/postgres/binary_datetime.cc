// Dates and times count from 2000-01-01. What has no number of ours (infinite, BC, out of range)
// becomes the text that the server prints under DateStyle=ISO and TimeZone=UTC.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>

#include "postgres/big_endian.h"
#include "postgres/binary_values.h"
#include "postgres/datetime_text.h"
#include "postgres/pgoutput.h"

namespace tailwater::postgres {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;
constexpr int64_t kEpochDays = kPostgresEpochMicros / kMicrosPerDay;
constexpr int64_t kFirstDay = -719'162;  // 0001-01-01: the years before it are BC

struct Civil {
  int64_t year;
  unsigned month, day;
};

// The inverse of DaysFromCivil.
Civil CivilFromDays(int64_t days) {
  days += 719'468;
  const int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const auto day_of_era = static_cast<unsigned>(days - era * 146'097);
  const unsigned year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const unsigned day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned shifted_month = (5 * day_of_year + 2) / 153;
  const unsigned month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  return {era * 400 + year_of_era + (month <= 2 ? 1 : 0), month,
          day_of_year - (153 * shifted_month + 2) / 5 + 1};
}

// Writes into a buffer that is large enough for any date and time.
class TextWriter {
 public:
  void Padded(int64_t number, int width) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    for (auto missing = width - (end - digits); missing > 0; --missing) *next_++ = '0';
    next_ = std::copy(digits, end, next_);
  }
  void Put(char c) { *next_++ = c; }
  void Put(std::string_view text) { next_ = std::copy(text.begin(), text.end(), next_); }
  // Years up to 0 are 1 BC and before; " BC" ends the whole text.
  void Date(const Civil& date) {
    Padded(date.year > 0 ? date.year : 1 - date.year, 4);
    Put('-');
    Padded(date.month, 2);
    Put('-');
    Padded(date.day, 2);
  }
  void Time(int64_t micros) {
    const int64_t seconds = micros / kMicrosPerSecond;
    Padded(seconds / 3'600, 2);
    Put(':');
    Padded(seconds / 60 % 60, 2);
    Put(':');
    Padded(seconds % 60, 2);
    int64_t fraction = micros % kMicrosPerSecond;
    if (fraction == 0) return;
    int width = 6;
    for (; fraction % 10 == 0; fraction /= 10) --width;
    Put('.');
    Padded(fraction, width);
  }
  std::string_view Keep(ChangeBatch& batch) const {
    return batch.arena().Copy({text_, static_cast<size_t>(next_ - text_)});
  }

 private:
  char text_[80];
  char* next_ = text_;
};

// A timestamp that has no number, from microseconds since 2000-01-01.
std::string_view TimestampText(int64_t micros, bool with_zone, ChangeBatch& batch) {
  const int64_t days = micros / kMicrosPerDay - (micros % kMicrosPerDay < 0 ? 1 : 0);
  const Civil date = CivilFromDays(days + kEpochDays);
  TextWriter text;
  text.Date(date);
  text.Put(' ');
  text.Time(micros - days * kMicrosPerDay);
  if (with_zone) text.Put("+00");
  if (date.year <= 0) text.Put(" BC");
  return text.Keep(batch);
}

// Whether it has a number; what it is otherwise goes to `out`.
bool Timestamp(std::string_view bytes, bool with_zone, ChangeBatch& batch, int64_t& micros,
               Value& out) {
  using Limits = std::numeric_limits<int64_t>;
  const auto since_2000 = LoadBig<int64_t>(bytes.data());
  if (since_2000 == Limits::max() || since_2000 == Limits::min()) {
    out = Value::Other(since_2000 == Limits::max() ? "infinity" : "-infinity");
    return false;
  }
  if (since_2000 >= (kFirstDay - kEpochDays) * kMicrosPerDay &&
      !__builtin_add_overflow(since_2000, kPostgresEpochMicros, &micros)) {
    return true;
  }
  out = Value::Other(TimestampText(since_2000, with_zone, batch));
  return false;
}

}  // namespace

bool DecodeDate(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out) {
  using Limits = std::numeric_limits<int32_t>;
  if (bytes.size() != 4) return false;
  const auto since_2000 = LoadBig<int32_t>(bytes.data());
  const int64_t days = since_2000 + kEpochDays;
  if (since_2000 == Limits::max() || since_2000 == Limits::min()) {
    out = Value::Other(since_2000 == Limits::max() ? "infinity" : "-infinity");
  } else if (days >= kFirstDay) {
    out = Value::Date(days);
  } else {
    TextWriter text;
    text.Date(CivilFromDays(days));
    text.Put(" BC");
    out = Value::Other(text.Keep(batch));
  }
  return true;
}

bool DecodeTime(const ValueParser&, std::string_view bytes, ChangeBatch&, Value& out) {
  if (bytes.size() != 8) return false;
  const auto micros = LoadBig<int64_t>(bytes.data());
  if (micros < 0 || micros > kMicrosPerDay) return false;
  out = Value::Time(micros);
  return true;
}

// "04:05:06.7+05:30", the zone in seconds west.
bool DecodeTimeTz(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out) {
  if (bytes.size() != 12) return false;
  const auto micros = LoadBig<int64_t>(bytes.data());
  const auto west = LoadBig<int32_t>(bytes.data() + 8);
  if (micros < 0 || micros > kMicrosPerDay || west <= -86'400 || west >= 86'400) return false;
  TextWriter text;
  text.Time(micros);
  text.Put(west <= 0 ? '+' : '-');
  const int32_t offset = west < 0 ? -west : west;
  text.Padded(offset / 3'600, 2);
  if (offset % 3'600 != 0) {
    text.Put(':');
    text.Padded(offset / 60 % 60, 2);
  }
  if (offset % 60 != 0) {
    text.Put(':');
    text.Padded(offset % 60, 2);
  }
  out = Value::Other(text.Keep(batch));
  return true;
}

bool DecodeTimestamp(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out) {
  if (bytes.size() != 8) return false;
  int64_t micros = 0;
  if (Timestamp(bytes, false, batch, micros, out)) out = Value::Timestamp(micros);
  return true;
}

bool DecodeTimestampTz(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out) {
  if (bytes.size() != 8) return false;
  int64_t micros = 0;
  if (Timestamp(bytes, true, batch, micros, out)) out = Value::TimestampTz(micros);
  return true;
}

// The largest and the smallest are infinite from 17 on and ordinary before: only the text tells.
bool DecodeInterval(const ValueParser&, std::string_view bytes, ChangeBatch& batch, Value& out) {
  using Limits = std::numeric_limits<int32_t>;
  if (bytes.size() != 16) return false;
  const auto micros = LoadBig<int64_t>(bytes.data());
  const auto days = LoadBig<int32_t>(bytes.data() + 8);
  const auto months = LoadBig<int32_t>(bytes.data() + 12);
  if (months == days && (months == Limits::max() || months == Limits::min()) &&
      (micros == std::numeric_limits<int64_t>::max() ||
       micros == std::numeric_limits<int64_t>::min())) {
    return false;
  }
  out = Value::OfInterval(batch.NewInterval({months, days, micros}));
  return true;
}

}  // namespace tailwater::postgres
