// The routes that every daemon has: /metrics, /livez, /readyz, /api/v1/status, those of dead
// letters (dead_letter_routes.h) and a small page at / that names them.
#pragma once

#include <memory>
#include <vector>

#include "http/http_server.h"
#include "monitor/metrics_registry.h"
#include "pipeline/pipeline.h"
#include "util/clock.h"

namespace tailwater {

// Everything outlives the server's run. The vector is read from the server's threads: it must not
// change while the server runs.
void AddDaemonRoutes(HttpServer& server, const std::vector<std::unique_ptr<Pipeline>>& pipelines,
                     MetricsRegistry& metrics, const Clock& clock);

}  // namespace tailwater
