#include "pipeline/capture.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

#include "checkpoint/checkpoint.h"
#include "pipeline/source_runner.h"
#include "pipeline/topic_gate.h"
#include "support/text.h"
#include "tailwater/log.h"
#include "util/mutex.h"
#include "util/thread_name.h"

namespace tailwater {
namespace {

constexpr std::chrono::seconds kLongestWait{60};

constexpr CapturePhase kAllPhases[] = {CapturePhase::kStarting,      CapturePhase::kStandby,
                                       CapturePhase::kRunning,       CapturePhase::kRetrying,
                                       CapturePhase::kNeedsOperator, CapturePhase::kFailed,
                                       CapturePhase::kStopping,      CapturePhase::kStopped};

}  // namespace

std::string_view CapturePhaseName(CapturePhase phase) {
  switch (phase) {
    case CapturePhase::kStarting:
      return "starting";
    case CapturePhase::kStandby:
      return "standby";
    case CapturePhase::kRunning:
      return "running";
    case CapturePhase::kRetrying:
      return "retrying";
    case CapturePhase::kNeedsOperator:
      return "needs_operator";
    case CapturePhase::kFailed:
      return "failed";
    case CapturePhase::kStopping:
      return "stopping";
    case CapturePhase::kStopped:
      return "stopped";
  }
  return "unknown";
}

class Capture::Impl {
 public:
  Impl(Topic& topic, std::vector<CaptureSource> sources, Metrics& metrics, const Clock& clock,
       CaptureOptions options)
      : topic_(topic),
        metrics_(metrics),
        clock_(clock),
        options_(options),
        logger_(options.log_prefix + "capture"),
        queue_bytes_(metrics.GetGauge("tailwater_producer_queue_bytes",
                                      "Bytes handed to the topic and not durable yet.")),
        publish_errors_(metrics.GetCounter(
            "tailwater_producer_errors_total",
            "Times that the topic failed to store what it was given, or to recover from that.")) {
    for (const CapturePhase phase : kAllPhases) {
      phases_.emplace_back(
          phase, &metrics.GetGauge("tailwater_capture_state",
                                   "1 for the state that the capture half of this process is in.",
                                   {{"state", std::string(CapturePhaseName(phase))}}));
    }
    for (CaptureSource& source : sources) {
      sources_.push_back({source.name, source.type, source.snapshot.mode});
      runners_.push_back(std::make_unique<SourceRunner>(
          std::move(source), options_, clock_, [this] { Wake(); }, [this] { return IsWhole(); }));
    }
    MutexLock lock(mutex_);
    status_.since_micros = clock_.UnixMicros();
  }

  void Start() {
    MutexLock lock(mutex_);
    if (started_ || stop_.stop_requested()) return;
    started_ = true;
    thread_ = std::jthread([this] {
      NameThread("tw-capture");
      Main();
    });
  }

  void RequestStop() {
    bool second = false;
    {
      MutexLock lock(mutex_);
      second = std::exchange(stop_asked_, true);
      if (!second && started_ && !finished_) {
        status_.phase = CapturePhase::kStopping;
        status_.since_micros = clock_.UnixMicros();
      }
    }
    stop_.request_stop();
    if (second) give_up_.request_stop();
    changed_.NotifyAll();
  }

  void Stop(std::chrono::milliseconds drain) {
    RequestStop();
    const auto deadline = std::chrono::steady_clock::now() + drain;
    {
      MutexLock lock(mutex_);
      while (started_ && !finished_ && std::chrono::steady_clock::now() < deadline) {
        changed_.WaitUntil(mutex_, deadline);
      }
      if (!started_) return;
    }
    RequestStop();
    MutexLock lock(join_mutex_);
    if (thread_.joinable()) thread_.join();
  }

  CaptureStatus GetStatus() const {
    CaptureStatus status;
    {
      MutexLock lock(mutex_);
      status = status_;
    }
    for (const auto& runner : runners_) {
      status.sources.push_back(runner->GetStatus());
      status.queued_bytes += status.sources.back().in_flight_bytes;
    }
    return status;
  }

  Result<std::vector<SnapshotStatus>> RequestSnapshot(const std::string& source,
                                                      const SnapshotRequest& request) {
    TW_ASSIGN_OR_RETURN(SourceRunner * runner, Find(source));
    return runner->RequestSnapshot(request);
  }

  Status ChangeSnapshot(const std::string& source, std::optional<uint64_t> unit,
                        SnapshotAction action) {
    TW_ASSIGN_OR_RETURN(SourceRunner * runner, Find(source));
    return runner->ChangeSnapshot(unit, action);
  }

  void PublishMetrics() {
    for (const auto& runner : runners_) runner->UpdateGauges();
    const CaptureStatus status = GetStatus();
    for (const auto& [phase, gauge] : phases_) gauge->Set(phase == status.phase ? 1 : 0);
    if (status.phase == CapturePhase::kRunning || status.phase == CapturePhase::kStopping) {
      queue_bytes_.Set(static_cast<double>(status.queued_bytes));
    } else {
      queue_bytes_.Clear();
    }
  }

