// Reads configuration files and checks all that can be known without connecting to anything.
#pragma once

#include <string>
#include <vector>

#include "config/pipeline_config.h"
#include "tailwater/config.h"
#include "tailwater/registry.h"

namespace tailwater {

// `paths` are files, or folders, of which every *.yaml is read in the order of the names. A file
// called tailwater.yaml holds daemon settings, any other one (part of) a pipeline. Never stops at
// the first problem: all of them, of all files, are added to `problems` sorted by file and line.
// The result may be used only if there are none.
Config LoadConfig(const std::vector<std::string>& paths, const Registry& registry,
                  Problems& problems);

// The option tables of what is no connector; for the reference.
const OptionTable& LocalTopicOptionTable();
const OptionTable& KafkaTopicOptionTable();
const OptionTable& DaemonOptions();

}  // namespace tailwater
