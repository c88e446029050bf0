#include "cli/offline_status.h"

#include <nlohmann/json.hpp>
#include <set>

#include "checkpoint/checkpoint.h"
#include "monitor/metrics_registry.h"
#include "monitor/status.h"
#include "topic/open_topic.h"
#include "util/clock.h"

namespace tailwater {
namespace {

using nlohmann::ordered_json;

class Looker {
 public:
  explicit Looker(const PipelineConfig& config) : config_(config) { status_.name = config.name; }

  Status Look() {
    TW_ASSIGN_OR_RETURN(topic_, OpenTopic(config_.topic, config_.name));
    TW_TRY(LookAtTopic());
    CaptureStatus& capture = status_.capture.emplace();
    for (const SourceConfig& source : config_.sources) {
      TW_ASSIGN_OR_RETURN(SourceStatus found, LookAtSource(source));
      capture.sources.push_back(std::move(found));
      AskServer(source, capture.sources.back());
    }
    for (const SinkConfig& sink : config_.sinks) TW_TRY(LookAtSink(sink));
    return {};
  }

  const PipelineStatus& status() const { return status_; }

 private:
  Status LookAtTopic() {
    status_.topic.location = topic_->Describe();
    status_.topic.stored_bytes = topic_->StoredBytes();
    auto reader = topic_->OpenReader();
    if (!reader && reader.error().code == "topic_not_created") return {};
    if (!reader) return std::move(reader).error().Within("topic");
    reader_ = *std::move(reader);
    status_.topic.log_id = reader_->log_id();
    TW_ASSIGN_OR_RETURN(status_.topic.ranges, reader_->Ranges());
    TW_ASSIGN_OR_RETURN(state_, topic_->PeekState());
    return {};
  }

  Result<SourceStatus> LookAtSource(const SourceConfig& source) {
    SourceStatus out;
    out.name = source.name;
    out.type = source.type->type;
    if (!state_.contains(CheckpointKey(source.name))) return out;
    Offsets ends;
    for (const auto& [partition, range] : status_.topic.ranges) ends[partition] = range.end;
    auto checkpoint =
        Checkpoint::Load(source.name, out.type, state_, status_.topic.log_id, ends, clock_);
    if (!checkpoint) {  // newer, malformed, of another log: that is what status is asked for
      out.code = checkpoint.error().code;
      out.message = checkpoint.error().message;
      return out;
    }
    const Checkpoint::Durable durable = (*checkpoint)->durable();
    out.identity = durable.identity;
    out.frontier = durable.frontier;
    if (durable.frontier_time_micros > 0) out.frontier_time_micros = durable.frontier_time_micros;
    if (durable.saved_at_micros > 0) out.checkpoint_saved_micros = durable.saved_at_micros;
    out.epoch = durable.epoch;
    out.last_version = durable.last_version;
    if (durable.in_progress) {
      out.in_progress = {durable.in_progress->position, durable.in_progress->events};
    }
    return out;
  }

  // An unreachable server is part of the answer, too.
  void AskServer(const SourceConfig& source, const SourceStatus& place) {
    LogWatchStatus& log = status_.logs[source.name];
    auto tools =
        source.type->tools(source.config, SourceContext{config_.name, source.name, source.tables,
                                                        "", Logger("status"), metrics_.root()});
    if (tools) (*tools)->Follow(place.frontier, place.frontier_time_micros.value_or(0));
    auto health = tools ? (*tools)->Watch() : Result<LogHealth>(tools.error());
    if (!health) {
      log.code = health.error().code;
      log.message = health.error().message;
      return;
    }
    log.health = *std::move(health);
    log.checked_micros = clock_.UnixMicros();
  }

