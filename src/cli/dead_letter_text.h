// Dead and parked records as people read them.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/output.h"

namespace tailwater {

// One row per record of a list, its reason below it; nothing of the row's values. Ids are never
// cut. `width` of the terminal; 0 = no limit.
std::string DeadLetterTableText(const std::vector<nlohmann::ordered_json>& letters,
                                int64_t now_micros, const Palette& palette, size_t width);

// All about one record, its change included.
std::string DeadLetterText(const nlohmann::ordered_json& letter, const Palette& palette,
                           size_t width);

}  // namespace tailwater
