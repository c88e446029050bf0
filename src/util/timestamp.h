// Instants as people write and read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tailwater {

// ISO 8601 with a zone: 2026-11-21T09:30:00Z, 2026-11-21T10:30:00.25+01:00; a blank for the T and a
// missing time of day are fine, a missing zone is not, except for a plain date, which is UTC.
std::optional<int64_t> ParseTimestamp(std::string_view text);

// 2026-11-21T09:30:00.250Z, always UTC, to the millisecond.
std::string FormatTimestamp(int64_t unix_micros);

}  // namespace tailwater
