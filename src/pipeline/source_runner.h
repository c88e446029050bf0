// Keeps one source running: loads its checkpoint, runs it, acts on how the run ended, and starts
// over.
//
// Threads: one of its own between Start() and Join(); Tick() from the time keeper,
// UpdateGauges() and GetStatus() from any thread. Ownership: owns source, checkpoint and writer.
// The gate outlives the runner's thread, and ends before the runner.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <thread>

#include "pipeline/capture.h"
#include "pipeline/capture_writer.h"
#include "pipeline/source_reporter.h"
#include "tailwater/log.h"
#include "util/mutex.h"

namespace tailwater {

class SourceRunner {
 public:
  SourceRunner(CaptureSource source, const CaptureOptions& options, const Clock& clock,
               std::function<void()> wake);

  // `stop`: end the source and let what it handed over become durable; `give_up`: do not wait for
  // that any longer.
  void Start(TopicGate& gate, std::stop_token stop, std::stop_token give_up);
  void Join();
  // After Join(), once the gate is gone: nothing that the last run knew holds any more. It may be
  // started again.
  void Forget() TW_EXCLUDES(mutex_);

  std::optional<Clock::TimePoint> Tick() TW_EXCLUDES(mutex_);
  void UpdateGauges() TW_EXCLUDES(mutex_);
  SourceStatus GetStatus() const TW_EXCLUDES(mutex_);
  // As Capture's.
  Result<std::vector<SnapshotStatus>> RequestSnapshot(const SnapshotRequest& request)
      TW_EXCLUDES(mutex_);
  Status ChangeSnapshot(std::optional<uint64_t> unit, SnapshotAction action) TW_EXCLUDES(mutex_);

 private:
  enum class Next : uint8_t { kAgain, kHalt };

  void Loop(TopicGate& gate, const std::stop_token& stop, const std::stop_token& give_up);
  // Until the source's run ended and everything in flight was answered.
  Status RunOnce(TopicGate& gate, const std::stop_token& stop, const std::stop_token& give_up);
  Status RunGuarded(TopicGate& gate, const std::stop_token& stop, const std::stop_token& give_up);
  // Acts on the error; for kAgain the wait is over.
  Next ActOn(const Error& error, Backoff& backoff, const std::stop_token& stop);
  void Release(DurableFrontier frontier) TW_EXCLUDES(release_mutex_);

  CaptureSource source_;
  const CaptureOptions& options_;
  const Clock& clock_;
  const std::function<void()> wake_;
  const Logger logger_;
  SourceReporter reporter_;
  std::unique_ptr<Source> instance_;  // the runner's thread
  bool made_progress_ = false;        // the runner's thread

  mutable Mutex mutex_;
  std::unique_ptr<Checkpoint> checkpoint_ TW_GUARDED_BY(mutex_);
  std::unique_ptr<CaptureWriter> writer_ TW_GUARDED_BY(mutex_);

  Mutex release_mutex_;
  Source* running_ TW_GUARDED_BY(release_mutex_) = nullptr;  // while Run() is under way

  std::jthread thread_;
};

}  // namespace tailwater