 private:
  Result<SourceRunner*> Find(const std::string& source) {
    for (size_t i = 0; i < sources_.size(); ++i) {
      if (sources_[i].name == source) return runners_[i].get();
    }
    return Error{Disposition::kReject, "source_unknown",
                 fmt::format("there is no source '{}'", source)};
  }

  void Main() {
    try {
      while (OpenTopic()) {
        RunSources();
        if (stop_.stop_requested()) break;
        // The lease is somebody else's: stand by for it with another writer.
        EndSession();
      }
    } catch (const std::exception& exception) {
      Halt({Disposition::kFatal, "internal_error",
            fmt::format("exception in capture: {}; please report it", exception.what())});
    }
    stop_.request_stop();  // after an exception nobody else did
    session_.request_stop();
    for (const auto& runner : runners_) runner->Join();
    CloseTopic();
    MutexLock lock(mutex_);
    finished_ = true;
    if (status_.phase != CapturePhase::kFailed) Enter(CapturePhase::kStopped);
    changed_.NotifyAll();
  }

  void Enter(CapturePhase phase) TW_REQUIRES(mutex_) {
    if (stop_asked_ && phase != CapturePhase::kStopped) return;  // "stopping" until it is over
    status_.phase = phase;
    status_.since_micros = clock_.UnixMicros();
    status_.code.clear();
    status_.message.clear();
    status_.lease_holder.clear();
  }

  void Count(const Error& error) {
    metrics_
        .GetCounter("tailwater_errors_total",
                    "Errors by component, code and what is done about them.",
                    {{"component", "topic"},
                     {"code", std::string(error.code)},
                     {"disposition", std::string(DispositionName(error.disposition))}})
        .Add();
  }

  void Report(CapturePhase phase, const Error& error) {
    Count(error);
    MutexLock lock(mutex_);
    Enter(phase);
    status_.disposition = error.disposition;
    status_.code = error.code;
    status_.message = error.message;
  }

  void Halt(const Error& error) {
    Report(CapturePhase::kFailed, error);
    logger_.Error("capture halted", {{"code", error.code}, {"message", error.message}});
    MutexLock lock(mutex_);
    status_.phase = CapturePhase::kFailed;
  }

  // Takes the lease and loads nothing yet; false if stopped or halted before.
  bool OpenTopic() {
    Backoff backoff(options_.backoff);
    const std::stop_token stop = stop_.get_token();
    while (!stop.stop_requested()) {
      {
        MutexLock lock(mutex_);
        if (backoff.attempts() == 0) Enter(CapturePhase::kStarting);
      }
      Result<std::unique_ptr<TopicWriter>> writer =
          topic_.OpenWriter(stop, [this](std::string holder) {
            logger_.Info("standing by", {{"holder", holder}});
            MutexLock lock(mutex_);
            Enter(CapturePhase::kStandby);
            status_.lease_holder = std::move(holder);
          });
      if (writer) {
        gate_ = std::make_unique<TopicGate>(*std::move(writer), [this](const Error& failure) {
          if (failure.disposition == Disposition::kCancelled) return;  // as asked
          publish_errors_.Add();
          Count(failure);
        });
        MutexLock lock(mutex_);
        Enter(CapturePhase::kRunning);
        status_.log_id = gate_->writer().log_id();
        return true;
      }
      const Error& error = writer.error();
      switch (error.disposition) {
        case Disposition::kCancelled:
          if (stop.stop_requested()) return false;
          [[fallthrough]];
        case Disposition::kRetry:
        case Disposition::kNeedsOperator: {
          const std::chrono::milliseconds delay = backoff.Next(error.disposition);
          Report(error.disposition == Disposition::kNeedsOperator ? CapturePhase::kNeedsOperator
                                                                  : CapturePhase::kRetrying,
                 error);
          logger_.Warn(
              "topic cannot be opened",
              {{"code", error.code}, {"message", error.message}, {"retry_in_ms", delay.count()}});
          WaitUnlessStopped(delay, stop);
          break;
        }
        case Disposition::kGap:
        case Disposition::kReject:
        case Disposition::kFatal:
          Halt(error);
          return false;
      }
    }
    return false;
  }

  // Until stopped, or until the lease is lost.
  void RunSources() {
    logger_.Info("capture started", {{"topic", topic_.Describe()}, {"sources", runners_.size()}});
    Announce();
    session_ = std::stop_source();
    const std::stop_callback on_stop(stop_.get_token(), [this] { session_.request_stop(); });
    const std::stop_callback on_lost(gate_->writer().lost(), [this] { session_.request_stop(); });
    for (const auto& runner : runners_) {
      runner->Start(*gate_, session_.get_token(), give_up_.get_token());
    }
    KeepTime();
  }

