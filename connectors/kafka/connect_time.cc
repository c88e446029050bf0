#include "kafka/connect_time.h"

#include <charconv>
#include <cstdlib>

#include "support/text.h"

namespace tailwater::kafka_sink {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;

// What the JDBC driver calls DATE_POSITIVE_INFINITY; Debezium takes it for microseconds.
constexpr int64_t kPositiveInfinity = 9'223'372'036'825'200'000;
constexpr int64_t kNegativeInfinity = -9'223'372'036'832'400'000;

// Proleptic Gregorian, by years of 400-year eras that begin in March.
int64_t DaysFromCivil(int64_t year, int64_t month, int64_t day) {
  if (month <= 2) --year;
  const int64_t era = FloorDivide(year, 400);
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

struct Civil {
  int64_t year, month, day;
};
Civil CivilFromDays(int64_t days) {
  days += 719'468;
  const int64_t era = FloorDivide(days, 146'097);
  const int64_t day_of_era = days - era * 146'097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month_from_march = (5 * day_of_year + 2) / 153;
  const int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  return {era * 400 + year_of_era + (month <= 2 ? 1 : 0), month,
          day_of_year - (153 * month_from_march + 2) / 5 + 1};
}

// Reads from the front of a text.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  bool Skip(char c) {
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool Number(int64_t& number) {
    if (text_.empty() || text_[0] < '0' || text_[0] > '9') return false;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), number);
    if (error != std::errc()) return false;
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    return true;
  }
  // Digits behind a point, as microseconds.
  bool Fraction(int64_t& micros) {
    micros = 0;
    int digits = 0;
    for (; !text_.empty() && text_[0] >= '0' && text_[0] <= '9'; text_.remove_prefix(1)) {
      if (++digits > 6) return false;
      micros = micros * 10 + (text_[0] - '0');
    }
    if (digits == 0) return false;
    for (; digits < 6; ++digits) micros *= 10;
    return true;
  }
  bool done() const { return text_.empty(); }

 private:
  std::string_view text_;
};

bool ReadDate(Reader& in, bool before_christ, int64_t& days) {
  int64_t year = 0;
  int64_t month = 0;
  int64_t day = 0;
  if (!in.Number(year) || !in.Skip('-') || !in.Number(month) || !in.Skip('-') || !in.Number(day)) {
    return false;
  }
  days = DaysFromCivil(before_christ ? 1 - year : year, month, day);
  const Civil back = CivilFromDays(days);  // 2024-02-31 is 2024-03-02
  return back.month == month && back.day == day;
}

bool ReadTime(Reader& in, int64_t& micros) {
  int64_t hour = 0;
  int64_t minute = 0;
  int64_t second = 0;
  int64_t fraction = 0;
  if (!in.Number(hour) || !in.Skip(':') || !in.Number(minute) || !in.Skip(':') ||
      !in.Number(second) || (in.Skip('.') && !in.Fraction(fraction))) {
    return false;
  }
  micros = ((hour * 60 + minute) * 60 + second) * kMicrosPerSecond + fraction;
  return true;
}

// +02, -03:30, +00:19:32; none is UTC.
bool ReadOffset(Reader& in, int64_t& micros) {
  micros = 0;
  const bool east = in.Skip('+');
  if (!east && !in.Skip('-')) return true;
  int64_t hour = 0;
  int64_t minute = 0;
  int64_t second = 0;
  if (!in.Number(hour) || (in.Skip(':') && !in.Number(minute)) ||
      (in.Skip(':') && !in.Number(second))) {
    return false;
  }
  micros = ((hour * 60 + minute) * 60 + second) * kMicrosPerSecond;
  if (!east) micros = -micros;
  return true;
}

bool TakeBeforeChrist(std::string_view& text) {
  if (!text.ends_with(" BC")) return false;
  text.remove_suffix(3);
  return true;
}

void AppendFraction(int64_t micros, int digits, std::string& out) {
  std::string text = fmt::format("{:06}", micros);
  if (digits == 0) {
    text.resize(text.find_last_not_of('0') + 1);
  } else {
    text.resize(static_cast<size_t>(digits), '0');
  }
  if (!text.empty()) out.append(".").append(text);
}

