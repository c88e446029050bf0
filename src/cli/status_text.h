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

// ", 1,200 of about 4,000 rows, 450 rows/s, 6 s left", as far as it is known.
std::string ProgressText(const nlohmann::ordered_json& snapshot);
// One snapshot: "public.orders (snapshot 7) copying, 30.0%, 1,200 of about 4,000 rows, …".
std::string SnapshotLine(const nlohmann::ordered_json& snapshot);

}  // namespace tailwater
