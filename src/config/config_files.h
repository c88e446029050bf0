// Which files make up a configuration, and what is in them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/config.h"

namespace tailwater {

// Settings of the process, in place of a pipeline.
inline constexpr std::string_view kDaemonFile = "tailwater.yaml";

// Files as given, each with the daemon's settings that lie beside it, and the *.yaml of folders
// sorted by name; each once. What looks like a mistake (an empty folder, a *.yml in it) is a
// problem.
std::vector<std::string> FindConfigFiles(const std::vector<std::string>& paths, Problems& problems);

// Nothing, and a problem, if it cannot be read.
std::optional<std::string> ReadConfigFile(const std::string& path, Problems& problems);

}  // namespace tailwater
