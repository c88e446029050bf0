#include "monitor/status.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>

#include "support/text.h"
#include "util/build_info.h"

namespace tailwater {
namespace {

using Json = nlohmann::ordered_json;

std::string TimeText(int64_t unix_micros) {
  const std::time_t seconds = unix_micros / 1'000'000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     unix_micros / 1000 % 1000);
}

// Bytes that a server or a connector made need not be valid UTF-8.
std::string Dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

template <class T>
void Add(Json& to, const char* key, const std::optional<T>& value) {
  if (value) to[key] = *value;
}
void Add(Json& to, const char* key, const std::optional<Position>& value) {
  if (value) to[key] = value->text;
}
void Add(Json& to, const char* key, std::string_view value) {
  if (!value.empty()) to[key] = value;
}
void AddTime(Json& to, const char* key, const std::optional<int64_t>& unix_micros) {
  if (unix_micros && *unix_micros > 0) to[key] = TimeText(*unix_micros);
}

Json LogJson(const LogWatchStatus& log) {
  Json json = Json::object();
  if (log.health) {
    const LogHealth& health = *log.health;
    Add(json, "state", health.state);
    Add(json, "active", health.active);
    Add(json, "server_end", health.server_end);
    Add(json, "retained_bytes", health.retained_bytes);
    Add(json, "safe_bytes", health.safe_bytes);
    Add(json, "safe_seconds", health.safe_seconds);
    Add(json, "headroom_bytes", health.headroom_bytes);
    Add(json, "headroom_seconds", health.headroom_seconds);
    Add(json, "confirmed_lag_bytes", health.confirmed_lag_bytes);
    Add(json, "restart_lag_bytes", health.restart_lag_bytes);
    Add(json, "growth_bytes_per_second", log.growth_bytes_per_second);
    Add(json, "seconds_until_loss", log.seconds_until_loss);
    Add(json, "explanation", health.explanation);
  }
  AddTime(json, "checked_at", log.checked_micros);
  Add(json, "code", log.code);
  Add(json, "message", log.message);
  return json;
}

Json SourceJson(const SourceStatus& source, const LogWatchStatus* log) {
  Json json;
  json["name"] = source.name;
  json["type"] = source.type;
  json["state"] = SourceStateName(source.state);
  AddTime(json, "since", source.since_micros);
  Add(json, "code", source.code);
  Add(json, "message", source.message);
  AddTime(json, "next_retry_at", source.next_retry_micros);
  json["reconnects"] = source.reconnects;
  Add(json, "frontier", source.frontier);
  AddTime(json, "frontier_commit_time", source.frontier_time_micros);
  AddTime(json, "checkpoint_saved_at", source.checkpoint_saved_micros);
  Add(json, "received", source.received);
  AddTime(json, "last_commit_time", source.last_commit_micros);
  if (log != nullptr && log->health) {
    Add(json, "server_end", log->health->server_end);
    Add(json, "lag_bytes", log->health->confirmed_lag_bytes);
  }
  Add(json, "lag_seconds", source.lag_seconds);
  json["epoch"] = source.epoch;
  json["transactions"] = source.transactions;
  json["events"] = source.events;
  json["records"] = source.records;
  json["in_flight_bytes"] = source.in_flight_bytes;
  if (source.in_progress) {
    json["in_progress"] = {{"position", source.in_progress->position},
                           {"published_events", source.in_progress->events}};
  }
  // Changes that were lost, and passed by a new start.
  for (const GapStatus& gap : source.gaps) {
    Json passed;
    passed["code"] = gap.code;
    passed["message"] = gap.message;
    Add(passed, "from", gap.from);
    Add(passed, "to", gap.to);
    AddTime(passed, "at", gap.at_micros);
    passed["epoch"] = gap.epoch;
    json["gaps"].push_back(std::move(passed));
  }
  if (log != nullptr) json["log"] = LogJson(*log);
  json["identity"] = source.identity;
  json["snapshots"] = SnapshotsJson(source.snapshots, false);
  return json;
}

// By what the server believes of the table: never all of it before it has ended.
std::optional<double> PercentOf(const SnapshotStatus& snapshot) {
  constexpr double kMost = 99.9;
  if (snapshot.state == SnapshotState::kDone) return 100.0;
  if (!snapshot.estimated_rows || *snapshot.estimated_rows == 0) return std::nullopt;
  return std::min(kMost, 100.0 * static_cast<double>(snapshot.rows) /
                             static_cast<double>(*snapshot.estimated_rows));
}

Json SinkJson(const PipelineStatus::Sink& sink) {
  const SinkStatus& status = sink.status;
  Json json;
  json["name"] = status.sink;
  json["type"] = sink.type;
  json["state"] = SinkStateName(status.state);
  if (status.disposition) json["disposition"] = DispositionName(*status.disposition);
  Add(json, "code", status.code);
  Add(json, "message", status.message);
  Add(json, "record_id", status.record_id);
  AddTime(json, "next_retry_at", status.next_retry_micros);
  Json offsets = Json::object();
  for (const auto& [partition, offset] : status.offsets)
    offsets[std::to_string(partition)] = offset;
  json["offsets"] = std::move(offsets);
  Add(json, "lag_records", status.lag_records);
  Add(json, "lag_seconds", status.lag_seconds);
  Add(json, "call_seconds", status.call_seconds);
  // read = applied + superseded + filtered + dead + parked + waiting
  json["read"] = status.read;
  json["applied"] = status.applied;
  json["superseded"] = status.superseded;
  json["filtered"] = status.filtered;
  json["dead"] = status.dead;
  json["parked"] = status.parked;
  json["waiting"] = status.waiting;
  json["in_flight"] = status.in_flight;
  json["rejected"] = status.rejected;
  json["base_missing"] = status.base_missing;
  json["replayed"] = status.replayed;
  json["retries"] = status.retries;
  Json dead = Json::object();
  uint64_t total = 0;
  for (const auto& [code, count] : status.dead_letters) {
    dead[code] = count;
    total += count;
  }
  json["dead_stored"] = status.dead_stored;
  json["parked_stored"] = status.parked_stored;
  json["dead_letters"] = {{"total", total}, {"by_code", std::move(dead)}};
  AddTime(json["dead_letters"], "oldest_at", status.oldest_stored_micros);
  json["stopped_tables"] = Json::array();
  for (const StoppedTable& table : status.stopped_tables) {
    Json entry = {{"source", table.source},
                  {"table", table.table},
                  {"code", table.code},
                  {"reason", table.reason},
                  {"parked", table.parked}};
    AddTime(entry, "since", table.since_micros);
    json["stopped_tables"].push_back(std::move(entry));
  }
  Json frontiers = Json::object();
  for (const auto& [source, frontier] : status.frontiers) {
    frontiers[source]["position"] = frontier.position;
    AddTime(frontiers[source], "commit_time", frontier.source_time_micros);
  }
  json["frontiers"] = std::move(frontiers);
  return json;
}

Json PipelineJson(const PipelineStatus& pipeline) {
  Json json;
  json["name"] = pipeline.name;
  json["half"] = PipelineHalfName(pipeline.half);

  Json topic;
  topic["location"] = pipeline.topic.location;
  Add(topic, "log_id", pipeline.topic.log_id);
  topic["partitions"] = Json::array();
  for (const auto& [partition, range] : pipeline.topic.ranges) {
    topic["partitions"].push_back(
        {{"partition", partition}, {"begin", range.begin}, {"end", range.end}});
  }
  Add(topic, "stored_bytes", pipeline.topic.stored_bytes);
  json["topic"] = std::move(topic);

  json["sources"] = Json::array();
  if (pipeline.capture) {
    const CaptureStatus& capture = *pipeline.capture;
    json["capture"]["state"] = CapturePhaseName(capture.phase);
    AddTime(json["capture"], "since", capture.since_micros);
    Add(json["capture"], "code", capture.code);
    Add(json["capture"], "message", capture.message);
    Add(json["capture"], "lease_holder", capture.lease_holder);
    json["capture"]["queued_bytes"] = capture.queued_bytes;
    for (const SourceStatus& source : capture.sources) {
      const auto log = pipeline.logs.find(source.name);
      json["sources"].push_back(
          SourceJson(source, log == pipeline.logs.end() ? nullptr : &log->second));
    }
  }
  json["sinks"] = Json::array();
  for (const PipelineStatus::Sink& sink : pipeline.sinks) json["sinks"].push_back(SinkJson(sink));
  for (const std::string& sink : pipeline.orphan_sinks) {
    json["orphans"].push_back({{"kind", "place in the topic"},
                               {"name", sink},
                               {"detail", "of a sink that the file no longer declares"}});
  }
  return json;
}

// A call to a target that takes longer is not proven to make progress.
constexpr double kHangingCallSeconds = 60;

bool Works(CapturePhase phase) {
  return phase == CapturePhase::kRunning || phase == CapturePhase::kStandby;
}
// A person paused it: nothing to be repaired.
bool Works(SinkState state) {
  return state == SinkState::kRunning || state == SinkState::kStandby ||
         state == SinkState::kPaused;
}

}  // namespace

