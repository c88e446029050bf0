// ${env:NAME} and ${file:/path} in configuration texts.
#pragma once

#include <string>
#include <string_view>

namespace tailwater {

enum class ExpandFiles : bool { kNo, kYes };

struct Expansion {
  std::string text;
  std::string problem;  // empty = fine; never holds the text itself
};

// Replaces every ${env:NAME}, and every ${file:/path} where that is allowed, by what it stands for.
// "$${" stands for "${".
Expansion Expand(std::string_view expression, ExpandFiles files);

// Finds mistakes in the form alone; looks nothing up. Empty = fine.
std::string CheckExpansion(std::string_view expression, ExpandFiles files);

}  // namespace tailwater
