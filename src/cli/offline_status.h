// The status document without a daemon: what the topic holds, and what the servers say.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "config/pipeline_config.h"
#include "tailwater/result.h"

namespace tailwater {

// The daemon's document, as far as it can be known: "offline" is true, states are "unknown", and
// what only a running process knows is absent. Opens no lease and changes nothing. Each pipeline
// has its FindOrphans().
Result<nlohmann::ordered_json> OfflineStatus(const std::vector<const PipelineConfig*>& pipelines);

// [{"kind", "name", "detail"}]: what is Tailwater's on the pipeline's servers and in its topic, but
// of no source or sink in the file. Servers that cannot be asked are left out.
nlohmann::ordered_json FindOrphans(const PipelineConfig& pipeline);

}  // namespace tailwater
