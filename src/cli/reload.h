// What SIGHUP does to a running daemon: reads the files again and says what a restart would change.
#pragma once

#include <string>
#include <vector>

#include "cli/run.h"
#include "config/pipeline_config.h"

namespace tailwater {

// An invalid configuration changes nothing; each of its problems is logged. Log level and format of
// a valid one apply at once unless flags override them; each other difference is logged as needing
// a restart.
void Reload(const RunOptions& options, const Registry& registry, const Config& running);

// What a restart with `next` would change: "sink shop/copy added".
std::vector<std::string> DescribeChanges(const Config& running, const Config& next);

}  // namespace tailwater
