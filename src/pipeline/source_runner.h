// Keeps one source running: loads its checkpoint, runs it with its snapshots beside it, acts on how
// the run ended, and starts over; behind a gap, if `on_gap` says so, in a new epoch.
//
// Threads: one of its own between Start() and Join(); Tick() from the time keeper, the rest from
// any thread. Ownership: owns source, checkpoint, writer and snapshots. The gate outlives the
// runner's thread, and ends before the runner.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <thread>

#include "pipeline/capture.h"
#include "pipeline/capture_writer.h"
#include "pipeline/source_reporter.h"
#include "snapshot/snapshot_run.h"
#include "tailwater/log.h"
#include "util/mutex.h"

namespace tailwater {

class SourceRunner {
 public:
  // `wake`: Tick() has something to do. `topic_is_whole`: see SnapshotRunOptions.
  SourceRunner(CaptureSource source, const CaptureOptions& options, const Clock& clock,
               std::function<void()> wake, std::function<Result<bool>()> topic_is_whole);

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

  // A run that ended: not whether it should have.
  struct Ended {
    Status status;
    bool source_gap = false;  // kGap out of Source::Run(), and no other's
  };

  void Loop(TopicGate& gate, const std::stop_token& stop, const std::stop_token& give_up);
  // Until the source's run ended and everything in flight was answered.
  Ended RunOnce(TopicGate& gate, const std::stop_token& stop, const std::stop_token& give_up);
  Ended RunGuarded(TopicGate& gate, const std::stop_token& stop, const std::stop_token& give_up);
  // Everything that a run needs, from the stored state.
  Status Prepare(TopicGate& gate, const std::stop_source& run_stop) TW_EXCLUDES(mutex_);
  // `on_gap: resnapshot`: stores a new epoch behind the gap. The gap itself, if there were too many
  // lately.
  Status StartOver(TopicGate& gate, const Error& gap, const std::stop_token& stop)
      TW_EXCLUDES(mutex_);
  std::shared_ptr<SnapshotRun> snapshots() const TW_EXCLUDES(mutex_);
  // Acts on the error; for kAgain the wait is over.
  Next ActOn(const Error& error, Backoff& backoff, const std::stop_token& stop);
  void Release(DurableFrontier frontier) TW_EXCLUDES(release_mutex_);

  CaptureSource source_;
  const CaptureOptions& options_;
  const Clock& clock_;
  const std::function<void()> wake_;
  const std::function<Result<bool>()> topic_is_whole_;
  const Logger logger_;
  SourceReporter reporter_;
  std::unique_ptr<Source> instance_;  // the runner's thread
  bool made_progress_ = false;        // the runner's thread

  mutable Mutex mutex_;
  std::unique_ptr<Checkpoint> checkpoint_ TW_GUARDED_BY(mutex_);
  // Of the last run, and still looked at when it is over. The writer calls it as long as something
  // is in flight; who asks something of it holds it meanwhile.
  std::shared_ptr<SnapshotRun> snapshots_ TW_GUARDED_BY(mutex_);
  std::unique_ptr<CaptureWriter> writer_ TW_GUARDED_BY(mutex_);

  Mutex release_mutex_;
  Source* running_ TW_GUARDED_BY(release_mutex_) = nullptr;  // while Run() is under way

  std::jthread thread_;
};

}  // namespace tailwater