  Status LookAtSink(const SinkConfig& sink) {
    PipelineStatus::Sink& out = status_.sinks.emplace_back();
    out.type = sink.type->type;
    out.status.sink = sink.name;
    TW_ASSIGN_OR_RETURN(const Subscription::Stored stored, topic_->PeekOffsets(sink.name));
    out.status.log_id = stored.log_id;
    out.status.offsets = stored.offsets;
    if (stored.paused) out.status.state = SinkState::kPaused;
    TW_ASSIGN_OR_RETURN(const Subscription::DeadLetterCounts dead,
                        topic_->PeekDeadLetters(sink.name));
    out.status.dead_letters = dead.by_code;
    out.status.dead_stored = dead.dead;
    out.status.parked_stored = dead.parked;
    out.status.oldest_stored_micros = dead.oldest_micros;
    if (stored.log_id.empty() || reader_ == nullptr) return {};
    if (stored.log_id != status_.topic.log_id) {
      out.status.code = "topic_replaced";
      out.status.message = "its offsets belong to another log than the one that is there now";
      return {};
    }
    int64_t records = 0;
    std::optional<int64_t> oldest;
    for (const auto& [partition, range] : status_.topic.ranges) {
      const auto offset = stored.offsets.find(partition);
      const int64_t from = offset == stored.offsets.end() ? range.begin : offset->second;
      records += range.end - from;
      if (from >= range.end) continue;
      auto batch = reader_->Read(partition, from, 1, std::chrono::milliseconds(0), {});
      if (!batch) {
        out.status.code = batch.error().code;
        out.status.message = batch.error().message;
        return {};
      }
      if (*batch != nullptr && !(*batch)->records.empty()) {
        const int64_t time = (*batch)->records[0].timestamp_micros;
        oldest = oldest ? std::min(*oldest, time) : time;
      }
    }
    out.status.lag_records = records;
    if (records == 0) out.status.lag_seconds = 0;
    if (oldest) {
      out.status.lag_seconds =
          std::max(0.0, static_cast<double>(clock_.UnixMicros() - *oldest) / 1e6);
    }
    return {};
  }

  const PipelineConfig& config_;
  const SystemClock clock_;
  MetricsRegistry metrics_;
  std::unique_ptr<Topic> topic_;
  std::shared_ptr<TopicReader> reader_;
  std::map<std::string, std::string> state_;
  PipelineStatus status_;
};

}  // namespace

Result<ordered_json> OfflineStatus(const std::vector<const PipelineConfig*>& pipelines) {
  DaemonStatus document;
  document.now_micros = SystemClock().UnixMicros();
  for (const PipelineConfig* pipeline : pipelines) {
    Looker looker(*pipeline);
    if (auto status = looker.Look(); !status) {
      return std::move(status).error().Within("pipeline " + pipeline->name);
    }
    document.pipelines.push_back(looker.status());
  }
  ordered_json json = ordered_json::parse(StatusJson(document));
  json["offline"] = true;
  json.erase("uptime_seconds");
  for (size_t i = 0; i < pipelines.size(); ++i) {
    ordered_json& pipeline = json["pipelines"][i];
    pipeline.erase("capture");
    // What only the process knows.
    for (ordered_json& source : pipeline["sources"]) {
      source["state"] = "unknown";
      for (const char* key :
           {"reconnects", "transactions", "events", "records", "in_flight_bytes", "snapshots"}) {
        source.erase(key);
      }
    }
    for (ordered_json& sink : pipeline["sinks"]) {
      // A pause outlives the process.
      if (sink["state"] != SinkStateName(SinkState::kPaused)) sink["state"] = "unknown";
      for (const char* key :
           {"read", "applied", "superseded", "filtered", "dead", "parked", "waiting", "in_flight",
            "rejected", "base_missing", "replayed", "retries", "frontiers"}) {
        sink.erase(key);
      }
    }
    pipeline["orphans"] = FindOrphans(*pipelines[i]);
  }
  return json;
}

ordered_json FindOrphans(const PipelineConfig& pipeline) {
  ordered_json orphans = ordered_json::array();
  MetricsRegistry metrics;
  // Two sources may be of one server: what is the one's is not the other's orphan.
  std::set<std::pair<std::string, std::string>> seen;
  std::vector<std::pair<std::string, OwnedObject>> candidates;
  for (const SourceConfig& source : pipeline.sources) {
    auto tools =
        source.type->tools(source.config, SourceContext{pipeline.name, source.name, source.tables,
                                                        "", Logger("status"), metrics.root()});
    const auto owned =
        tools ? (*tools)->ListOwned() : Result<std::vector<OwnedObject>>(tools.error());
    if (!owned) continue;  // the log's state says already why the server cannot be asked
    for (const OwnedObject& object : *owned) {
      if (object.orphan) {
        candidates.emplace_back(source.name, object);
      } else {
        seen.emplace(object.kind, object.name);
      }
    }
  }
  for (const auto& [source, object] : candidates) {
    if (!seen.emplace(object.kind, object.name).second) continue;
    orphans.push_back({{"kind", object.kind},
                       {"name", object.name},
                       {"source", source},
                       {"detail", object.detail}});
  }
  const auto topic = OpenTopic(pipeline.topic, pipeline.name);
  const auto sinks =
      topic ? (*topic)->KnownSinks() : Result<std::vector<std::string>>(topic.error());
  if (!sinks) return orphans;
  for (const std::string& sink : *sinks) {
    if (pipeline.FindSink(sink) != nullptr) continue;
    orphans.push_back({{"kind", "place in the topic"},
                       {"name", sink},
                       {"detail", "of a sink that the file no longer declares"}});
  }
  return orphans;
}

}  // namespace tailwater
