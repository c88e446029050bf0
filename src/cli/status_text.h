// The status document as people read it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/output.h"

namespace tailwater {

// Understands documents of older and newer daemons: what is missing is left out. `width` of the
// terminal; 0 = no limit.
std::string StatusText(const nlohmann::ordered_json& document, const Palette& palette,
                       size_t width);

}  // namespace tailwater
