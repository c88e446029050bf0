// What this binary is. Both are set by CMake; the revision is the commit at configure time.
#pragma once

#include <string_view>

namespace tailwater {

std::string_view BuildVersion();   // "0.1.0"
std::string_view BuildRevision();  // "2f85cd6", or "unknown" outside of a git work tree

}  // namespace tailwater
