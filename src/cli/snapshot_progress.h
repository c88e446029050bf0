// How far a snapshot is, for somebody who watches.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/api_client.h"

namespace tailwater {

// One line of at most `width` characters (0 = no limit): "public.orders [████░░░░] 42.1%, 1,200 of
// about 4,000 rows, 450 rows/s, 6 s left". `unit` as the API shows it.
std::string ProgressBar(const nlohmann::ordered_json& unit, size_t width);

// Asks the daemon again and again until the unit has ended or the user presses ^C: a bar on a
// terminal, else a line every few seconds; nothing at all if `quiet`. What the API said last goes
// to `last`. The exit code.
int FollowSnapshot(const ApiAddress& api, const std::string& snapshots_path, uint64_t unit,
                   bool quiet, const std::string& when_interrupted, nlohmann::ordered_json& last);

}  // namespace tailwater
