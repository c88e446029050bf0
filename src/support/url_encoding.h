// Text as a part of a URL's path, or as a value of its query.
#pragma once

#include <string>
#include <string_view>

namespace tailwater {

// Percent-encoded but for the characters that RFC 3986 calls unreserved.
std::string EncodedForUrl(std::string_view text);

}  // namespace tailwater
