// What a misspelt name was meant to be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tailwater {

// Insertions, deletions, replacements and swaps of neighbours that turn one text into the other.
size_t EditDistance(std::string_view a, std::string_view b);

// The candidate nearest to `text`, if it is near enough to be a typing error; else empty.
std::string_view Nearest(std::string_view text, const std::vector<std::string_view>& candidates);

// " (did you mean 'database'?)", or nothing.
std::string DidYouMean(std::string_view text, const std::vector<std::string_view>& candidates);

}  // namespace tailwater
