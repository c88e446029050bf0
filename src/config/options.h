// Checks across the fields of the topic's and the daemon's sections.
#pragma once

#include <string>

#include "config/pipeline_config.h"
#include "tailwater/config.h"

namespace tailwater {

// The `topic:` section, by the option table of its type, with the checks across fields.
void ParseTopic(const ConfigNode& section, TopicConfig& config, Problems& problems);
void CheckTopic(const TopicConfig& config, const ConfigNode& section, Problems& problems);
void CheckDaemon(const DaemonConfig& config, const ConfigNode& section, Problems& problems);

// `start:` of a sink: snapshot, beginning, end, {time: 2026-11-21T09:30:00Z} or {offset: 1234}.
void ParseStart(const ConfigNode& node, StartSpec& out, Problems& problems);

// Whether it can be the name of a pipeline, a source or a sink; what is wrong if not.
std::string NameProblem(const std::string& name);

}  // namespace tailwater
