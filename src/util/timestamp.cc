#include "util/timestamp.h"

#include <chrono>

#include "support/text.h"

namespace tailwater {
namespace {

// Takes exactly `digits` digits off the front.
bool TakeNumber(std::string_view& text, size_t digits, int& out) {
  if (text.size() < digits) return false;
  out = 0;
  for (size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    out = out * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return true;
}

bool Take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::optional<int64_t> ParseTimestamp(std::string_view text) {
  int year = 0;
  int month = 0;
  int day = 0;
  if (!TakeNumber(text, 4, year) || !Take(text, '-') || !TakeNumber(text, 2, month) ||
      !Take(text, '-') || !TakeNumber(text, 2, day)) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  int64_t micros =
      std::chrono::microseconds(std::chrono::sys_days(date).time_since_epoch()).count();
  if (text.empty()) return micros;

  int hour = 0;
  int minute = 0;
  int second = 0;
  if (!(Take(text, 'T') || Take(text, ' ')) || !TakeNumber(text, 2, hour) || !Take(text, ':') ||
      !TakeNumber(text, 2, minute)) {
    return std::nullopt;
  }
  if (Take(text, ':') && !TakeNumber(text, 2, second)) return std::nullopt;
  if (hour > 23 || minute > 59 || second > 59) return std::nullopt;
  micros += ((hour * 60LL + minute) * 60 + second) * 1'000'000;
  if (Take(text, '.')) {
    int64_t unit = 100'000;
    size_t digits = 0;
    int digit = 0;
    while (TakeNumber(text, 1, digit)) {
      micros += digit * unit;
      unit /= 10;
      ++digits;
    }
    if (digits == 0) return std::nullopt;
  }
  if (text == "Z") return micros;
  const int sign = Take(text, '+') ? 1 : Take(text, '-') ? -1 : 0;
  int zone_hour = 0;
  int zone_minute = 0;
  if (sign == 0 || !TakeNumber(text, 2, zone_hour)) return std::nullopt;
  if (!text.empty()) {
    Take(text, ':');
    if (!TakeNumber(text, 2, zone_minute) || !text.empty()) return std::nullopt;
  }
  if (zone_hour > 15 || zone_minute > 59) return std::nullopt;
  return micros - sign * (zone_hour * 60LL + zone_minute) * 60 * 1'000'000;
}

std::string FormatTimestamp(int64_t unix_micros) {
  const std::chrono::sys_time<std::chrono::microseconds> time{
      std::chrono::microseconds(unix_micros)};
  const auto days = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(days);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::milliseconds>(time - days));
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

}  // namespace tailwater
