// The capture half of one pipeline: takes the topic's lease and keeps every source running.
//
// Threads: one that takes the lease, starts the sources and keeps time (frontier records);
// one per source, which runs Source::Run again and again: kRetry after a backoff, kNeedsOperator
// after a slow probe; kGap and kFatal halt that source alone. When the topic's lease is lost, the
// sources end, and start again from the stored state once it is ours again. GetStatus(),
// PublishMetrics(), RequestStop() and Stop() from any thread. Ownership: owns sources and topic
// writer; topic, metrics and clock outlive it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/capture_options.h"
#include "pipeline/capture_status.h"
#include "snapshot/snapshot_options.h"
#include "tailwater/metrics.h"
#include "tailwater/source.h"
#include "topic/topic.h"
#include "util/clock.h"

namespace tailwater {

struct CaptureSource {
  std::string name;
  std::string type;
  // Called once on the source's thread, again after an error.
  std::function<Result<std::unique_ptr<Source>>()> create;
  Metrics* metrics = nullptr;  // labelled with pipeline and source
  SnapshotOptions snapshot;
  GapPolicy on_gap = GapPolicy::kHalt;
  // What copying has to look out for, as it is now; may be empty. From any thread.
  std::function<SnapshotPressure()> pressure;
  // Sinks of the pipeline that begin with a snapshot, with the tables that they take; may be empty.
  std::function<std::vector<SnapshotSink>()> snapshot_sinks;
};

class Capture {
 public:
  // `metrics` is labelled with the pipeline.
  Capture(Topic& topic, std::vector<CaptureSource> sources, Metrics& metrics, const Clock& clock,
          CaptureOptions options = {});
  ~Capture();  // Stop(0)
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  // Returns at once. Not after a stop.
  void Start();

  // The first call asks the sources to end and lets what was accepted become durable; the second
  // one no longer waits for sources that drain. Returns at once; before Start() it makes Start() do
  // nothing.
  void RequestStop();
  // RequestStop(), waits at most `drain` for a clean end, then RequestStop() again and waits for
  // the threads. Safe twice and before Start().
  void Stop(std::chrono::milliseconds drain);

  CaptureStatus GetStatus() const;

  // Both wait until what they changed is durable in the topic, at most some seconds. kReject: no
  // such source, table or unit, or the condition is no SQL. kRetry: the source does not stream now.
  Result<std::vector<SnapshotStatus>> RequestSnapshot(const std::string& source,
                                                      const SnapshotRequest& request);
  // `unit` empty: all of the source that have not ended.
  Status ChangeSnapshot(const std::string& source, std::optional<uint64_t> unit,
                        SnapshotAction action);
  // Sets the gauges that are only true at one moment. Call it before every scrape.
  void PublishMetrics();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailwater
