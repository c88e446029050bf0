#include "cli/load.h"

#include <cstdio>

#include "config/load_config.h"
#include "sdk/suggest.h"
#include "support/text.h"

namespace tailwater {

std::optional<Config> LoadOrReport(const std::vector<std::string>& paths,
                                   const Registry& registry) {
  Problems problems;
  Config config = LoadConfig(paths, registry, problems);
  for (const Problem& problem : problems.list()) fmt::print(stderr, "{}\n", problem.ToString());
  if (!problems.empty()) return std::nullopt;
  return config;
}

const PipelineConfig* ChoosePipeline(const Config& config, const std::string& name) {
  if (name.empty() && config.pipelines.size() == 1) return &config.pipelines[0];
  std::vector<std::string> names;
  for (const PipelineConfig& pipeline : config.pipelines) {
    if (pipeline.name == name) return &pipeline;
    names.push_back(pipeline.name);
  }
  if (name.empty()) {
    fmt::print(stderr, "tailwater: choose one with --pipeline; there are {}\n",
               fmt::join(names, ", "));
  } else {
    fmt::print(stderr, "tailwater: no pipeline is called '{}'{}; there are {}\n", name,
               DidYouMean(name, {names.begin(), names.end()}), fmt::join(names, ", "));
  }
  return nullptr;
}

}  // namespace tailwater
