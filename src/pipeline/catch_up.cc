#include "pipeline/catch_up.h"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "snapshot/snapshot_unit.h"
#include "support/text.h"
#include "util/thread_name.h"

namespace tailwater {
namespace {

// The static code of a failure whose own code is only known as text by now.
Error Ended(Disposition disposition, const std::string& who, const std::string& code,
            const std::string& message) {
  return {disposition, "component_halted", fmt::format("{}: {}: {}", who, code, message)};
}

Status CheckCapture(const PipelineStatus& status) {
  if (!status.capture) return {};
  const CaptureStatus& capture = *status.capture;
  if (capture.phase == CapturePhase::kNeedsOperator)
    return Ended(Disposition::kNeedsOperator, "capture", capture.code, capture.message);
  if (capture.phase == CapturePhase::kFailed)
    return Ended(capture.disposition, "capture", capture.code, capture.message);
  return {};
}

// Copying ends without a person, unless all that is left of it waits for one.
Status CheckSnapshots(const std::string& who, const SnapshotsStatus& snapshots) {
  if (!snapshots.code.empty() && snapshots.disposition != Disposition::kRetry)
    return Ended(Disposition::kNeedsOperator, who, snapshots.code, snapshots.message);
  const SnapshotStatus* waits = nullptr;
  for (const SnapshotStatus& unit : snapshots.units) {
    if (unit.ended_micros || unit.reason == SnapshotUnit::kRequested) continue;
    if (unit.state != SnapshotState::kBlocked && unit.state != SnapshotState::kPaused) return {};
    waits = &unit;
  }
  if (waits == nullptr) return {};
  const std::string table = who + ": snapshot of " + waits->request.table;
  if (waits->state == SnapshotState::kPaused) {
    return Ended(Disposition::kNeedsOperator, table, "snapshot_paused",
                 "a person paused it; see `tailwater sources resume`");
  }
  return Ended(Disposition::kNeedsOperator, table, waits->code, waits->message);
}

Status CheckSource(const PipelineStatus& status, const std::string& name) {
  if (!status.capture) return {};
  for (const SourceStatus& source : status.capture->sources) {
    if (source.name != name) continue;
    const std::string who = "source " + source.name;
    if (source.state == SourceState::kNeedsOperator)
      return Ended(Disposition::kNeedsOperator, who, source.code, source.message);
    if (source.state == SourceState::kGap)
      return Ended(Disposition::kGap, who, source.code, source.message);
    if (source.state == SourceState::kFailed)
      return Ended(Disposition::kFatal, who, source.code, source.message);
    TW_TRY(CheckSnapshots(who, source.snapshots));
  }
  return {};
}

Status CheckSink(const SinkStatus& sink) {
  const std::string who = "sink " + sink.sink;
  if (sink.state == SinkState::kWaitingOperator)
    return Ended(Disposition::kNeedsOperator, who, sink.code, sink.message);
  if (sink.state == SinkState::kPaused)
    return Ended(Disposition::kNeedsOperator, who, "sink_paused",
                 "a person paused it; see `tailwater sinks resume`");
  if (sink.state == SinkState::kHalted)
    return Ended(sink.disposition.value_or(Disposition::kFatal), who, sink.code, sink.message);
  return {};
}

// The first part, from the source on, that will not go on without a person.
Status CheckParts(const PipelineStatus& status) {
  TW_TRY(CheckCapture(status));
  if (status.capture) {
    for (const SourceStatus& source : status.capture->sources)
      TW_TRY(CheckSource(status, source.name));
  }
  for (const PipelineStatus::Sink& sink : status.sinks) TW_TRY(CheckSink(sink.status));
  return {};
}

}  // namespace

CatchUp::CatchUp(Pipeline& pipeline, CatchUpOptions options)
    : pipeline_(pipeline), options_(options), logger_(pipeline.config().name) {}

void CatchUp::Start(std::function<void(Status)> done) {
  thread_ = std::jthread([this, done = std::move(done)](const std::stop_token& stop) {
    NameThread("tw-catch-up");
    Status status;
    try {
      status = Run(stop);
    } catch (const std::exception& exception) {
      status =
          Error{Disposition::kFatal, "internal_error",
                fmt::format("exception while catching up: {}; please report it", exception.what())};
    }
    if (!stop.stop_requested()) done(std::move(status));
  });
}

Status CatchUp::Run(const std::stop_token& stop) {
  std::vector<Target> targets;
  for (const SourceConfig& source : pipeline_.config().sources) {
    Target target;
    target.source = &source;
    TW_TRY(FindTarget(target, stop));
    targets.push_back(std::move(target));
  }
  Backoff backoff(options_.backoff);
  while (!stop.stop_requested()) {
    const PipelineStatus status = pipeline_.GetStatus();
    bool all = true;
    std::chrono::milliseconds wait = options_.poll_interval;
    for (Target& target : targets) {
      if (!CheckSource(status, target.source->name)) continue;
      const Result<bool> reached = HasReached(target, status);
      if (!reached) {
        if (reached.error().disposition != Disposition::kRetry) return reached.error();
        wait = std::max(wait, backoff.Next());
      }
      all = all && reached && *reached;
    }
    TW_TRY(CheckCapture(status));
    if (all) return CheckParts(status);
    WaitUnlessStopped(wait, stop);
  }
  return {};
}

Status CatchUp::FindTarget(Target& target, const std::stop_token& stop) {
  TW_ASSIGN_OR_RETURN(target.tools, pipeline_.CreateTools(*target.source));
  Backoff backoff(options_.backoff);
  while (!stop.stop_requested()) {
    Result<Position> end = target.tools->LogEnd();
    if (end) {
      target.end = *std::move(end);
      logger_.Info("catching up", {{"source", target.source->name}, {"until", target.end.text}});
      return {};
    }
    TW_TRY(CheckParts(pipeline_.GetStatus()));
    if (end.error().disposition != Disposition::kRetry) {
      return std::move(end).error().Within("source " + target.source->name);
    }
    WaitUnlessStopped(backoff.Next(), stop);
  }
  return {};
}

Result<bool> CatchUp::HasReached(Target& target, const std::string& who,
                                 const std::optional<Position>& position) {
  bool& reached = target.reached[who];
  if (reached || !position || position->text.empty()) return reached;
  Position& compared = target.compared[who];
  if (compared == *position) return false;
  TW_ASSIGN_OR_RETURN(reached, target.tools->HasReached(*position, target.end));
  compared = *position;
  return reached;
}

// A sink that began at the end of the topic meets no frontier record until the next one is written,
// which a quiet server may put off for long.
bool CatchUp::HasPassed(const Target& target, const SinkStatus& sink) {
  return target.published && !sink.offsets.empty() &&
         std::all_of(sink.offsets.begin(), sink.offsets.end(), [&](const auto& place) {
           const auto end = target.published->find(place.first);
           return end != target.published->end() && place.second >= end->second;
         });
}

// Partitions that another process has, or had until its session ends: by the group's offsets.
bool CatchUp::OthersHavePassed(const Target& target, const SinkStatus& sink) {
  if (!target.published) return false;
  Offsets others = *target.published;
  for (const auto& [partition, offset] : sink.offsets) others.erase(partition);
  if (others.empty()) return true;
  const auto stored = pipeline_.topic().PeekOffsets(sink.sink);
  if (!stored) return false;
  return std::all_of(others.begin(), others.end(), [&](const auto& end) {
    const auto offset = stored->offsets.find(end.first);
    return offset != stored->offsets.end() && offset->second >= end.second;
  });
}

// Asked for now: what status knows may be from before the last record.
void CatchUp::FindEnds(Target& target) {
  const auto reader = pipeline_.topic().OpenReader();
  if (!reader) return;  // asked again
  const auto ranges = (*reader)->Ranges();
  if (!ranges) return;
  target.published.emplace();
  for (const auto& [partition, range] : *ranges) (*target.published)[partition] = range.end;
}

Result<bool> CatchUp::HasReached(Target& target, const PipelineStatus& status) {
  bool all = true;
  if (status.capture) {
    for (const SourceStatus& source : status.capture->sources) {
      if (source.name != target.source->name) continue;
      // Only behind the end: what the log says on the way there may have to be copied again. An
      // earlier look saw the frontier there: one look reads it after it has read the snapshots.
      target.copied = target.copied || (target.reached[""] && source.snapshots.settled);
      target.copies = target.copies || !source.snapshots.units.empty();
    }
  }
  if ((!status.capture || (target.reached[""] && target.copied)) && !target.published)
    FindEnds(target);
  if (status.capture) {
    std::optional<Position> frontier;
    for (const SourceStatus& source : status.capture->sources) {
      // A stored frontier proves nothing of a server that the source has not looked at yet: it may
      // be another one, or lie behind us.
      if (source.name == target.source->name && source.state == SourceState::kStreaming)
        frontier = source.frontier;
    }
    TW_ASSIGN_OR_RETURN(const bool reached, HasReached(target, "", frontier));
    all = all && reached && target.copied;
  }
  for (const PipelineStatus::Sink& sink : status.sinks) {
    if (!CheckSink(sink.status)) continue;
    const auto frontier = sink.status.frontiers.find(target.source->name);
    std::optional<Position> position;
    if (frontier != sink.status.frontiers.end()) position = Position{frontier->second.position};
    TW_ASSIGN_OR_RETURN(const bool reached, HasReached(target, sink.status.sink, position));
    // Rows of a snapshot move no frontier.
    all = all && ((reached && !target.copies) || HasPassed(target, sink.status)) &&
          OthersHavePassed(target, sink.status);
  }
  return all;
}

}  // namespace tailwater
