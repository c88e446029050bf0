// The status document: what `tailwater status`, /api/v1/status and the console show.
//
// Keys of what is unknown are absent. Times are text in UTC, "2026-01-31T12:00:00.123Z"; positions
// and offsets as their systems print them; sizes in bytes, durations in seconds.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "pipeline/pipeline_status.h"

namespace tailwater {

struct DaemonStatus {
  int64_t started_micros = 0;
  int64_t now_micros = 0;
  std::vector<PipelineStatus> pipelines;
};

std::string StatusJson(const DaemonStatus& status);

// The snapshots of one source, as the status document and the API show them: {"settled",
// "tables_copied", "tables_waiting", "stale": [{"table", "why", "since"}], "rows", …, "units":
// [{"id", "table", "state", …}]}. `all`: every unit; else those that have not ended and at most the
// last ten that have.
nlohmann::ordered_json SnapshotsJson(const SnapshotsStatus& snapshots, bool all);
nlohmann::ordered_json SnapshotJson(const SnapshotStatus& snapshot);

// One stage of a pipeline and whether it is proven to work.
struct ReadyCheck {
  std::string name;  // "shop/topic", "shop/sources/orders", "shop/sinks/copy"
  bool ready = false;
  std::string state;
  std::string code;  // of the error; empty while all is well
};
// Ready: capture runs or stands by, and every source and sink works or stands by; a sink that
// hangs in a call to its target does not. How far behind
// it is does not matter.
std::vector<ReadyCheck> CheckReadiness(const PipelineStatus& status);
// {"ready": …, "checks": [{"name": …, "ready": …, "state": …, "code": …}]}
std::string ReadinessJson(const std::vector<ReadyCheck>& checks);
bool IsReady(const std::vector<ReadyCheck>& checks);

}  // namespace tailwater
