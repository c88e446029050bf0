// What other threads ask for: stored records to be tried again or dropped, a pause, a rewind.
#include <algorithm>
#include <utility>

#include "pipeline/sink_loop.h"
#include "support/text.h"
#include "util/crash_point.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;

Error Busy(std::string message) { return {Disposition::kRetry, "sink_busy", std::move(message)}; }

Error Refused(std::string message) {
  return {Disposition::kReject, "rewind_refused", std::move(message)};
}

}  // namespace

Result<Subscription::Assignment> SinkLoop::Settled() {
  if (subscription_ == nullptr) {
    return Busy("the sink has not got its lease or its topic yet; nothing was done, try again");
  }
  const bool was_assigned = assigned_;
  // What is on its way to the store goes there first.
  if (assigned_) TW_TRY(Commit(true));
  if (was_assigned != assigned_) {
    return Busy("the sink's partitions went to another process; nothing was done, ask it there");
  }
  TW_ASSIGN_OR_RETURN(Subscription::Assignment assignment, subscription_->Poll(0ms));
  if (assignment.partitions.empty()) {
    return Busy("no partition of the sink is assigned to this process; ask the one that has it");
  }
  if (assigned_ && assignment.generation != generation_) {
    return Busy("the sink's partitions are being dealt anew; nothing was done, try again");
  }
  return assignment;
}

void SinkLoop::StoredChanged(const std::vector<std::string>& keys) {
  // A failure here is no failure of what was asked: what is stored is read again with the next
  // step.
  if (!office_.Load(*subscription_)) office_.Invalidate();
  office_.Hurry(keys);
  // There may be room for what waits for it.
  lanes_.HurryAtLimit();
  if (probing_) not_before_.reset();
}

Result<uint64_t> SinkLoop::Requeue(const DeadLetterFilter& filter) {
  TW_ASSIGN_OR_RETURN(const Subscription::Assignment assignment, Settled());
  TW_ASSIGN_OR_RETURN(const std::vector<std::string> keys,
                      subscription_->Requeue(assignment.generation, filter));
  StoredChanged(keys);
  return keys.size();
}

Result<uint64_t> SinkLoop::Drop(const DeadLetterFilter& filter) {
  TW_ASSIGN_OR_RETURN(const Subscription::Assignment assignment, Settled());
  TW_ASSIGN_OR_RETURN(const uint64_t count,
                      subscription_->DropDeadLetters(assignment.generation, filter));
  StoredChanged({});
  return count;
}

Result<bool> SinkLoop::Pause() {
  TW_ASSIGN_OR_RETURN(const Subscription::Assignment assignment, Settled());
  TW_ASSIGN_OR_RETURN(const Subscription::Stored stored, subscription_->Load());
  // No log id: that the topic was replaced is told when the sink reads on.
  if (!stored.paused) {
    TW_TRY(subscription_->Commit(assignment.generation, {.paused = true}));
    reporter_.logger().Info("sink paused");
  }
  not_before_.reset();
  paused_ = true;  // what is read and in flight: StandPaused()
  return !stored.paused;
}

Result<bool> SinkLoop::Resume() {
  TW_ASSIGN_OR_RETURN(const Subscription::Assignment assignment, Settled());
  TW_ASSIGN_OR_RETURN(const Subscription::Stored stored, subscription_->Load());
  if (!stored.paused) return false;
  TW_TRY(subscription_->Commit(assignment.generation, {.paused = false}));
  reporter_.logger().Info("sink resumed");
  not_before_.reset();
  if (flights_.empty()) {
    DropAssignment();  // taken anew with the next step
  } else {
    paused_ = false;  // it was not at rest yet: it goes on where it is
  }
  return true;
}

Result<SinkRunner::StepResult> SinkLoop::StandPaused(Milliseconds timeout) {
  if (!flights_.empty()) {
    TW_TRY(TakeVerdicts());
    TW_TRY(CommitWhenDue());
    if (!assigned_) return StepResult::kProgress;
    reporter_.Enter(SinkState::kPaused, "waits for what is in flight");
    if (!flights_.empty()) WaitFor(std::min(timeout, options_.commit_interval));
    return StepResult::kWaiting;
  }
  if (!windows_.empty()) {
    TW_TRY(Commit(true));
    last_mirror_ = {};
    if (assigned_) TW_TRY(MirrorOffsets());
    DropAssignment();  // taken anew with the next step, without windows
    return StepResult::kProgress;
  }
  // Another process of the sink may have been asked to resume it.
  TW_ASSIGN_OR_RETURN(const Subscription::Stored stored, subscription_->Load());
  if (!stored.paused) {
    DropAssignment();
    return StepResult::kProgress;
  }
  reporter_.Enter(SinkState::kPaused, "a person paused it; `tailwater sinks resume` ends that");
  WaitFor(timeout);
  return StepResult::kWaiting;
}

Result<Subscription::Stored> SinkLoop::StoredPlace(const Subscription::Assignment& assignment) {
  TW_ASSIGN_OR_RETURN(Subscription::Stored stored, subscription_->Load());
  if (transaction_ != nullptr) {
    TW_TRY(transaction_->Assigned(assignment.partitions));
    TW_ASSIGN_OR_RETURN(TransactionalSink::Stored held, transaction_->StoredOffsets());
    stored.log_id = std::move(held.log_id);
    stored.offsets = std::move(held.offsets);
  }
  if (!stored.log_id.empty() && stored.log_id != reader_->log_id()) {
    return Refused(
        "the sink's offsets belong to another log than the topic is now; empty the target and "
        "start the sink under a new name");
  }
  return stored;
}

