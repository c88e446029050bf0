// config/reference.yaml: every option there is, out of the option tables alone.
#pragma once

#include <string>

#include "tailwater/registry.h"

namespace tailwater {

// A file per kind of section, joined: what must be written stands bare, what may be left out is
// commented out and shows its default.
std::string Reference(const Registry& registry);

}  // namespace tailwater
