// How what was decided about records becomes durable.
#include <utility>

#include "pipeline/sink_loop.h"
#include "util/crash_point.h"

namespace tailwater {
namespace {

bool NotOwner(const Status& status) { return !status && status.error().code == "not_owner"; }

}  // namespace

Status SinkLoop::Commit(bool force) {
  Offsets next;
  for (const auto& [partition, window] : windows_) {
    if (const int64_t passed = window.passed_offset(); passed != window.committed())
      next[partition] = passed;
  }
  const bool entries = office_.has_entries();
  if (next.empty() && !entries) {
    commit_failed_ = settled_ = false;
    return {};
  }
  const Clock::TimePoint now = clock_.Now();
  if (!force && !commit_failed_ && !entries &&
      (next.empty() || now - last_commit_ < options_.idle_commit_interval)) {
    return {};
  }
  commit_failed_ = true;
  Subscription::Update& update = office_.update();
  update.log_id = reader_->log_id();
  update.offsets = transaction_ != nullptr ? Offsets() : next;
  if (transaction_ == nullptr || entries) {
    const Status stored = subscription_->Commit(generation_, update);
    if (NotOwner(stored)) {
      LostAssignment("another process owns the sink's partitions");
      return {};
    }
    TW_TRY(stored);
    TW_CRASH_POINT("sink_dead_letters_stored");
  }
  if (transaction_ != nullptr) {
    Offsets expected;
    for (const auto& [partition, offset] : next)
      expected[partition] = windows_.at(partition).committed();
    const auto outcome =
        reporter_.InCall([&] { return transaction_->Commit(reader_->log_id(), expected, next); });
    if (!outcome) {
      // Maybe it was stored, maybe not: the target says so when it is asked again.
      DropAssignment();
      return outcome.error();
    }
    if (*outcome == CommitOutcome::kLost) {
      LostAssignment("another writer moved the offsets in the target");
      return {};
    }
    mirror_is_behind_ = true;
    reporter_.KeepCounts();
  }
  TW_CRASH_POINT("sink_committed");
  commit_failed_ = settled_ = false;
  last_commit_ = now;
  office_.Committed();
  bool frontier_moved = false;
  for (const auto& [partition, offset] : next) {
    PartitionWindow& window = windows_.at(partition);
    window.set_committed(offset);
    window.DropCommitted([&, number = partition](const WindowRecord& record) {
      if (record.change->operation != Operation::kFrontier) return;
      frontier_moved = frontiers_.Pass(number, *record.change) || frontier_moved;
    });
  }
  reporter_.Committed(next);
  if (frontier_moved) reporter_.PassedFrontiers(frontiers_.frontiers());
  if (office_.stale()) return office_.Load(*subscription_);
  return office_.Recount(*subscription_, false);
}

Status SinkLoop::MirrorOffsets() {
  if (!mirror_is_behind_ || clock_.Now() - last_mirror_ < options_.idle_commit_interval) return {};
  Subscription::Update update{.log_id = reader_->log_id()};
  for (const auto& [partition, window] : windows_) update.offsets[partition] = window.committed();
  const Status stored = subscription_->Commit(generation_, update);
  if (NotOwner(stored)) {
    LostAssignment("another process owns the sink's partitions");
    return {};
  }
  TW_TRY(stored);
  mirror_is_behind_ = false;
  last_mirror_ = clock_.Now();
  return {};
}

}  // namespace tailwater