Json SnapshotJson(const SnapshotStatus& snapshot) {
  Json json;
  json["id"] = snapshot.id;
  json["table"] = snapshot.request.table;
  Add(json, "where", snapshot.request.where);
  Add(json, "sink", snapshot.request.addressee);
  json["reason"] = snapshot.reason;
  json["state"] = SnapshotStateName(snapshot.state);
  Add(json, "waits_for", snapshot.waits_for);
  Add(json, "code", snapshot.code);
  Add(json, "message", snapshot.message);
  json["rows"] = snapshot.rows;
  json["bytes"] = snapshot.bytes;
  Add(json, "estimated_rows", snapshot.estimated_rows);
  Add(json, "estimated_bytes", snapshot.estimated_bytes);
  Add(json, "percent", PercentOf(snapshot));
  Add(json, "rows_per_second", snapshot.rows_per_second);
  Add(json, "seconds_left", snapshot.seconds_left);
  json["chunks"] = snapshot.chunks;
  json["chunks_again"] = snapshot.chunks_again;
  AddTime(json, "requested_at", snapshot.requested_micros);
  AddTime(json, "started_at", snapshot.started_micros);
  AddTime(json, "ended_at", snapshot.ended_micros);
  return json;
}

Json SnapshotsJson(const SnapshotsStatus& snapshots, bool all) {
  constexpr size_t kEndedShown = 10;
  Json json;
  json["settled"] = snapshots.settled;
  json["tables_copied"] = snapshots.tables_copied;
  json["tables_waiting"] = snapshots.tables_waiting;
  for (const StaleTable& table : snapshots.stale) {
    Json stale = {{"table", table.table}, {"why", table.why}};
    AddTime(stale, "since", table.since_micros);
    json["stale"].push_back(std::move(stale));
  }
  Add(json, "throttled_by", snapshots.throttled_by);
  Add(json, "code", snapshots.code);
  Add(json, "message", snapshots.message);
  if (snapshots.tables_waiting > 0) {
    json["rows"] = snapshots.rows;
    Add(json, "estimated_rows", snapshots.estimated_rows);
    Add(json, "rows_per_second", snapshots.rows_per_second);
    Add(json, "seconds_left", snapshots.seconds_left);
  }
  json["units"] = Json::array();
  size_t ended = 0;
  for (const SnapshotStatus& unit : snapshots.units) {
    if (unit.ended_micros && !all && ++ended > kEndedShown) break;
    json["units"].push_back(SnapshotJson(unit));
  }
  return json;
}

