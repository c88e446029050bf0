// What a reload has to do: the differences between what runs and what the files say now. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/pipeline_config.h"

namespace tailwater {

struct ReloadStep {
  enum class Kind : uint8_t {
    kRemovePipeline,
    kRemoveSink,
    kReplaceSink,  // its options differ
    kAddSink,
    kAddPipeline,
    kApplied,   // a daemon setting that changes live
    kRejected,  // cannot change while it runs; the rest of the reload goes on
  };
  Kind kind = Kind::kRejected;
  std::string pipeline;  // empty: a daemon setting
  std::string sink;
  std::string what;     // "sink shop/copy"
  Location where;       // in the files as they are now; line 0: not there
  std::string message;  // kRejected: why, and what to do
};

// In the order in which they are to be done: what goes, goes first.
std::vector<ReloadStep> PlanReload(const Config& running, const Config& next);

// What runs once the plan was done: `next`, but for what was rejected.
PipelineConfig MergeReloaded(const PipelineConfig& running, const PipelineConfig& next);

}  // namespace tailwater
