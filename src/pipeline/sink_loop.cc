#include "pipeline/sink_loop.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "support/text.h"
#include "util/crash_point.h"

namespace tailwater {

using namespace std::chrono_literals;

SinkLoop::SinkLoop(std::string pipeline, std::string sink, Topic& topic,
                   SinkRunner::CreateSink create, DeliveryRules rules, Metrics& metrics,
                   SinkRunnerOptions options)
    : sink_name_(sink),
      topic_(topic),
      create_(std::move(create)),
      rules_(std::move(rules)),
      options_(std::move(options)),
      clock_(options_.clock != nullptr ? *options_.clock : system_clock_),
      random_(options_.random ? options_.random : SystemRandom()),
      reporter_(std::move(pipeline), std::move(sink), metrics, clock_),
      mailbox_([this] { wakeup_.Wake(); }),
      wake_to_stop_(stop_.get_token(), [this] { wakeup_.Wake(); }),
      selection_(rules_, sink_name_),
      office_(rules_, options_, clock_, random_, reporter_),
      backoff_(options_.backoff, random_),
      pause_(clock_),
      pause_backoff_(options_.backoff, random_) {}

SinkRunner::StepResult SinkLoop::Step(Milliseconds timeout) {
  if (halted_) return StepResult::kHalted;
  wakeup_.Arm();  // what happens from here on ends the wait of this step
  if (stop_.stop_requested()) return StepResult::kStopped;
  try {
    mailbox_.Serve();
    if (halted_) return StepResult::kHalted;
    if (not_before_) {
      const auto left = std::chrono::ceil<Milliseconds>(*not_before_ - clock_.Now());
      if (left > 0ms) {
        WaitFor(std::min(left, timeout));
        if (stop_.stop_requested()) return StepResult::kStopped;
        if (clock_.Now() < *not_before_) return StepResult::kWaiting;
      }
      not_before_.reset();
    }
    auto result = Advance(timeout);
    const StepResult step = result ? *result : Fail(result.error());
    Publish();
    if (step != StepResult::kHalted && stop_.stop_requested()) return StepResult::kStopped;
    return step;
  } catch (const std::exception& exception) {
    const StepResult step =
        Fail({Disposition::kFatal, "sink_exception",
              fmt::format("the sink threw: {}; please report this", exception.what())});
    Publish();
    return step;
  }
}

Result<SinkRunner::StepResult> SinkLoop::Advance(Milliseconds timeout) {
  TW_TRY(TakeLease());
  TW_ASSIGN_OR_RETURN(const bool mine, Assign(timeout));
  if (paused_) return StandPaused(timeout);
  if (!mine) {
    reporter_.Enter(SinkState::kStandby, "no partition is assigned to this process");
    return StepResult::kWaiting;
  }
  if (office_.stale()) TW_TRY(office_.Load(*subscription_));
  return concurrent_ != nullptr ? AdvanceConcurrent(timeout) : AdvanceBatch(timeout);
}

Result<SinkRunner::StepResult> SinkLoop::AdvanceBatch(Milliseconds timeout) {
  bool replayed = false;
  if (!in_transaction_) {
    TW_ASSIGN_OR_RETURN(replayed, ReplayStored());
  }
  if (!assigned_) return StepResult::kProgress;
  marker_waits_ = false;
  TW_ASSIGN_OR_RETURN(bool moved, Collect());
  if (batch_.size() < options_.batch_records && !probing_) {
    const bool idle = batch_.empty() && !moved && !replayed;
    if (idle) TW_TRY(office_.Recount(*subscription_, true));
    TW_ASSIGN_OR_RETURN(const bool read, Fill(idle ? UntilDue(timeout) : 0ms));
    if (read) {
      TW_TRY(FillLonger());
      TW_ASSIGN_OR_RETURN(const bool marker, Collect());
      moved = read || marker;
    }
  }
  const bool wrote = !batch_.empty();
  if (wrote) TW_TRY(Deliver());
  const bool handed_over = wrote || marker_moved_ || settled_;
  if (assigned_) TW_TRY(Commit(handed_over));
  if (assigned_ && handed_over) PassFrontiers();
  if (assigned_) TW_TRY(MirrorOffsets());
  marker_moved_ = false;
  ReportProgress();
  if (moved || wrote || replayed) return StepResult::kProgress;
  return marker_waits_ || !lanes_.empty() ? StepResult::kWaiting : StepResult::kIdle;
}

Status SinkLoop::TakeLease() {
  if (subscription_ == nullptr) {
    if (rules_.one_writer) topic_.KeepTogether(sink_name_);
    TW_ASSIGN_OR_RETURN(
        subscription_,
        topic_.Subscribe(sink_name_, stop_.get_token(), [this](const std::string& holder) {
          reporter_.Enter(SinkState::kStandby,
                          fmt::format("the sink's lease is held by {}", holder));
        }));
  }
  if (reader_ == nullptr) {
    TW_ASSIGN_OR_RETURN(reader_, topic_.OpenReader());
    reporter_.OpenedReader(reader_);
  }
  return {};
}

Status SinkLoop::OpenSink() {
  if (opened_) return {};
  if (!preflown_ && options_.preflight) TW_TRY(options_.preflight());
  preflown_ = true;
  if (sink_ == nullptr) {
    TW_ASSIGN_OR_RETURN(sink_, create_());
  }
  TW_TRY(reporter_.InCall([&] { return sink_->Open(); }));
  opened_ = true;
  transaction_ = sink_->transactional();
  concurrent_ = sink_->concurrent();
  if (concurrent_ != nullptr) concurrent_->OnProgress([this] { wakeup_.Wake(); });
  selection_.set_takes_events(sink_->wants_truncate_events());
  return {};
}

Result<bool> SinkLoop::Assign(Milliseconds timeout) {
  const bool nothing = assigned_ && windows_.empty() && !paused_;
  TW_ASSIGN_OR_RETURN(const Subscription::Assignment assignment,
                      subscription_->Poll(nothing ? timeout : 0ms));
  if (!assigned_ || assignment.generation != generation_) {
    DropAssignment();
    TW_TRY(LoadOffsets(assignment));
  }
  return !windows_.empty();
}

Status SinkLoop::LoadOffsets(const Subscription::Assignment& assignment) {
  TW_ASSIGN_OR_RETURN(Subscription::Stored stored, subscription_->Load());
  if (assignment.partitions.empty() || stored.paused) {
    // Nothing to write for: the target is not even looked for.
    if (transaction_ != nullptr) TW_TRY(transaction_->Assigned(assignment.partitions));
    TW_TRY(office_.Load(*subscription_));
    paused_ = stored.paused && !assignment.partitions.empty();
    generation_ = assignment.generation;
    assigned_ = true;
    if (paused_) reporter_.Assigned(stored.log_id, stored.offsets);
    return {};
  }
  TW_TRY(OpenSink());
  TW_TRY(office_.Load(*subscription_));
  if (transaction_ != nullptr) {
    TW_TRY(transaction_->Assigned(assignment.partitions));
    TW_ASSIGN_OR_RETURN(TransactionalSink::Stored held, transaction_->StoredOffsets());
    stored.log_id = std::move(held.log_id);
    stored.offsets = std::move(held.offsets);
  }
  const std::string& log_id = reader_->log_id();
  if (!stored.log_id.empty() && stored.log_id != log_id) {
    return Halt(
        Disposition::kGap, "topic_log_replaced",
        fmt::format(
            "the sink's offsets belong to log {}, but the topic now is log {}; the changes in "
            "between are not in it: empty the target and start the sink under a new name",
            stored.log_id, log_id));
  }
  TW_ASSIGN_OR_RETURN(const auto ranges, reader_->Ranges());
  Offsets start;
  Offsets all;
  for (const int32_t partition : assignment.partitions) {
    const auto range = ranges.find(partition);
    if (range == ranges.end()) {
      return Error{
          Disposition::kRetry, "topic_partition_missing",
          fmt::format("partition {} is assigned, but the topic does not know it", partition)};
    }
    const auto offset = stored.offsets.find(partition);
    if (offset == stored.offsets.end()) {
      TW_ASSIGN_OR_RETURN(start[partition], ResolveStart(partition, range->second));
      all[partition] = start[partition];
    } else {
      all[partition] = offset->second;
      TW_TRY(CheckRange(partition, offset->second, range->second));
    }
  }
  // What `start:` meant is decided once: from here on only verdicts move the offset.
  if (!start.empty()) {
    if (transaction_ != nullptr) {
      TW_ASSIGN_OR_RETURN(const CommitOutcome outcome, transaction_->Commit(log_id, {}, start));
      if (outcome == CommitOutcome::kLost) {
        return Error{Disposition::kRetry, "sink_offsets_lost",
                     "another writer stored offsets in the target meanwhile; reading them again"};
      }
      mirror_is_behind_ = true;
    } else {
      TW_TRY(subscription_->Commit(assignment.generation, {.log_id = log_id, .offsets = start}));
    }
    TW_CRASH_POINT("sink_start_resolved");
  }
  for (const auto& [partition, offset] : all) windows_.try_emplace(partition, partition, offset);
  rewound_from_ = std::move(stored.rewound_from);
  paused_ = false;
  generation_ = assignment.generation;
  assigned_ = true;
  frontiers_.Assign(assignment.partitions);
  reporter_.Assigned(log_id, all);
  if (!all.empty())
    reporter_.logger().Info("delivery started", {{"log", log_id}, {"partitions", all.size()}});
  return {};
}

Result<int64_t> SinkLoop::ResolveStart(int32_t partition, const PartitionRange& range) {
  switch (rules_.start.kind) {
    case StartSpec::Kind::kSnapshot:
    case StartSpec::Kind::kBeginning:
      return range.begin;
    case StartSpec::Kind::kEnd:
      return range.end;
    case StartSpec::Kind::kTime:
      return reader_->OffsetAt(partition, rules_.start.time_micros);
    case StartSpec::Kind::kOffset:
      if (rules_.start.offset < range.begin || rules_.start.offset > range.end) {
        return Halt(Disposition::kNeedsOperator, "start_outside_topic",
                    fmt::format("start: offset {} lies outside the topic, which holds {} to {}; "
                                "choose another start",
                                rules_.start.offset, range.begin, range.end));
      }
      return rules_.start.offset;
  }
  return Error{Disposition::kFatal, "start_unknown", "unknown kind of start"};
}

Status SinkLoop::CheckRange(int32_t partition, int64_t offset, const PartitionRange& range) {
  if (offset < range.begin) {
    return Halt(Disposition::kGap, "topic_trimmed",
                fmt::format("partition {}: offset {} was trimmed away, the topic starts at {}: {} "
                            "records are lost to "
                            "this sink; empty the target and start the sink under a new name",
                            partition, offset, range.begin, range.begin - offset));
  }
  if (offset > range.end) {
    return Halt(Disposition::kGap, "topic_offset_beyond_end",
                fmt::format("partition {}: the sink is at offset {}, but the topic ends at {}: the "
                            "topic lost its tail "
                            "or was restored; empty the target and start the sink under a new name",
                            partition, offset, range.end));
  }
  return {};
}

void SinkLoop::Rollback() {
  if (transaction_ == nullptr) return;
  transaction_->Rollback();
  reporter_.DropCounts();
  if (office_.has_entries()) office_.Discard();
  batch_.clear();
  batch_bytes_ = 0;
  settled_ = false;
  reached_frontier_.clear();
  for (auto& [partition, window] : windows_) window.Reopen();
}

void SinkLoop::DropAssignment() {
  Rollback();
  CancelFlights();
  assigned_ = paused_ = false;
  commit_failed_ = false;
  settled_ = false;
  probing_ = false;
  batch_.clear();
  batch_bytes_ = 0;
  lanes_.Clear();
  barriers_.clear();
  behind_stored_.clear();
  at_frontier_.clear();
  reached_frontier_.clear();
  in_transaction_ = false;
  for (const auto& [partition, window] : windows_) reporter_.GaveBack(window.open());
  windows_.clear();
  office_.Discard();
  office_.ForgetStoppedTables();
}

void SinkLoop::LostAssignment(std::string_view reason) {
  reporter_.logger().Warn("batch dropped, offsets are read again", {{"reason", reason}});
  DropAssignment();
}

SinkRunner::StepResult SinkLoop::Fail(const Error& error) {
  Rollback();
  if (halted_) return StepResult::kHalted;
  if (stop_.stop_requested()) return StepResult::kStopped;
  switch (error.disposition) {
    case Disposition::kCancelled:
    case Disposition::kRetry:
    case Disposition::kNeedsOperator: {
      Milliseconds delay = backoff_.Next(error.disposition);
      if (retry_after_ > 0ms) delay = std::exchange(retry_after_, 0ms);
      not_before_ = clock_.Now() + delay;
      const bool operator_needed = error.disposition == Disposition::kNeedsOperator;
      reporter_.Retried(error.code);
      reporter_.Fail(operator_needed ? SinkState::kWaitingOperator : SinkState::kRetrying, error,
                     std::exchange(failed_id_, {}), delay);
      return StepResult::kWaiting;
    }
    case Disposition::kReject:
    case Disposition::kGap:
    case Disposition::kFatal:
      break;
  }
  if (concurrent_ != nullptr && assigned_) {
    if (const Status stored = Commit(true); !stored) {  // then it comes again
      reporter_.logger().Warn("offsets not stored at halt", {{"code", stored.error().code}});
    }
  }
  static_cast<void>(Halt(error.disposition, error.code, error.message));
  return StepResult::kHalted;
}

Error SinkLoop::Halt(Disposition disposition, std::string_view code, std::string message,
                     const Change* change) {
  Error error{disposition, code, std::move(message)};
  halted_ = true;
  reporter_.Fail(SinkState::kHalted, error, change == nullptr ? std::string() : Id(*change),
                 std::nullopt);
  mailbox_.Close({Disposition::kRetry, "sink_busy",
                  fmt::format("the sink is halted ({}) and does nothing any more: repair what it "
                              "reports, restart it, then ask again",
                              code)});
  CancelFlights();
  return error;
}

Error SinkLoop::HaltWithoutVerdict(const Change& change) {
  return Halt(Disposition::kFatal, "verdict_missing",
              "the sink gave no verdict for this change; please report this", &change);
}

void SinkLoop::WaitFor(Milliseconds time) {
  if (time > 0ms) static_cast<void>(WaitUnlessStopped(time, wakeup_.token()));
}

SinkLoop::Milliseconds SinkLoop::UntilDue(Milliseconds timeout) const {
  std::optional<Clock::TimePoint> due;
  const auto earlier = [&due](std::optional<Clock::TimePoint> time) {
    if (time && (!due || *time < *due)) due = time;
  };
  if (paused_until_) {
    earlier(paused_until_);
  } else {
    earlier(lanes_.next_due());
    // Without room they go when the sink wakes us.
    if (concurrent_ == nullptr || concurrent_->Room() > 0) earlier(office_.next_due());
  }
  if (!flights_.empty() && (settled_ || office_.has_entries())) {
    earlier(last_commit_ + options_.commit_interval);
  }
  if (!due) return timeout;
  return std::clamp(std::chrono::ceil<Milliseconds>(*due - clock_.Now()), 0ms, timeout);
}

void SinkLoop::ReportProgress() {
  if (!assigned_) return;
  backoff_.Reset();
  if (!pause_.down() && lanes_.failing() == 0) reporter_.Enter(SinkState::kRunning);
  Offsets passed;
  std::optional<int64_t> oldest;
  for (const auto& [partition, window] : windows_) {
    passed[partition] = window.passed_offset();
    const WindowRecord* open = window.first_open();
    if (open == nullptr || open->change->source_time_micros == 0) continue;
    oldest = std::min(oldest.value_or(INT64_MAX), open->change->source_time_micros);
  }
  reporter_.Passed(passed, oldest);
}

void SinkLoop::Publish() {
  size_t waiting = 0;
  for (const auto& [partition, window] : windows_) waiting += window.open();
  if (transaction_ == nullptr) reporter_.KeepCounts();  // else with the commit
  reporter_.PublishCounts(waiting, flights_.size());
}

void SinkLoop::Close() {
  mailbox_.Close({Disposition::kRetry, "sink_busy", "the sink is stopped; nothing was done"});
  try {
    if (assigned_ && sink_ != nullptr) {
      Rollback();
      Status committed;
      if (concurrent_ != nullptr && !halted_) {
        // What the target has answered need not come again.
        if (auto taken = TakeVerdicts(); !taken) committed = std::move(taken).error();
        CancelFlights();
      }
      if (committed && assigned_) committed = Commit(true);
      last_mirror_ = {};
      if (committed && assigned_) committed = MirrorOffsets();
      if (!committed) {
        // Nothing is lost: these records come again after the next start.
        reporter_.logger().Warn("offsets not stored at stop", {{"code", committed.error().code}});
      }
    }
  } catch (const std::exception& exception) {
    reporter_.logger().Warn("offsets not stored at stop", {{"reason", exception.what()}});
  }
  for (const auto& [partition, window] : windows_) reporter_.GaveBack(window.open());
  lanes_.Clear();
  flights_.clear();
  batch_.clear();
  windows_.clear();
  Publish();
  assigned_ = opened_ = false;
  transaction_ = nullptr;
  concurrent_ = nullptr;
  sink_.reset();
  reader_.reset();
  subscription_.reset();
  if (!halted_) reporter_.Enter(SinkState::kStopped);
}

}  // namespace tailwater
