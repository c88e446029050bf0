// `tailwater run`: loads the configuration, runs its pipelines until a signal, returns the exit
// code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/pipeline_config.h"

namespace tailwater {
class Registry;

struct RunOptions {
  enum class Half : uint8_t { kBoth, kCapture, kDeliver };

  std::vector<std::string> paths;  // files or folders
  Half only = Half::kBoth;
  bool until_caught_up = false;
  // Flags override tailwater.yaml; empty = as it says.
  std::optional<std::string> listen;
  std::optional<std::string> instance;
  std::optional<LogLevel> log_level;
  std::optional<LogFormat> log_format;
};

// Prints problems and the reason of an exit to standard error. 0 done, 1 other, 2 configuration, 3
// needs an operator, 4 gap.
int RunDaemon(const RunOptions& options, const Registry& registry);

}  // namespace tailwater
