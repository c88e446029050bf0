// Loads the configuration for a command and tells the user what is wrong with it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/pipeline_config.h"

namespace tailwater {

// Nothing if there is any problem; all of them are printed to standard error then, and the command
// ends with kExitConfiguration.
std::optional<Config> LoadOrReport(const std::vector<std::string>& paths, const Registry& registry);

// The pipeline of that name, or the only one; else null, and the user is told what there is.
const PipelineConfig* ChoosePipeline(const Config& config, const std::string& name);

}  // namespace tailwater
