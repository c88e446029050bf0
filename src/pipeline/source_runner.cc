#include "pipeline/source_runner.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "snapshot/snapshot_plan.h"
#include "support/text.h"
#include "util/crash_point.h"
#include "util/thread_name.h"

namespace tailwater {
namespace {

// New starts behind gaps; beyond them something is wrong that copying does not heal.
constexpr size_t kMostStartsOver = 3;
constexpr int64_t kWithinMicros = 3'600'000'000;

Error NotStreaming(const std::string& source) {
  return {Disposition::kRetry, "source_not_streaming",
          fmt::format("source '{}' does not stream now; see `tailwater status`, then try again",
                      source)};
}

}  // namespace

SourceRunner::SourceRunner(CaptureSource source, const CaptureOptions& options, const Clock& clock,
                           std::function<void()> wake, std::function<Result<bool>()> topic_is_whole)
    : source_(std::move(source)),
      options_(options),
      clock_(clock),
      wake_(std::move(wake)),
      topic_is_whole_(std::move(topic_is_whole)),
      logger_(options.log_prefix + source_.name),
      reporter_(source_.name, source_.type, *source_.metrics, clock) {}

void SourceRunner::Start(TopicGate& gate, std::stop_token stop, std::stop_token give_up) {
  thread_ = std::jthread([this, &gate, stop = std::move(stop), give_up = std::move(give_up)] {
    NameThread("tw-from-" + source_.name);
    Loop(gate, stop, give_up);
  });
}

void SourceRunner::Join() {
  if (thread_.joinable()) thread_.join();
}

void SourceRunner::Forget() {
  MutexLock lock(mutex_);
  writer_.reset();
  snapshots_.reset();
  checkpoint_.reset();
}

void SourceRunner::Loop(TopicGate& gate, const std::stop_token& stop,
                        const std::stop_token& give_up) {
  Backoff backoff(options_.backoff);
  while (!stop.stop_requested()) {
    made_progress_ = false;
    const Clock::TimePoint begun = clock_.Now();
    Ended run = RunGuarded(gate, stop, give_up);
    Status ended = std::move(run.status);
    if (run.source_gap) {
      reporter_.GapFound(ended.error().code);
      if (source_.on_gap == GapPolicy::kResnapshot && !stop.stop_requested()) {
        ended = StartOver(gate, ended.error(), stop);
        if (ended) continue;
      }
    }
    if (stop.stop_requested()) {
      if (!ended && ended.error().disposition != Disposition::kCancelled) {
        logger_.Warn("source ended with an error while stopping",
                     {{"code", ended.error().code}, {"message", ended.error().message}});
      }
      break;
    }
    // On a quiet server a long run is progress, too.
    if (made_progress_ || clock_.Now() - begun > options_.backoff.max) backoff.Reset();
    const Error error =
        ended ? Error{Disposition::kRetry, "source_ended", "the source's stream ended by itself"}
              : ended.error();
    if (ActOn(error, backoff, stop) == Next::kHalt) return;
  }
  reporter_.Enter(SourceState::kStopped);
}

SourceRunner::Next SourceRunner::ActOn(const Error& error, Backoff& backoff,
                                       const std::stop_token& stop) {
  SourceState state = SourceState::kFailed;
  switch (error.disposition) {
    case Disposition::kRetry:
    case Disposition::kCancelled:  // nobody asked us to stop: something beneath the source did
      state = SourceState::kRetrying;
      break;
    case Disposition::kNeedsOperator:
      state = SourceState::kNeedsOperator;
      break;
    case Disposition::kGap:
      state = SourceState::kGap;
      break;
    case Disposition::kReject:  // a source has no dead letters
    case Disposition::kFatal:
      state = SourceState::kFailed;
      break;
  }
  if (state == SourceState::kGap || state == SourceState::kFailed) {
    reporter_.Enter(state, error, std::nullopt);
    logger_.Error(
        "source halted",
        {{"state", SourceStateName(state)}, {"code", error.code}, {"message", error.message}});
    return Next::kHalt;
  }
  const std::chrono::milliseconds delay = backoff.Next(error.disposition);
  reporter_.Enter(state, error, delay);
  const Logger::Fields fields = {{"code", error.code},
                                 {"message", error.message},
                                 {"attempt", backoff.attempts()},
                                 {"retry_in_ms", delay.count()}};
  if (state == SourceState::kNeedsOperator) {
    logger_.Error("source needs an operator", fields);
  } else {
    logger_.Warn("source interrupted", fields);
  }
  if (WaitUnlessStopped(delay, stop)) reporter_.Restarted();
  return Next::kAgain;
}

SourceRunner::Ended SourceRunner::RunGuarded(TopicGate& gate, const std::stop_token& stop,
                                             const std::stop_token& give_up) {
  try {
    return RunOnce(gate, stop, give_up);
  } catch (const std::exception& exception) {
    if (const auto snapshots = this->snapshots()) snapshots->Stop();
    return {Error{Disposition::kFatal, "internal_error",
                  fmt::format("exception in source '{}': {}; please report it", source_.name,
                              exception.what())}};
  }
}

Status SourceRunner::Prepare(TopicGate& gate, const std::stop_source& run_stop) {
  TW_ASSIGN_OR_RETURN(const auto state, gate.writer().LoadState());
  TW_ASSIGN_OR_RETURN(const Offsets ends, gate.writer().Ends());
  TW_ASSIGN_OR_RETURN(
      std::unique_ptr<Checkpoint> checkpoint,
      Checkpoint::Load(source_.name, source_.type, state, gate.writer().log_id(), ends, clock_));
  const ResumePoint& resume = checkpoint->resume_point();
  const auto plan = state.find(SnapshotPlanKey(source_.name));
  SnapshotRunOptions options;
  options.source = source_.name;
  options.options = source_.snapshot;
  options.log_name = options_.log_prefix + source_.name;
  options.captured_before = resume.frontier && (plan == state.end() || plan->second.empty());
  options.after_gap = resume.after_gap;
  options.pressure = [this] {
    SnapshotPressure pressure = source_.pressure ? source_.pressure() : SnapshotPressure();
    pressure.lag_seconds = reporter_.GetStatus().lag_seconds;
    return pressure;
  };
  options.sinks = source_.snapshot_sinks;
  options.topic_is_whole = topic_is_whole_;
  options.wake = wake_;
  options.backoff = options_.backoff;
  TW_ASSIGN_OR_RETURN(
      std::shared_ptr<SnapshotRun> snapshots,
      SnapshotRun::Create(std::move(options), state, *instance_, *source_.metrics, clock_));

  MutexLock lock(mutex_);
  writer_.reset();  // nothing of it is in flight any more
  snapshots_ = std::move(snapshots);
  checkpoint_ = std::move(checkpoint);
  writer_ = std::make_unique<CaptureWriter>(
      source_.name, *checkpoint_, gate, reporter_, options_, clock_,
      CaptureWriter::Hooks{
          .release = [this](DurableFrontier frontier) { Release(std::move(frontier)); },
          .topic_failed = [run_stop]() mutable { run_stop.request_stop(); },
          .wake = wake_,
          .snapshots = snapshots_.get()},
      run_stop.get_token());
  return {};
}

SourceRunner::Ended SourceRunner::RunOnce(TopicGate& gate, const std::stop_token& stop,
                                          const std::stop_token& give_up) {
  // The run ends with the daemon's stop, and when the topic failed: then it starts over from what
  // is stored.
  std::stop_source run_stop;
  const std::stop_callback stop_run(stop, [&run_stop] { run_stop.request_stop(); });
  if (const Status ready = gate.Recover(stop); !ready) return {ready};
  if (!instance_) {
    Result<std::unique_ptr<Source>> made = source_.create();
    if (!made) return {std::move(made).error()};
    instance_ = *std::move(made);
  }
  if (const Status prepared = Prepare(gate, run_stop); !prepared) return {prepared};
  reporter_.ForgetInFlight();
  reporter_.Starting();
  CaptureWriter* writer = nullptr;
  const ResumePoint* resume = nullptr;
  {
    MutexLock lock(mutex_);
    writer = writer_.get();
    resume = &checkpoint_->resume_point();
  }
  {
    MutexLock lock(release_mutex_);
    running_ = instance_.get();
  }
  Status ended;
  try {
    ended = instance_->Run(*resume, *writer, run_stop.get_token());
  } catch (const std::exception& exception) {
    ended = Error{Disposition::kFatal, "internal_error",
                  fmt::format("exception in source '{}': {}; please report it", source_.name,
                              exception.what())};
  }
  {
    MutexLock lock(release_mutex_);
    running_ = nullptr;
  }
  // Even when stopped: what was accepted becomes durable, unless nobody wants to wait for it. Until
  // then the snapshots stay: who asked something of them gets a true answer.
  writer->Finish();
  const bool answered = writer->WaitAnswered(give_up);
  snapshots()->Stop();
  if (!answered) return {Error{Disposition::kCancelled, "stopped", "gave up draining"}};
  made_progress_ = writer->made_progress();
  if (auto failed = writer->topic_error()) return {*std::move(failed)};
  return {ended, !ended && ended.error().disposition == Disposition::kGap};
}

Status SourceRunner::StartOver(TopicGate& gate, const Error& gap, const std::stop_token& stop) {
  std::stop_source run_stop;
  const std::stop_callback stop_run(stop, [&run_stop] { run_stop.request_stop(); });
  TW_TRY(Prepare(gate, run_stop));
  CaptureWriter* writer = nullptr;
  Checkpoint* checkpoint = nullptr;
  {
    MutexLock lock(mutex_);
    writer = writer_.get();
    checkpoint = checkpoint_.get();
  }
  const int64_t now = clock_.UnixMicros();
  const auto lately = std::count_if(
      checkpoint->gaps().begin(), checkpoint->gaps().end(),
      [&](const PassedGap& passed) { return now - passed.at_micros < kWithinMicros; });
  if (static_cast<size_t>(lately) >= kMostStartsOver) {
    return Error{
        gap.disposition, gap.code,
        fmt::format("{}; `on_gap: resnapshot` began anew {} times within the last hour and "
                    "stops here: find out why the log is lost again and again, then start "
                    "tailwater again in an hour, or raise what the server keeps",
                    gap.message, lately)};
  }
  reporter_.Enter(SourceState::kRetrying, gap, std::chrono::milliseconds(0));
  const std::string from(checkpoint->frontier());
  checkpoint->StartAfterGap(gap);
  TW_CRASH_POINT("gap_found");
  TW_TRY(writer->StoreCheckpoint());
  TW_CRASH_POINT("gap_epoch_established");
  logger_.Error("changes are lost, beginning anew behind them: all tables are copied again",
                {{"code", gap.code},
                 {"message", gap.message},
                 {"from", from},
                 {"epoch", checkpoint->epoch()}});
  return {};
}

std::shared_ptr<SnapshotRun> SourceRunner::snapshots() const {
  MutexLock lock(mutex_);
  return snapshots_;
}

void SourceRunner::Release(DurableFrontier frontier) {
  MutexLock lock(release_mutex_);
  if (running_ != nullptr) running_->Release(std::move(frontier));
}

std::optional<Clock::TimePoint> SourceRunner::Tick() {
  MutexLock lock(mutex_);
  return writer_ ? writer_->Tick() : std::nullopt;
}

void SourceRunner::UpdateGauges() {
  int64_t saved_at = 0;
  {
    MutexLock lock(mutex_);
    if (checkpoint_) saved_at = checkpoint_->durable().saved_at_micros;
  }
  reporter_.UpdateGauges(saved_at);
  if (const auto snapshots = this->snapshots()) snapshots->UpdateGauges();
}

Result<std::vector<SnapshotStatus>> SourceRunner::RequestSnapshot(const SnapshotRequest& request) {
  const auto snapshots = this->snapshots();
  if (!snapshots) return NotStreaming(source_.name);
  return snapshots->Request(request);
}

Status SourceRunner::ChangeSnapshot(std::optional<uint64_t> unit, SnapshotAction action) {
  const auto snapshots = this->snapshots();
  if (!snapshots) return NotStreaming(source_.name);
  return snapshots->Change(unit, action);
}

SourceStatus SourceRunner::GetStatus() const {
  SourceStatus status = reporter_.GetStatus();
  if (const auto snapshots = this->snapshots()) status.snapshots = snapshots->GetStatus();
  MutexLock lock(mutex_);
  if (!checkpoint_) return status;
  Checkpoint::Durable durable = checkpoint_->durable();
  for (PassedGap& gap : durable.gaps) {
    status.gaps.push_back({std::move(gap.code), std::move(gap.message), std::move(gap.from),
                           std::move(gap.to), gap.at_micros, gap.epoch});
  }
  status.identity = std::move(durable.identity);
  status.frontier = std::move(durable.frontier);
  if (durable.frontier_time_micros != 0) status.frontier_time_micros = durable.frontier_time_micros;
  if (durable.saved_at_micros != 0) status.checkpoint_saved_micros = durable.saved_at_micros;
  status.epoch = durable.epoch;
  status.last_version = durable.last_version;
  if (durable.in_progress) {
    status.in_progress = {durable.in_progress->position, durable.in_progress->events};
  }
  return status;
}

}  // namespace tailwater
