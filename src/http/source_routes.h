// The API of sources and of what is copied of their tables.
//
//   GET  /api/v1/pipelines/{pipeline}/sources   states, and a summary of their snapshots
//   GET  …/sources/{source}/snapshots            all of them, and the last ones that have ended
//   POST …/snapshots                             {"table": "public.orders", "where": "id < 10",
//        "sink": "search"}; the last two may be missing. Answers once it is stored.
//   POST …/snapshots/pause, /resume and /cancel  {"unit": 7}, or {} for all that have not ended
#pragma once

#include <functional>
#include <memory>

#include "http/http_server.h"
#include "pipeline/pipeline_status.h"
#include "snapshot/snapshot_status.h"

namespace tailwater {

// A pipeline that the API can be asked about; found anew for every request.
struct ApiPipeline {
  std::string name;
  std::function<PipelineStatus()> status;
  std::function<Result<std::vector<SnapshotStatus>>(const std::string& source,
                                                    const SnapshotRequest& request)>
      request_snapshot;
  std::function<Status(const std::string& source, std::optional<uint64_t> unit,
                       SnapshotAction action)>
      change_snapshot;
};
using ApiPipelines = std::function<std::vector<ApiPipeline>()>;

void AddSourceRoutes(HttpServer& server, ApiPipelines pipelines);

}  // namespace tailwater
