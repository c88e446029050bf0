#include "cli/reload_plan.h"

#include <utility>

#include "support/text.h"

namespace tailwater {
namespace {

using Kind = ReloadStep::Kind;

constexpr char kRestart[] = "needs a restart";

class Planner {
 public:
  Planner(const Config& running, const Config& next) : running_(running), next_(next) {}

  std::vector<ReloadStep> Plan() {
    for (const PipelineConfig& pipeline : running_.pipelines) {
      if (next_.FindPipeline(pipeline.name) == nullptr) {
        Add(Kind::kRemovePipeline, pipeline.name, "", "pipeline " + pipeline.name, {});
      }
    }
    for (const PipelineConfig& pipeline : next_.pipelines) {
      const PipelineConfig* const old = running_.FindPipeline(pipeline.name);
      if (old != nullptr) Compare(*old, pipeline);
    }
    for (const PipelineConfig& pipeline : next_.pipelines) {
      if (running_.FindPipeline(pipeline.name) == nullptr) {
        Add(Kind::kAddPipeline, pipeline.name, "", "pipeline " + pipeline.name, pipeline.location);
      }
    }
    CompareDaemon();
    return std::move(steps_);
  }

 private:
  void Add(Kind kind, std::string pipeline, std::string sink, std::string what, Location where,
           std::string message = {}) {
    steps_.push_back({kind, std::move(pipeline), std::move(sink), std::move(what), std::move(where),
                      std::move(message)});
  }

  void Compare(const PipelineConfig& old, const PipelineConfig& next) {
    CompareSources(old, next);
    CompareTopic(old, next);
    const auto what = [&](const SinkConfig& sink) { return "sink " + next.name + "/" + sink.name; };
    for (const SinkConfig& sink : old.sinks) {
      if (next.FindSink(sink.name) == nullptr) {
        Add(Kind::kRemoveSink, next.name, sink.name, what(sink), {});
      }
    }
    for (const SinkConfig& sink : next.sinks) {
      const SinkConfig* const before = old.FindSink(sink.name);
      if (before != nullptr && before->hash == sink.hash) continue;
      Add(before == nullptr ? Kind::kAddSink : Kind::kReplaceSink, next.name, sink.name, what(sink),
          sink.location);
    }
  }

  void CompareSources(const PipelineConfig& old, const PipelineConfig& next) {
    const auto reject = [&](const SourceConfig& source, const Location& where,
                            std::string message) {
      Add(Kind::kRejected, next.name, "", "source " + next.name + "/" + source.name, where,
          std::move(message));
    };
    for (const SourceConfig& source : old.sources) {
      if (next.FindSource(source.name) == nullptr) {
        reject(
            source, next.location,
            fmt::format("it is no longer declared: {}, then what it owns is an orphan", kRestart));
      }
    }
    for (const SourceConfig& source : next.sources) {
      const SourceConfig* const before = old.FindSource(source.name);
      if (before == nullptr) {
        reject(source, source.location, fmt::format("a new source: {}", kRestart));
      } else if (before->type != source.type) {
        reject(source, source.location,
               "its type differs: needs a new pipeline, or a source of another name");
      } else if (before->hash != source.hash) {
        reject(source, source.location, fmt::format("its options differ: {}", kRestart));
      }
    }
  }

  void CompareTopic(const PipelineConfig& old, const PipelineConfig& next) {
    if (old.topic.hash == next.topic.hash) return;
    const bool another = old.topic.type != next.topic.type || old.topic.path != next.topic.path ||
                         old.topic.kafka.name != next.topic.kafka.name ||
                         old.topic.kafka.partitions != next.topic.kafka.partitions;
    Add(Kind::kRejected, next.name, "", "topic of pipeline " + next.name, next.topic.location,
        another ? "a topic of another place or number of partitions: needs a new pipeline"
                : fmt::format("its options differ: {}", kRestart));
  }

  void CompareDaemon() {
    const DaemonConfig& old = running_.daemon;
    const DaemonConfig& next = next_.daemon;
    const auto changed = [this](bool differs, Kind kind, const char* what) {
      if (!differs) return;
      Add(kind, "", "", what, {}, kind == Kind::kRejected ? kRestart : "");
    };
    const size_t before = steps_.size();
    changed(old.listen != next.listen, Kind::kRejected, "listen");
    changed(old.shutdown_timeout != next.shutdown_timeout, Kind::kRejected, "shutdown_timeout");
    changed(old.log_level != next.log_level, Kind::kApplied, "log_level");
    changed(old.log_format != next.log_format, Kind::kApplied, "log_format");
    // Such as the token, which nobody compares.
    changed(old.hash != next.hash && steps_.size() == before, Kind::kRejected,
            "settings of tailwater.yaml");
  }

  const Config& running_;
  const Config& next_;
  std::vector<ReloadStep> steps_;
};

}  // namespace

std::vector<ReloadStep> PlanReload(const Config& running, const Config& next) {
  return Planner(running, next).Plan();
}

PipelineConfig MergeReloaded(const PipelineConfig& running, const PipelineConfig& next) {
  PipelineConfig merged = running;
  merged.sinks = next.sinks;
  return merged;
}

}  // namespace tailwater
