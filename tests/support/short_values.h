// Rows of tests in one line: {Int(1), Text("a")}.
#pragma once

#include <cstdint>
#include <string_view>

#include "tailwater/value.h"

namespace tailwater {

inline Value Int(int64_t value) { return Value::Int64(value); }
inline Value Text(std::string_view text) { return Value::Text(text); }

}  // namespace tailwater
