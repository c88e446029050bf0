// Dates and times as people write them and as servers print what the wire form cannot hold.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "tailwater/value.h"

namespace tailwater::expression {

// They sort before and after everything else.
inline constexpr int64_t kMinusInfinity = std::numeric_limits<int64_t>::min();
inline constexpr int64_t kPlusInfinity = std::numeric_limits<int64_t>::max();

struct TemporalValue {
  int64_t value = 0;  // as Value has it: days, microseconds of the day, microseconds
  bool has_date = false;
  bool has_time = false;
  bool has_zone = false;
  bool infinite = false;
};

// "2026-01-31", "12:00:00.25", "2026-01-31 12:00", "2026-01-31T12:00:00.5Z", "… +01:00",
// "0044-03-15 BC", "infinity". Microseconds if there is a time, days for a date alone. Nothing if
// it is neither, or beyond what 64 bits hold.
std::optional<TemporalValue> ParseTemporal(std::string_view text);

// The value of a text in a column of kDate, kTimestamp or kTimestampTz; nothing if it is none.
std::optional<int64_t> TemporalColumnValue(ValueType type, std::string_view text);

}  // namespace tailwater::expression
