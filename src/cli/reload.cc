#include "cli/reload.h"

#include "config/load_config.h"
#include "support/text.h"
#include "tailwater/log.h"

namespace tailwater {
namespace {

// Sources or sinks of one pipeline.
template <class Part, class Find>
void DescribeParts(std::string_view kind, const std::string& pipeline,
                   const std::vector<Part>& parts, std::string_view change, Find find_other,
                   std::vector<std::string>& changes) {
  for (const Part& part : parts) {
    if (find_other(part.name) == nullptr)
      changes.push_back(fmt::format("{} {}/{} {}", kind, pipeline, part.name, change));
  }
}

void DescribePipeline(const PipelineConfig& running, const PipelineConfig& next,
                      std::vector<std::string>& changes) {
  if (running.hash == next.hash) return;
  const size_t before = changes.size();
  const auto source_of = [](const PipelineConfig& pipeline) {
    return [&pipeline](const std::string& name) { return pipeline.FindSource(name); };
  };
  const auto sink_of = [](const PipelineConfig& pipeline) {
    return [&pipeline](const std::string& name) { return pipeline.FindSink(name); };
  };
  DescribeParts("source", next.name, next.sources, "added", source_of(running), changes);
  DescribeParts("sink", next.name, next.sinks, "added", sink_of(running), changes);
  DescribeParts("source", next.name, running.sources, "removed", source_of(next), changes);
  DescribeParts("sink", next.name, running.sinks, "removed", sink_of(next), changes);
  if (changes.size() == before) changes.push_back(fmt::format("pipeline {} changed", next.name));
}

}  // namespace

std::vector<std::string> DescribeChanges(const Config& running, const Config& next) {
  std::vector<std::string> changes;
  for (const PipelineConfig& pipeline : next.pipelines) {
    if (const PipelineConfig* const old = running.FindPipeline(pipeline.name)) {
      DescribePipeline(*old, pipeline, changes);
    } else {
      changes.push_back(fmt::format("pipeline {} added", pipeline.name));
    }
  }
  for (const PipelineConfig& pipeline : running.pipelines) {
    if (next.FindPipeline(pipeline.name) == nullptr)
      changes.push_back(fmt::format("pipeline {} removed", pipeline.name));
  }
  if (next.daemon.listen != running.daemon.listen)
    changes.push_back(fmt::format("listen changed to {}", next.daemon.listen));
  if (next.daemon.shutdown_timeout != running.daemon.shutdown_timeout)
    changes.push_back("shutdown_timeout changed");
  return changes;
}

void Reload(const RunOptions& options, const Registry& registry, const Config& running) {
  const Logger logger("daemon");
  Problems problems;
  const Config next = LoadConfig(options.paths, registry, problems);
  if (!problems.empty()) {
    for (const Problem& problem : problems.list())
      logger.Error("configuration is invalid", {{"problem", problem.ToString()}});
    logger.Error("reload refused: the running configuration stays as it is");
    return;
  }
  SetUpLog(options.log_level.value_or(next.daemon.log_level),
           options.log_format.value_or(next.daemon.log_format));
  const std::vector<std::string> changes = DescribeChanges(running, next);
  for (const std::string& change : changes)
    logger.Warn("configuration differs from the running one: restart needed", {{"change", change}});
  if (changes.empty()) logger.Info("reloaded; nothing that needs a restart has changed");
}

}  // namespace tailwater
