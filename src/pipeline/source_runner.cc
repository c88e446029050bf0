#include "pipeline/source_runner.h"

#include <exception>
#include <utility>

#include "support/text.h"
#include "util/thread_name.h"

namespace tailwater {
namespace {

Error NotStreaming(const std::string& source) {
  return {Disposition::kRetry, "source_not_streaming",
          fmt::format("source '{}' does not stream now; see `tailwater status`, then try again",
                      source)};
}

}  // namespace

SourceRunner::SourceRunner(CaptureSource source, const CaptureOptions& options, const Clock& clock,
                           std::function<void()> wake)
    : source_(std::move(source)),
      options_(options),
      clock_(clock),
      wake_(std::move(wake)),
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
  checkpoint_.reset();
}

void SourceRunner::Loop(TopicGate& gate, const std::stop_token& stop,
                        const std::stop_token& give_up) {
  Backoff backoff(options_.backoff);
  while (!stop.stop_requested()) {
    made_progress_ = false;
    const Clock::TimePoint begun = clock_.Now();
    const Status ended = RunGuarded(gate, stop, give_up);
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

Status SourceRunner::RunGuarded(TopicGate& gate, const std::stop_token& stop,
                                const std::stop_token& give_up) {
  try {
    return RunOnce(gate, stop, give_up);
  } catch (const std::exception& exception) {
    return Error{Disposition::kFatal, "internal_error",
                 fmt::format("exception in source '{}': {}; please report it", source_.name,
                             exception.what())};
  }
}

Status SourceRunner::RunOnce(TopicGate& gate, const std::stop_token& stop,
                             const std::stop_token& give_up) {
  TW_TRY(gate.Recover(stop));
  if (!instance_) {
    TW_ASSIGN_OR_RETURN(instance_, source_.create());
  }
  TW_ASSIGN_OR_RETURN(const auto state, gate.writer().LoadState());
  TW_ASSIGN_OR_RETURN(const Offsets ends, gate.writer().Ends());
  TW_ASSIGN_OR_RETURN(
      std::unique_ptr<Checkpoint> checkpoint,
      Checkpoint::Load(source_.name, source_.type, state, gate.writer().log_id(), ends, clock_));
  reporter_.ForgetInFlight();
  reporter_.Starting();

  // The run ends with the daemon's stop, and when the topic failed: then it starts over from what
  // is stored.
  std::stop_source run_stop;
  const std::stop_callback stop_run(stop, [&run_stop] { run_stop.request_stop(); });
  CaptureWriter* writer = nullptr;
  const ResumePoint* resume = nullptr;
  {
    MutexLock lock(mutex_);
    writer_.reset();  // nothing of it is in flight any more
    checkpoint_ = std::move(checkpoint);
    writer_ = std::make_unique<CaptureWriter>(
        source_.name, *checkpoint_, gate, reporter_, options_, clock_,
        CaptureWriter::Hooks{
            .release = [this](DurableFrontier frontier) { Release(std::move(frontier)); },
            .topic_failed = [run_stop]() mutable { run_stop.request_stop(); },
            .wake = wake_},
        run_stop.get_token());
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
  writer->Finish();
  // Even when stopped: what was accepted becomes durable, unless nobody wants to wait for it.
  if (!writer->WaitAnswered(give_up)) {
    return Error{Disposition::kCancelled, "stopped", "gave up draining"};
  }
  made_progress_ = writer->made_progress();
  if (auto failed = writer->topic_error()) return *std::move(failed);
  return ended;
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
}

Result<std::vector<SnapshotStatus>> SourceRunner::RequestSnapshot(const SnapshotRequest& request) {
  static_cast<void>(request);
  return NotStreaming(source_.name);
}

Status SourceRunner::ChangeSnapshot(std::optional<uint64_t> unit, SnapshotAction action) {
  static_cast<void>(unit), static_cast<void>(action);
  return NotStreaming(source_.name);
}

SourceStatus SourceRunner::GetStatus() const {
  SourceStatus status = reporter_.GetStatus();
  MutexLock lock(mutex_);
  if (!checkpoint_) return status;
  Checkpoint::Durable durable = checkpoint_->durable();
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
