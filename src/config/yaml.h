// From YAML text to ConfigNode; nothing else here knows the YAML library.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tailwater/config.h"

namespace tailwater {

// One document. Syntax errors, duplicate keys, keys that are no text, tags and a second document
// become problems; lines and columns count from 1. Nothing only if the text is no YAML at all.
std::optional<ConfigNode> ParseYaml(const std::string& text, const std::string& file,
                                    Problems& problems);

}  // namespace tailwater
