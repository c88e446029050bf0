#include "expression/temporal_text.h"

namespace tailwater::expression {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Walks over a text; every method answers false where it does not match.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  bool Skip(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  bool Digits(size_t least, size_t most, int64_t& out) {
    size_t count = 0;
    out = 0;
    while (count < rest_.size() && count < most && IsDigit(rest_[count])) {
      out = out * 10 + (rest_[count++] - '0');
    }
    rest_.remove_prefix(count);
    return count >= least;
  }

  // 2026-01-31; `bc` is known beforehand, since it decides whether the year is a leap year.
  bool Date(bool bc, int64_t& days) {
    int64_t year, month, day;
    if (!Digits(4, 6, year) || !Skip("-") || !Digits(2, 2, month) || !Skip("-") ||
        !Digits(2, 2, day) || year == 0) {
      return false;
    }
    if (bc) year = 1 - year;  // 1 BC is the year 0
    if (month < 1 || month > 12 || day < 1 || day > DaysOf(year, month)) return false;
    days = DaysFromCivil(year, month, day);
    return true;
  }
  // 12:00, 12:00:00, 12:00:00.123456, 24:00:00
  bool Time(int64_t& micros) {
    int64_t hours, minutes, seconds = 0, fraction = 0;
    if (!Digits(2, 2, hours) || !Skip(":") || !Digits(2, 2, minutes)) return false;
    if (Skip(":")) {
      if (!Digits(2, 2, seconds)) return false;
      if (Skip(".") && !Fraction(fraction)) return false;
    }
    if (minutes > 59 || seconds > 59) return false;
    micros = ((hours * 60 + minutes) * 60 + seconds) * kMicrosPerSecond + fraction;
    return micros <= kMicrosPerDay;
  }
  // Z, +01, +01:00, -0330, +01:00:30
  bool Offset(int64_t& micros) {
    micros = 0;
    if (Skip("Z") || Skip("z")) return true;
    const bool west = Skip("-");
    if (!west && !Skip("+")) return false;
    int64_t hours, minutes = 0, seconds = 0;
    if (!Digits(2, 2, hours)) return false;
    const bool colon = Skip(":");
    if (colon || (!rest_.empty() && IsDigit(rest_[0]))) {
      if (!Digits(2, 2, minutes)) return false;
      if (Skip(":") && !Digits(2, 2, seconds)) return false;
    }
    if (hours > 15 || minutes > 59 || seconds > 59) return false;
    micros = ((hours * 60 + minutes) * 60 + seconds) * kMicrosPerSecond;
    if (west) micros = -micros;
    return true;
  }

 private:
  bool Fraction(int64_t& micros) {
    const size_t before = rest_.size();
    if (!Digits(1, 6, micros)) return false;
    for (size_t digits = before - rest_.size(); digits < 6; ++digits) micros *= 10;
    return rest_.empty() || !IsDigit(rest_[0]);  // finer than a microsecond would not compare
  }
  static int64_t DaysOf(int64_t year, int64_t month) {
    static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return kDays[month - 1] + (month == 2 && leap ? 1 : 0);
  }
  static int64_t DaysFromCivil(int64_t year, int64_t month, int64_t day) {
    // Years start in March, so that the leap day is the last one; an era is 400 years.
    if (month <= 2) --year;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const int64_t year_of_era = year - era * 400;
    const int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    const int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146'097 + day_of_era - 719'468;
  }

  std::string_view rest_;
};

}  // namespace

std::optional<TemporalValue> ParseTemporal(std::string_view text) {
  TemporalValue out;
  if (text == "infinity" || text == "-infinity") {
    out.infinite = true;
    out.value = text[0] == '-' ? kMinusInfinity : kPlusInfinity;
    return out;
  }
  const bool bc = text.ends_with(" BC");
  if (bc) text.remove_suffix(3);
  int64_t days = 0, time = 0, offset = 0;
  if (Reader clock(text); !bc && clock.Time(time)) {
    out.has_time = true;
    out.value = time;
    if (clock.done()) return out;
    out.has_zone = clock.Offset(offset);
    if (!out.has_zone || !clock.done()) return std::nullopt;
    return out;
  }
  Reader in(text);
  if (!in.Date(bc, days)) return std::nullopt;
  out.has_date = true;
  out.value = days;
  if (in.done()) return out;
  if (!in.Skip("T") && !in.Skip("t") && !in.Skip(" ")) return std::nullopt;
  if (!in.Time(time)) return std::nullopt;
  out.has_time = true;
  if (!in.done()) {
    in.Skip(" ");
    out.has_zone = in.Offset(offset);
    if (!out.has_zone || !in.done()) return std::nullopt;
  }
  if (__builtin_mul_overflow(days, kMicrosPerDay, &out.value) ||
      __builtin_add_overflow(out.value, time - offset, &out.value)) {
    return std::nullopt;
  }
  return out;
}

std::optional<int64_t> TemporalColumnValue(ValueType type, std::string_view text) {
  const std::optional<TemporalValue> parsed = ParseTemporal(text);
  if (!parsed) return std::nullopt;
  if (parsed->infinite) return parsed->value;
  const bool has_time = type != ValueType::kDate;
  if (!parsed->has_date || parsed->has_time != has_time) return std::nullopt;
  if (parsed->has_zone != (type == ValueType::kTimestampTz)) return std::nullopt;
  return parsed->value;
}

}  // namespace tailwater::expression
