// Whether bytes are UTF-8: no surrogates, nothing overlong, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace tailwater {

// The length of the longest start of `bytes` that is.
size_t Utf8Prefix(std::string_view bytes);
// How many bytes at the start are below 0x80.
size_t AsciiPrefix(std::string_view bytes);

inline bool IsUtf8(std::string_view text) { return Utf8Prefix(text) == text.size(); }

}  // namespace tailwater
