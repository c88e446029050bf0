// One number for what is written in a pipeline's files.
#pragma once

#include <string>
#include <vector>

#include "tailwater/config.h"

namespace tailwater {

// 16 hexadecimal digits that do not depend on layout, comments, the order of keys, or the order of
// the files. Variables count by their name, not by their value.
std::string ConfigHash(const std::vector<ConfigNode>& files);

}  // namespace tailwater