void AppendTime(int64_t micros, int digits, std::string& out) {
  const int64_t seconds = micros / kMicrosPerSecond;
  fmt::format_to(std::back_inserter(out), "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60,
                 seconds % 60);
  AppendFraction(micros % kMicrosPerSecond, digits, out);
}

}  // namespace

std::optional<int64_t> DaysOfText(std::string_view text) {
  // Java's LocalDate takes the two for days of a year far before Christ: so does Debezium.
  if (text == "infinity") return DaysFromCivil(-5'877'611, 6, 21);
  if (text == "-infinity") return DaysFromCivil(-5'877'611, 6, 22);
  const bool before_christ = TakeBeforeChrist(text);
  Reader in(text);
  int64_t days = 0;
  if (!ReadDate(in, before_christ, days) || !in.done()) return std::nullopt;
  return days;
}

std::optional<int64_t> MicrosOfText(std::string_view text) {
  if (text == "infinity") return kPositiveInfinity;
  if (text == "-infinity") return kNegativeInfinity;
  const bool before_christ = TakeBeforeChrist(text);
  Reader in(text);
  int64_t days = 0;
  int64_t time = 0;
  int64_t offset = 0;
  if (!ReadDate(in, before_christ, days) || !in.Skip(' ') || !ReadTime(in, time) ||
      !ReadOffset(in, offset) || !in.done()) {
    return std::nullopt;
  }
  int64_t micros = 0;
  if (__builtin_mul_overflow(days, kMicrosPerDay, &micros) ||
      __builtin_add_overflow(micros, time - offset, &micros)) {
    return std::nullopt;
  }
  return micros;
}

void AppendZonedTimestamp(int64_t micros, int digits, std::string& out) {
  const int64_t days = FloorDivide(micros, kMicrosPerDay);
  const Civil civil = CivilFromDays(days);
  if (civil.year > 9999) out += '+';
  if (civil.year < 0) out += '-';
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T", std::abs(civil.year), civil.month,
                 civil.day);
  AppendTime(micros - days * kMicrosPerDay, digits, out);
  out += 'Z';
}

bool AppendZonedTime(std::string_view text, std::string& out) {
  Reader in(text);
  int64_t time = 0;
  int64_t offset = 0;
  if (!ReadTime(in, time) || !ReadOffset(in, offset) || !in.done()) return false;
  const int64_t utc = time - offset;
  AppendTime(utc - FloorDivide(utc, kMicrosPerDay) * kMicrosPerDay, 0, out);
  out += 'Z';
  return true;
}

int64_t IntervalMicros(const Interval& interval) {
  // In doubles and in this order: other roundings would be other numbers than Debezium's.
  constexpr double kDaysPerMonth = 365.25 / 12.0;
  const int64_t seconds = interval.micros / kMicrosPerSecond;
  const double days = interval.months * kDaysPerMonth + interval.days;
  const double whole = ((days * 24 + static_cast<double>(seconds / 3600)) * 60 +
                        static_cast<double>(seconds / 60 % 60)) *
                           60 +
                       static_cast<double>(interval.micros % (60 * kMicrosPerSecond)) / 1e6;
  return static_cast<int64_t>(whole * 1e6);
}

void AppendIsoInterval(const Interval& interval, std::string& out) {
  const int64_t seconds = interval.micros / kMicrosPerSecond;
  const int64_t rest = interval.micros % (60 * kMicrosPerSecond);
  fmt::format_to(std::back_inserter(out), "P{}Y{}M{}DT{}H{}M{}{}", interval.months / 12,
                 interval.months % 12, interval.days, seconds / 3600, seconds / 60 % 60,
                 rest < 0 ? "-" : "", std::abs(rest) / kMicrosPerSecond);
  AppendFraction(std::abs(rest) % kMicrosPerSecond, 0, out);
  out += 'S';
}

std::optional<int64_t> MicrosOfTime(std::string_view text) {
  Reader in(text);
  const bool negative = in.Skip('-');
  int64_t micros = 0;
  if (!ReadTime(in, micros) || !in.done()) return std::nullopt;
  return negative ? -micros : micros;
}

}  // namespace tailwater::kafka_sink
