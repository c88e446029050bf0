// Whether a text is JSON, by its grammar alone.
#pragma once

#include <string_view>

#include "support/utf8.h"

namespace tailwater {

// One JSON value in valid UTF-8 and nothing behind it. Numbers may have any size (databases hold
// 1e400), depth costs no stack, and a surrogate needs its other half.
bool IsJsonText(std::string_view text);

}  // namespace tailwater
