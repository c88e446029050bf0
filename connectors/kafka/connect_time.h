// Dates, times and intervals as Debezium writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tailwater/value.h"

namespace tailwater::kafka_sink {

// Towards the past, as Java's Math.floorDiv().
constexpr int64_t FloorDivide(int64_t number, int64_t by) {
  return number / by - (number % by < 0 ? 1 : 0);
}

// What a source leaves as the server's text: infinite ones, years before Christ, year 0. Nothing:
// it is no date, such as 2024-00-10.
//   date: days since 1970; infinity is the least day but one of Java's LocalDate that Debezium
//   takes
std::optional<int64_t> DaysOfText(std::string_view text);
//   timestamp: microseconds since 1970; infinities as Debezium writes them
std::optional<int64_t> MicrosOfText(std::string_view text);
//   time: microseconds, of MySQL's TIMEs below zero and beyond a day: -838:59:59.000000
std::optional<int64_t> MicrosOfTime(std::string_view text);

// 2026-01-31T12:00:00.500000Z, with so many digits behind the point; 0: as many as it takes.
void AppendZonedTimestamp(int64_t micros, int digits, std::string& out);
// "04:05:06.789+15:59" becomes 12:06:06.789Z. False: not such a text.
bool AppendZonedTime(std::string_view text, std::string& out);

// A month counts 365.25 / 12 days.
int64_t IntervalMicros(const Interval& interval);
// P1Y2M3DT4H5M6.7S
void AppendIsoInterval(const Interval& interval, std::string& out);

}  // namespace tailwater::kafka_sink