Result<RewindPlan> SinkLoop::PlanRewind(const RewindTarget& to,
                                        const Subscription::Assignment& assignment,
                                        const Subscription::Stored& stored) {
  const auto is_ours = [&](int32_t partition) {
    return std::find(assignment.partitions.begin(), assignment.partitions.end(), partition) !=
           assignment.partitions.end();
  };
  for (const auto& [partition, offset] : to.offsets) {
    if (!is_ours(partition)) {
      return Refused(fmt::format("partition {} is not assigned to this process; ours are: {}",
                                 partition, fmt::join(assignment.partitions, ", ")));
    }
  }
  TW_ASSIGN_OR_RETURN(const auto ranges, reader_->Ranges());
  RewindPlan plan{.replays_skipped = !rules_.replay};
  for (const auto& [partition, from] : stored.offsets) {
    const auto range = ranges.find(partition);
    if (!is_ours(partition) || range == ranges.end()) continue;
    int64_t next = from;
    switch (to.kind) {
      case RewindTarget::Kind::kBeginning:
        next = range->second.begin;
        break;
      case RewindTarget::Kind::kTime: {
        TW_ASSIGN_OR_RETURN(next, reader_->OffsetAt(partition, to.time_micros));
        break;
      }
      case RewindTarget::Kind::kOffsets: {
        const auto wanted = to.offsets.find(partition);
        if (wanted == to.offsets.end()) continue;
        next = wanted->second;
        if (next < range->second.begin) {
          return Refused(
              fmt::format("partition {}: the topic holds nothing before offset {}; "
                          "`--to beginning` goes there",
                          partition, range->second.begin));
        }
        if (next > from) {
          return Refused(fmt::format(
              "partition {}: the sink stands at offset {}; going on to {} would leave out changes, "
              "and a rewind only goes back",
              partition, from, next));
        }
        break;
      }
    }
    if (next >= from) continue;
    plan.moves[partition] = {from, next};
    plan.records += static_cast<uint64_t>(from - next);
  }
  return plan;
}

Status SinkLoop::RefuseKeylessTables() {
  if (transaction_ == nullptr || !options_.keyless_tables) return {};
  TW_ASSIGN_OR_RETURN(const std::vector<std::string> tables, options_.keyless_tables());
  if (tables.empty()) return {};
  return Error{
      Disposition::kReject, "rewind_keyless",
      fmt::format(
          "the sink holds tables without a key ({}), whose rows a rewind would double: they "
          "would have to be emptied first, which this version cannot do; start the sink "
          "under a new name with an empty target instead",
          fmt::join(tables, ", "))};
}

Result<RewindPlan> SinkLoop::Rewind(const RewindTarget& to, bool dry_run) {
  TW_ASSIGN_OR_RETURN(const Subscription::Assignment assignment, Settled());
  if (reader_ == nullptr) return Busy("the topic cannot be read at the moment; try again");
  TW_TRY(OpenSink());  // whether it is transactional, and where it stands then
  TW_TRY(RefuseKeylessTables());
  TW_ASSIGN_OR_RETURN(const Subscription::Stored stored, StoredPlace(assignment));
  TW_ASSIGN_OR_RETURN(RewindPlan plan, PlanRewind(to, assignment, stored));
  if (dry_run || plan.moves.empty()) return plan;
  const Status moved = MoveBack(assignment.generation, stored, plan);
  DropAssignment();  // what is in flight is given up; the place is read again with the next step
  TW_TRY(moved);
  TW_CRASH_POINT("sink_rewound");
  not_before_.reset();
  for (const auto& [partition, move] : plan.moves) {
    reporter_.logger().Info("sink rewound",
                            {{"partition", partition}, {"from", move.from}, {"to", move.to}});
  }
  return plan;
}

Status SinkLoop::MoveBack(uint64_t generation, const Subscription::Stored& stored,
                          const RewindPlan& plan) {
  Subscription::Update update{.log_id = reader_->log_id()};
  Offsets expected;
  for (const auto& [partition, move] : plan.moves) {
    expected[partition] = move.from;
    update.offsets[partition] = move.to;
    const auto mark = stored.rewound_from.find(partition);
    update.rewound_from[partition] =
        mark == stored.rewound_from.end() ? move.from : std::max(mark->second, move.from);
  }
  if (transaction_ != nullptr) {
    // The mark first: in front of the offset it says nothing. The stored records last: before the
    // target's offsets are back they do not come again.
    TW_TRY(subscription_->Commit(generation,
                                 {.log_id = update.log_id, .rewound_from = update.rewound_from}));
    TW_CRASH_POINT("sink_rewind_marked");
    TW_ASSIGN_OR_RETURN(const CommitOutcome outcome, reporter_.InCall([&] {
      return transaction_->Commit(update.log_id, expected, update.offsets);
    }));
    if (outcome == CommitOutcome::kLost) {
      return Busy("another writer moved the offsets in the target; nothing was done, try again");
    }
    TW_CRASH_POINT("sink_rewound_in_target");
  }
  update.rewind = true;
  return subscription_->Commit(generation, update);
}

}  // namespace tailwater
