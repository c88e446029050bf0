#include "pipeline/pipeline_set.h"

#include <algorithm>
#include <utility>

namespace tailwater {

PipelineSet::List PipelineSet::All() const {
  MutexLock lock(mutex_);
  return pipelines_;
}

std::shared_ptr<Pipeline> PipelineSet::Find(std::string_view name) const {
  for (const auto& pipeline : All()) {
    if (pipeline->config().name == name) return pipeline;
  }
  return nullptr;
}

void PipelineSet::Add(std::shared_ptr<Pipeline> pipeline) {
  MutexLock lock(mutex_);
  const auto place = std::upper_bound(
      pipelines_.begin(), pipelines_.end(), pipeline,
      [](const auto& one, const auto& other) { return one->config().name < other->config().name; });
  pipelines_.insert(place, std::move(pipeline));
}

void PipelineSet::Remove(std::string_view name) {
  std::shared_ptr<Pipeline> gone;  // destroyed without the lock
  MutexLock lock(mutex_);
  const auto found = std::find_if(pipelines_.begin(), pipelines_.end(), [&](const auto& pipeline) {
    return pipeline->config().name == name;
  });
  if (found == pipelines_.end()) return;
  gone = std::move(*found);
  pipelines_.erase(found);
}

}  // namespace tailwater
