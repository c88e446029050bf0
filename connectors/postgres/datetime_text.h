// Postgres' ISO date and time text to numbers. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "tailwater/value.h"

namespace tailwater::postgres {

// Days since 1970-01-01 of a proleptic Gregorian date.
int64_t DaysFromCivil(int64_t year, unsigned month, unsigned day);

enum class TimeParse : uint8_t {
  kOk,
  kUnrepresentable,  // legal, but infinite, BC, or outside of int64: stays the server's text
  kMalformed,
};

TimeParse ParseDateText(std::string_view text, int64_t& days);
TimeParse ParseTimeText(std::string_view text, int64_t& micros_of_day);  // to 24:00:00
TimeParse ParseTimestampText(std::string_view text, int64_t& micros);    // zoneless
TimeParse ParseTimestampTzText(std::string_view text, int64_t& micros);  // any offset, to UTC
TimeParse ParseIntervalText(std::string_view text, Interval& interval);  // IntervalStyle=postgres

}  // namespace tailwater::postgres
