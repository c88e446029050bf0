// Makes the topic that a pipeline's configuration names.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "config/pipeline_config.h"
#include "tailwater/result.h"
#include "topic/topic.h"

namespace tailwater {

// Touches nothing on disk or network yet: handles do. `instance` names this process among those
// that share the topic's work; empty for one that only looks. kFatal "topic_type_unknown" for a
// type that LoadConfig() would have refused.
Result<std::unique_ptr<Topic>> OpenTopic(const TopicConfig& config, const std::string& pipeline,
                                         const std::string& instance = {});

// A command waits so long for the topic's lease: in a cluster it outlives the process that held it.
constexpr std::chrono::seconds kLeasePatience{12};

}  // namespace tailwater
