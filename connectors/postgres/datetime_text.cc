#include "postgres/datetime_text.h"

#include <limits>

namespace tailwater::postgres {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;

constexpr int64_t kFractionScale[] = {1'000'000, 100'000, 10'000, 1'000, 100, 10, 1};  // by digits

constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Walks over a text; every method answers false, or a negative number, where it does not match.
struct Cursor {
  const char* next;
  const char* end;

  explicit Cursor(std::string_view text) : next(text.data()), end(text.data() + text.size()) {}
  bool done() const { return next == end; }
  bool Skip(char c) {
    if (next == end || *next != c) return false;
    ++next;
    return true;
  }
  bool Skip(std::string_view word) {
    if (static_cast<size_t>(end - next) < word.size() ||
        std::string_view(next, word.size()) != word) {
      return false;
    }
    next += word.size();
    return true;
  }
  int TwoDigits() {
    if (end - next < 2 || !IsDigit(next[0]) || !IsDigit(next[1])) return -1;
    const int value = (next[0] - '0') * 10 + (next[1] - '0');
    next += 2;
    return value;
  }
  // At most `most` digits, so that nothing overflows.
  int64_t Digits(int least, int most) {
    const char* const begin = next;
    int64_t value = 0;
    while (next != end && IsDigit(*next) && next - begin < most)
      value = value * 10 + (*next++ - '0');
    return next - begin < least ? -1 : value;
  }
  // Then the year before is the ordinal of one whose leap day is not ours to judge.
  bool EndsInBc() const { return end - next >= 3 && std::string_view(end - 3, 3) == " BC"; }
  // ".5" is 500000; no point is 0.
  int64_t Fraction() {
    if (!Skip('.')) return 0;
    const char* const begin = next;
    const int64_t digits = Digits(1, 6);
    return digits < 0 ? -1 : digits * kFractionScale[next - begin];
  }
};

bool IsInfinity(std::string_view text) { return text == "infinity" || text == "-infinity"; }

bool IsLeapYear(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

bool ReadDate(Cursor& in, int64_t& days) {
  const int64_t year = in.Digits(4, 9);
  if (year < 1 || !in.Skip('-')) return false;
  const int month = in.TwoDigits();
  if (month < 1 || month > 12 || !in.Skip('-')) return false;
  const int day = in.TwoDigits();
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap_day = month == 2 && day == 29 && (IsLeapYear(year) || in.EndsInBc());
  if (day < 1 || (day > kDays[month - 1] && !leap_day)) return false;
  days = DaysFromCivil(year, static_cast<unsigned>(month), static_cast<unsigned>(day));
  return true;
}

bool ReadTime(Cursor& in, int64_t& micros) {
  const int hours = in.TwoDigits();
  if (hours < 0 || !in.Skip(':')) return false;
  const int minutes = in.TwoDigits();
  if (minutes < 0 || minutes > 59 || !in.Skip(':')) return false;
  const int seconds = in.TwoDigits();
  if (seconds < 0 || seconds > 60) return false;
  const int64_t fraction = in.Fraction();
  if (fraction < 0) return false;
  micros = ((hours * 60 + minutes) * 60 + seconds) * kMicrosPerSecond + fraction;
  return micros <= kMicrosPerDay;
}

bool ReadOffset(Cursor& in, int64_t& micros) {
  const bool west = in.Skip('-');
  if (!west && !in.Skip('+')) return false;
  int64_t seconds = 0;
  for (const int unit : {3600, 60, 1}) {
    const int part = in.TwoDigits();
    if (part < 0) return false;
    seconds += part * unit;
    if (!in.Skip(':')) break;
  }
  micros = (west ? -seconds : seconds) * kMicrosPerSecond;
  return true;
}

// "2024-02-28 12:34:56.789" and, with an offset, "+00" behind it: what nearly every row holds, in
// one pass without branches. Everything else (other years, offsets, leap days, …) answers false and
// takes the way of all.
bool ReadCommonTimestamp(std::string_view text, bool with_offset, int64_t& micros) {
  size_t size = text.size();
  const char* const p = text.data();
  if (with_offset) {
    if (size < 22 || p[size - 3] != '+' || p[size - 2] != '0' || p[size - 1] != '0') return false;
    size -= 3;
  }
  if (size < 19) return false;
  unsigned wrong = 0;
  const auto digit = [&](size_t at) {
    const auto value = static_cast<unsigned>(p[at] - '0');
    wrong |= static_cast<unsigned>(value > 9);
    return value;
  };
  const unsigned year = digit(0) * 1000 + digit(1) * 100 + digit(2) * 10 + digit(3);
  const unsigned month = digit(5) * 10 + digit(6);
  const unsigned day = digit(8) * 10 + digit(9);
  const unsigned hours = digit(11) * 10 + digit(12);
  const unsigned minutes = digit(14) * 10 + digit(15);
  const unsigned seconds = digit(17) * 10 + digit(18);
  wrong |= static_cast<unsigned>((p[4] ^ '-') | (p[7] ^ '-') | (p[10] ^ ' ') | (p[13] ^ ':') |
                                 (p[16] ^ ':'));
  static constexpr uint8_t kDays[16] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  wrong |= static_cast<unsigned>(year == 0 || month > 12 || day - 1 >= kDays[month & 15] ||
                                 hours > 23 || minutes > 59 || seconds > 59);
  if (wrong != 0) return false;
  int64_t fraction = 0;
  if (size != 19) {
    const size_t digits = size - 20;
    if (p[19] != '.' || digits < 1 || digits > 6) return false;
    for (size_t at = 20; at < size; ++at) fraction = fraction * 10 + digit(at);
    if (wrong != 0) return false;
    fraction *= kFractionScale[digits];
  }
  micros = DaysFromCivil(year, month, day) * kMicrosPerDay +
           int64_t{(hours * 60 + minutes) * 60 + seconds} * kMicrosPerSecond + fraction;
  return true;
}

TimeParse ReadTimestamp(std::string_view text, bool with_offset, int64_t& micros) {
  if (ReadCommonTimestamp(text, with_offset, micros)) return TimeParse::kOk;
  Cursor in(text);
  int64_t days, time, offset = 0;
  if (!ReadDate(in, days) || !in.Skip(' ') || !ReadTime(in, time) ||
      (with_offset && !ReadOffset(in, offset))) {
    return IsInfinity(text) ? TimeParse::kUnrepresentable : TimeParse::kMalformed;
  }
  if (in.Skip(" BC")) return in.done() ? TimeParse::kUnrepresentable : TimeParse::kMalformed;
  if (!in.done()) return TimeParse::kMalformed;
  if (__builtin_mul_overflow(days, kMicrosPerDay, &micros) ||
      __builtin_add_overflow(micros, time - offset, &micros)) {
    return TimeParse::kUnrepresentable;
  }
  return TimeParse::kOk;
}

}  // namespace

int64_t DaysFromCivil(int64_t year, unsigned month, unsigned day) {
  // Years start in March, so that the leap day is the last one; an era is 400 years.
  if (month <= 2) --year;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + static_cast<int64_t>(day_of_era) - 719'468;
}

TimeParse ParseDateText(std::string_view text, int64_t& days) {
  Cursor in(text);
  if (!ReadDate(in, days)) {
    return IsInfinity(text) ? TimeParse::kUnrepresentable : TimeParse::kMalformed;
  }
  if (in.Skip(" BC")) return in.done() ? TimeParse::kUnrepresentable : TimeParse::kMalformed;
  return in.done() ? TimeParse::kOk : TimeParse::kMalformed;
}

TimeParse ParseTimeText(std::string_view text, int64_t& micros_of_day) {
  Cursor in(text);
  return ReadTime(in, micros_of_day) && in.done() ? TimeParse::kOk : TimeParse::kMalformed;
}

TimeParse ParseTimestampText(std::string_view text, int64_t& micros) {
  return ReadTimestamp(text, false, micros);
}

TimeParse ParseTimestampTzText(std::string_view text, int64_t& micros) {
  return ReadTimestamp(text, true, micros);
}

// "1 year 2 mons -3 days +04:05:06.7"; each part has a sign of its own, and "00:00:00" stands for
// nothing at all.
TimeParse ParseIntervalText(std::string_view text, Interval& interval) {
  if (IsInfinity(text)) return TimeParse::kUnrepresentable;
  Cursor in(text);
  int64_t months = 0, days = 0, micros = 0;
  int last_unit = -1;  // year, month, day, time: each at most once, in this order
  do {
    const bool negative = in.Skip('-');
    if (!negative) in.Skip('+');
    const int64_t number = in.Digits(1, 10);
    if (number < 0) return TimeParse::kMalformed;
    const int64_t signed_number = negative ? -number : number;
    int unit;
    if (in.Skip(':')) {
      unit = 3;
      const int minutes = in.TwoDigits();
      if (minutes < 0 || minutes > 59 || !in.Skip(':')) return TimeParse::kMalformed;
      const int seconds = in.TwoDigits();
      if (seconds < 0 || seconds > 59) return TimeParse::kMalformed;
      const int64_t fraction = in.Fraction();
      if (fraction < 0) return TimeParse::kMalformed;
      // Negative from the start: the most negative time has no positive counterpart.
      const int64_t sign = negative ? -1 : 1;
      if (__builtin_mul_overflow(signed_number, 3'600 * kMicrosPerSecond, &micros) ||
          __builtin_add_overflow(
              micros, sign * ((minutes * 60 + seconds) * kMicrosPerSecond + fraction), &micros)) {
        return TimeParse::kUnrepresentable;
      }
    } else if (in.Skip(" year")) {
      unit = 0;
      in.Skip('s');
      months += signed_number * 12;
    } else if (in.Skip(" mon")) {
      unit = 1;
      in.Skip('s');
      months += signed_number;
    } else if (in.Skip(" day")) {
      unit = 2;
      in.Skip('s');
      days = signed_number;
    } else {
      return TimeParse::kMalformed;
    }
    if (unit <= last_unit) return TimeParse::kMalformed;
    last_unit = unit;
  } while (in.Skip(' '));
  if (!in.done()) return TimeParse::kMalformed;
  using Limits = std::numeric_limits<int32_t>;
  if (months < Limits::min() || months > Limits::max() || days < Limits::min() ||
      days > Limits::max()) {
    return TimeParse::kUnrepresentable;
  }
  interval = {static_cast<int32_t>(months), static_cast<int32_t>(days), micros};
  return TimeParse::kOk;
}

}  // namespace tailwater::postgres
