// Brings a running daemon in line with its files, at SIGHUP or POST /api/v1/reload.
//
// All files are validated first: with a problem in any, nothing changes. Then each difference is
// dealt with by itself; one that is rejected or fails keeps no other from being applied. What
// became of each is logged and answered.
//
// Threads:   one of its own does the work, since a sink that is to stop may be in a long call;
//            Request(), Reload() from any, Stop() from the owner's.
// Ownership: options, registry, pipelines and metrics outlive it. From the first request on it
//            alone changes the set, until Stop() returned.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "cli/reload_plan.h"
#include "cli/run.h"
#include "http/reload_route.h"
#include "monitor/metrics_registry.h"
#include "pipeline/pipeline_set.h"
#include "tailwater/log.h"
#include "util/mutex.h"

namespace tailwater {

class Reloader {
 public:
  using Create = std::function<Result<std::shared_ptr<Pipeline>>(const PipelineConfig&)>;

  Reloader(const RunOptions& options, const Registry& registry, Config running,
           PipelineSet& pipelines, MetricsRegistry& metrics, Create create);
  ~Reloader();  // Stop()
  Reloader(const Reloader&) = delete;
  Reloader& operator=(const Reloader&) = delete;

  void Start();
  // Returns at once. Several requests before one is begun are one.
  void Request() TW_EXCLUDES(mutex_);
  // Waits for the outcome. kRetry "reload_busy": it takes longer than `timeout` (and goes on), or
  // the daemon stops.
  Result<ReloadReport> Reload(std::chrono::milliseconds timeout) TW_EXCLUDES(mutex_);
  // Waits for the step in progress; what is left of a reload is not done. Safe twice.
  void Stop() TW_EXCLUDES(mutex_);

 private:
  void Run() TW_EXCLUDES(mutex_);
  ReloadReport Apply();
  ReloadOutcome Do(const ReloadStep& step, const Config& next);
  bool Stopping() const TW_EXCLUDES(mutex_);
  void Log(const ReloadReport& report) const;

  const RunOptions& options_;
  const Registry& registry_;
  PipelineSet& pipelines_;
  MetricsRegistry& metrics_;
  const Create create_;
  const Logger logger_{"daemon"};
  Config running_;  // of the own thread

  mutable Mutex mutex_;
  CondVar changed_;
  uint64_t requested_ TW_GUARDED_BY(mutex_) = 0;
  uint64_t done_ TW_GUARDED_BY(mutex_) = 0;
  ReloadReport last_ TW_GUARDED_BY(mutex_);
  bool stopping_ TW_GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace tailwater
