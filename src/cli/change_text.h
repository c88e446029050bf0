// One change as `tailwater tail` shows it to people.
#pragma once

#include <string>

#include "cli/output.h"
#include "tailwater/change.h"

namespace tailwater {

// A line with time, operation, table and key, and the columns below it: `old → new` where the log
// holds the row from before, the new values else. `width` of the terminal shortens long values; 0
// leaves them whole. Ends with a newline.
std::string ChangeText(const Change& change, int64_t offset, const Palette& palette, size_t width);

}  // namespace tailwater
