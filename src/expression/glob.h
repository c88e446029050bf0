// GLOB's patterns as regular expressions, so that they too match in linear time.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tailwater::expression {

// * any text, ? one character, [abc] [a-z] [^abc] one of (none of) them; the whole text must match.
// Nothing if a [ is never closed, which would match no text at all.
std::optional<std::string> GlobToRegexp(std::string_view glob);

}  // namespace tailwater::expression
