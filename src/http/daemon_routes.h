// The routes that every daemon has: /metrics, /livez, /readyz, /api/v1/status, those of dead
// letters (dead_letter_routes.h), of sinks (sink_routes.h), of sources (source_routes.h) and a
// small page at / that names them.
#pragma once

#include "http/http_server.h"
#include "monitor/metrics_registry.h"
#include "pipeline/pipeline_set.h"
#include "util/clock.h"

namespace tailwater {

// Everything outlives the server's run. The set's pipelines may come and go meanwhile.
void AddDaemonRoutes(HttpServer& server, const PipelineSet& pipelines, MetricsRegistry& metrics,
                     const Clock& clock);

}  // namespace tailwater