std::string StatusJson(const DaemonStatus& status) {
  Json json;
  json["version"] = BuildVersion();
  json["revision"] = BuildRevision();
  AddTime(json, "started_at", status.started_micros);
  AddTime(json, "now", status.now_micros);
  json["uptime_seconds"] = static_cast<double>(status.now_micros - status.started_micros) / 1e6;
  json["pipelines"] = Json::array();
  for (const PipelineStatus& pipeline : status.pipelines)
    json["pipelines"].push_back(PipelineJson(pipeline));
  return Dump(json);
}

std::vector<ReadyCheck> CheckReadiness(const PipelineStatus& status) {
  std::vector<ReadyCheck> checks;
  if (status.capture) {
    const CaptureStatus& capture = *status.capture;
    checks.push_back({status.name + "/capture", Works(capture.phase),
                      std::string(CapturePhaseName(capture.phase)), capture.code});
    // A standby's sources wait as they should.
    const bool standby = capture.phase == CapturePhase::kStandby;
    for (const SourceStatus& source : capture.sources) {
      checks.push_back({status.name + "/sources/" + source.name,
                        standby || source.state == SourceState::kStreaming,
                        std::string(SourceStateName(source.state)), source.code});
    }
  }
  for (const PipelineStatus::Sink& sink : status.sinks) {
    const bool hangs = sink.status.call_seconds.value_or(0) > kHangingCallSeconds;
    checks.push_back({status.name + "/sinks/" + sink.status.sink,
                      Works(sink.status.state) && !hangs,
                      std::string(SinkStateName(sink.status.state)),
                      hangs ? "sink_call_hangs" : sink.status.code});
    for (const StoppedTable& table : sink.status.stopped_tables) {
      checks.push_back({fmt::format("{}/sinks/{}/{}/{}", status.name, sink.status.sink,
                                    table.source, table.table),
                        false, "table_stopped", table.code});
    }
  }
  return checks;
}

bool IsReady(const std::vector<ReadyCheck>& checks) {
  return !checks.empty() && std::all_of(checks.begin(), checks.end(),
                                        [](const ReadyCheck& check) { return check.ready; });
}

std::string ReadinessJson(const std::vector<ReadyCheck>& checks) {
  Json json;
  json["ready"] = IsReady(checks);
  json["checks"] = Json::array();
  for (const ReadyCheck& check : checks) {
    Json entry = {{"name", check.name}, {"ready", check.ready}, {"state", check.state}};
    Add(entry, "code", check.code);
    json["checks"].push_back(std::move(entry));
  }
  return Dump(json);
}

}  // namespace tailwater
