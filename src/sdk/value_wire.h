// tailwater.v1.Value to wire bytes and back; shared by arrays, rows and record keys. Not installed.
#pragma once

#include <cstdint>
#include <string_view>

#include "sdk/wire.h"
#include "tailwater/value.h"

namespace tailwater::wire {

// Bytes of the message tailwater.v1.Value, without tag and length in front.
size_t ValueSize(const Value& value);
// Writes exactly ValueSize(value) bytes.
char* PutValue(char* out, const Value& value);

// Reads the message. Everything but an interval becomes a view into `bytes`; an interval is handed
// out beside it, for the caller to give it an address. False: malformed, or of a kind that this
// version does not know, which must not pass for an omitted value.
bool ReadValue(std::string_view bytes, Value& value, Interval& interval, bool& is_interval);

}  // namespace tailwater::wire
