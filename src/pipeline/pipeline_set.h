// The pipelines of a process, while they come and go. Thread-safe; who got one shares it, and it
// lives on, stopped, while somebody does.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "pipeline/pipeline.h"
#include "util/mutex.h"

namespace tailwater {

class PipelineSet {
 public:
  using List = std::vector<std::shared_ptr<Pipeline>>;

  List All() const TW_EXCLUDES(mutex_);  // sorted by name
  std::shared_ptr<Pipeline> Find(std::string_view name) const TW_EXCLUDES(mutex_);  // or null
  void Add(std::shared_ptr<Pipeline> pipeline) TW_EXCLUDES(mutex_);
  void Remove(std::string_view name) TW_EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  List pipelines_ TW_GUARDED_BY(mutex_);
};

}  // namespace tailwater