  // What was in flight is answered, by the topic's error if it is not stored; the next session
  // starts from what is.
  void EndSession() {
    const Error lost = {Disposition::kRetry, "topic_lease_lost",
                        "another process captures into this topic now; standing by"};
    Report(CapturePhase::kRetrying, lost);
    logger_.Warn("lease lost, standing by", {{"topic", topic_.Describe()}});
    for (const auto& runner : runners_) runner->Join();
    CloseTopic();
    for (const auto& runner : runners_) runner->Forget();
  }

  // What cannot be read now is the sources' to report.
  void Announce() {
    const auto state = gate_->writer().LoadState();
    for (const auto& [name, type, snapshot] : sources_) {
      const bool resumes = state && state->contains(CheckpointKey(name));
      logger_.Info(resumes ? "source resumes from its checkpoint" : "source starts",
                   {{"source", name}, {"type", type}});
      if (!state || resumes) continue;
      if (snapshot == SnapshotMode::kNever) {
        logger_.Warn(
            "first start with `snapshot: {mode: never}`: rows from before it are not copied, sinks "
            "get what changes from now on",
            {{"source", name}});
      } else {
        logger_.Info("first start: rows from before it are copied while changes stream",
                     {{"source", name}});
      }
    }
  }

  // Frontier records that no later change carries. Sleeps while nothing is due.
  void KeepTime() {
    const std::stop_token stop = session_.get_token();
    while (!stop.stop_requested()) {
      const Clock::TimePoint now = clock_.Now();
      Clock::TimePoint due = now + kLongestWait;
      for (const auto& runner : runners_) {
        if (const auto next = runner->Tick()) due = std::min(due, *next);
      }
      MutexLock lock(mutex_);
      if (!std::exchange(woken_, false) && due > now) changed_.Wait(mutex_, stop, due - now);
    }
  }

  // Whether the topic still holds everything from its first record on.
  Result<bool> IsWhole() {
    TW_ASSIGN_OR_RETURN(const std::shared_ptr<TopicReader> reader, topic_.OpenReader());
    TW_ASSIGN_OR_RETURN(const auto ranges, reader->Ranges());
    return std::all_of(ranges.begin(), ranges.end(),
                       [](const auto& range) { return range.second.begin == 0; });
  }

  void CloseTopic() {
    if (!gate_) return;
    gate_.reset();  // stores what was accepted, answers it, and gives the lease back
    queue_bytes_.Clear();
    logger_.Info("capture stopped");
  }

  void Wake() {
    MutexLock lock(mutex_);
    woken_ = true;
    changed_.NotifyAll();
  }

  Topic& topic_;
  Metrics& metrics_;
  const Clock& clock_;
  const CaptureOptions options_;
  const Logger logger_;
  Gauge& queue_bytes_;
  Counter& publish_errors_;
  std::vector<std::pair<CapturePhase, Gauge*>> phases_;
  struct SourceFacts {
    std::string name;
    std::string type;
    SnapshotMode snapshot;
  };
  std::vector<SourceFacts> sources_;
  std::vector<std::unique_ptr<SourceRunner>> runners_;
  std::unique_ptr<TopicGate> gate_;  // of the main thread; ends before the runners, see Main()

  std::stop_source stop_;
  std::stop_source give_up_;
  std::stop_source session_;  // of the main thread: as long as one writer lasts
  mutable Mutex mutex_;
  CondVar changed_;
  bool started_ TW_GUARDED_BY(mutex_) = false;
  bool finished_ TW_GUARDED_BY(mutex_) = false;
  bool stop_asked_ TW_GUARDED_BY(mutex_) = false;
  bool woken_ TW_GUARDED_BY(mutex_) = false;
  CaptureStatus status_ TW_GUARDED_BY(mutex_);

  Mutex join_mutex_;
  std::jthread thread_;
};

Capture::Capture(Topic& topic, std::vector<CaptureSource> sources, Metrics& metrics,
                 const Clock& clock, CaptureOptions options)
    : impl_(std::make_unique<Impl>(topic, std::move(sources), metrics, clock, options)) {}
Capture::~Capture() { Stop(std::chrono::milliseconds(0)); }
void Capture::Start() { impl_->Start(); }
void Capture::RequestStop() { impl_->RequestStop(); }
void Capture::Stop(std::chrono::milliseconds drain) { impl_->Stop(drain); }
CaptureStatus Capture::GetStatus() const { return impl_->GetStatus(); }
void Capture::PublishMetrics() { impl_->PublishMetrics(); }
Result<std::vector<SnapshotStatus>> Capture::RequestSnapshot(const std::string& source,
                                                             const SnapshotRequest& request) {
  return impl_->RequestSnapshot(source, request);
}
Status Capture::ChangeSnapshot(const std::string& source, std::optional<uint64_t> unit,
                               SnapshotAction action) {
  return impl_->ChangeSnapshot(source, unit, action);
}

}  // namespace tailwater
