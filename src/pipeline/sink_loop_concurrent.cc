// Sinks that have many changes in flight: handed out key by key, judged as the answers come.
#include <algorithm>
#include <utility>

#include "pipeline/sink_loop.h"
#include "support/text.h"
#include "util/crash_point.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;

// What is to be stored besides offsets does not wait longer than for so many bytes of it.
constexpr size_t kPendingBytes = 1 << 20;

}  // namespace

Result<SinkRunner::StepResult> SinkLoop::AdvanceConcurrent(Milliseconds timeout) {
  marker_waits_ = false;
  TW_ASSIGN_OR_RETURN(bool moved, TakeVerdicts());
  if (paused_until_ && clock_.Now() >= *paused_until_) paused_until_.reset();
  WakeLanes();
  TW_ASSIGN_OR_RETURN(const bool handed_over, HandOver());
  moved = moved || handed_over;
  if (!moved && assigned_) TW_TRY(office_.Recount(*subscription_, true));
  if (assigned_) {
    TW_ASSIGN_OR_RETURN(const bool read, Fill(moved ? 0ms : UntilDue(timeout)));
    if (read) {  // a wait ends with the hand-over, not with the next step
      const auto handed_over_read = HandOver();
      if (!handed_over_read) return handed_over_read.error();
      moved = true;
    }
  }
  if (moved) return StepResult::kProgress;
  return marker_waits_ || !lanes_.empty() || !flights_.empty() ? StepResult::kWaiting
                                                               : StepResult::kIdle;
}

Result<bool> SinkLoop::HandOver() {
  TW_ASSIGN_OR_RETURN(const bool distributed, Distribute());
  ReleaseHeld();
  TW_ASSIGN_OR_RETURN(const bool submitted, Submit());
  TW_TRY(CommitWhenDue());
  marker_moved_ = false;
  ReportProgress();
  return distributed || submitted;
}

Result<bool> SinkLoop::Distribute() {
  bool moved = false;
  for (auto& [partition, window] : windows_) {
    TW_ASSIGN_OR_RETURN(const bool window_moved, DistributeFrom(window));
    moved = moved || window_moved;
  }
  return moved;
}

Result<bool> SinkLoop::DistributeFrom(PartitionWindow& window) {
  if (const auto barrier = barriers_.find(window.partition()); barrier != barriers_.end()) {
    const WindowRecord* open = window.first_open();
    if (open != nullptr && open->offset <= barrier->second) return false;
    barriers_.erase(barrier);
  }
  bool moved = false;
  while (WindowRecord* record = window.next()) {
    const Operation operation = record->change->operation;
    if (IsMarker(operation)) {
      TW_ASSIGN_OR_RETURN(const bool passed, PassMarker(*record));
      if (!passed) break;
      moved = true;
      continue;
    }
    const bool truncate = operation == Operation::kTruncate && window.partition() == 0;
    if (truncate || operation != Operation::kTruncate) {
      const OfStopped held = HoldStopped(*record);
      if (held == OfStopped::kWaits) {
        marker_waits_ = true;
        break;
      }
      if (held == OfStopped::kTaken) {
        moved = true;
        continue;
      }
    }
    if (truncate && window.first_open() != record) break;
    window.Take();
    moved = true;
    if (IsControl(operation) && !truncate) {
      reporter_.Handled();
      window.Finish(*record);
      continue;
    }
    if (Lane* lane = lanes_.Find(record->key)) {
      lanes_.Append(*lane, *record);
    } else if (!truncate && office_.Blocks(record->key)) {
      ParkOrHold(*record);
    } else {
      Lane& opened = lanes_.Open(record->key);
      lanes_.Append(opened, *record);
      lanes_.MakeReady(opened);
    }
    if (!truncate) continue;
    barriers_[window.partition()] = record->offset;  // nothing behind it goes before its verdict
    break;
  }
  return moved;
}

Result<bool> SinkLoop::Submit() {
  bool any = false;
  if (paused_until_) return any;
  while (concurrent_->Room() > 0) {
    stored_turn_ = !stored_turn_;
    TW_ASSIGN_OR_RETURN(bool submitted, stored_turn_ ? SubmitStored() : SubmitLive());
    if (!submitted) {
      TW_ASSIGN_OR_RETURN(submitted, stored_turn_ ? SubmitLive() : SubmitStored());
    }
    if (!submitted) break;
    any = true;
  }
  return any;
}

Result<bool> SinkLoop::SubmitLive() {
  while (Lane* lane = lanes_.TakeReady(lanes_.at_limit() > 0)) {
    const WindowRecord& record = *lane->head;
    const BlockedKey* stored = office_.Find(lane->key);
    if (stored != nullptr && !IsControl(record.change->operation)) {
      FinishLane(*lane);  // its key was parked meanwhile
      continue;
    }
    if (stored != nullptr && stored->busy) {  // a TRUNCATE shares the key of a keyless table
      behind_stored_.emplace(stored->key);
      continue;
    }
    const Delivery delivery = DeliveryOf(record);
    const uint64_t ticket = next_ticket_++;
    flights_[ticket] = {.lane = lane,
                        .place = {delivery.partition, delivery.offset},
                        .since = clock_.Now(),
                        .source_time_micros = delivery.change->source_time_micros};
    concurrent_->Submit(ticket, delivery);
    return true;
  }
  return false;
}

Result<bool> SinkLoop::SubmitStored() {
  if (!office_.next_due()) return false;
  for (;;) {
    TW_ASSIGN_OR_RETURN(BlockedKey * key, office_.TakeDue(*subscription_));
    if (key == nullptr) return false;
    if (const Lane* lane = lanes_.Find(key->key);
        lane != nullptr && lane->phase == Lane::Phase::kBusy) {
      key->busy = false;  // due again once that one is back: FinishLane()
      continue;
    }
    const DeadLetter& letter = key->loaded.front();
    const RecordPlace place = PlaceOf(letter);
    StoredDelivery stored;
    if (const Status decoded = Decode(letter, decoder_, stored); !decoded) {
      office_.Judge(*key, place, Verdict::Rejected(decoded.error().code, decoded.error().message));
      continue;
    }
    const uint64_t ticket = next_ticket_++;
    flights_[ticket] = {.stored_key = std::string(key->key),
                        .place = place,
                        .since = clock_.Now(),
                        .source_time_micros = stored.delivery.change->source_time_micros};
    concurrent_->Submit(ticket, stored.delivery);
    return true;
  }
}

Result<bool> SinkLoop::TakeVerdicts() {
  finished_.clear();
  const Status taken = concurrent_->TakeFinished(finished_);
  std::optional<Error> failure;
  for (const ConcurrentSink::Finished& finished : finished_) {
    const auto found = flights_.find(finished.ticket);
    if (found == flights_.end()) continue;  // given up meanwhile
    const Flight flight = std::move(found->second);
    flights_.erase(found);
    const Verdict& verdict = finished.verdict;
    if (verdict.kind != Verdict::Kind::kRetry) {
      reporter_.Wrote(1, clock_.Now() - flight.since, flight.source_time_micros,
                      flight.source_time_micros);
    }
    if (verdict.kind == Verdict::Kind::kNone) {
      failure = Error{Disposition::kFatal, "verdict_missing",
                      "the sink gave no verdict for a change; please report this"};
      continue;
    }
    if (!verdict.whole_target) {
      pause_.Up();
      pause_backoff_.Reset();
    }
    if (flight.lane != nullptr) {
      JudgeLive(*flight.lane, verdict);
      continue;
    }
    BlockedKey* key = office_.Find(flight.stored_key);
    if (Lane* lane = lanes_.Find(flight.stored_key);
        lane != nullptr && behind_stored_.erase(flight.stored_key) > 0) {
      lanes_.MakeReady(*lane);
    }
    if (key == nullptr) continue;  // swept
    if (verdict.whole_target) {
      PauseTarget(verdict, key->loaded.empty() ? std::string() : key->loaded.front().id);
      office_.PutBack(*key, clock_.Now());
    } else {
      if (verdict.kind == Verdict::Kind::kRetry) reporter_.Retried(verdict.code);
      office_.Judge(*key, flight.place, verdict);
    }
  }
  TW_CRASH_POINT("sink_written_not_committed");
  if (!taken) failure = taken.error();
  if (!failure) return !finished_.empty();
  TW_TRY(Commit(true));
  // No retry heals it, whatever it calls itself.
  return Halt(failure->disposition, failure->code, failure->message);
}

void SinkLoop::JudgeLive(Lane& lane, const Verdict& verdict) {
  const Place place{lane.head, &lane};
  const Change& change = *lane.head->change;
  switch (verdict.kind) {
    case Verdict::Kind::kNone:
      break;  // the caller halts
    case Verdict::Kind::kApplied:
    case Verdict::Kind::kSuperseded:
      Settle(place, verdict);
      FinishLane(lane);
      break;
    case Verdict::Kind::kRetry:
      if (!verdict.whole_target) {
        PutOff(place, verdict);
        break;
      }
      PauseTarget(verdict, Id(change));
      FinishLane(lane);  // behind all others
      break;
    case Verdict::Kind::kRejected: {
      if (Reject(place, verdict)) {
        FinishLane(lane);
        break;
      }
      Lane::Failure& failure = lanes_.Fail(lane, options_.backoff, random_);
      if (!failure.at_limit) failure.since = pause_.UpTime();
      lanes_.SetAtLimit(lane, true);
      const Milliseconds delay = failure.backoff.Next(Disposition::kNeedsOperator);
      failure.not_before = clock_.Now() + delay;
      reporter_.Fail(SinkState::kWaitingOperator, WaitInFront(verdict, change), Id(change), delay);
      lanes_.Wait(lane, failure.not_before);
      break;
    }
  }
}

void SinkLoop::PauseTarget(const Verdict& verdict, const std::string& id) {
  pause_.Down();
  reporter_.Retried(verdict.code);
  const Disposition disposition =
      verdict.needs_operator ? Disposition::kNeedsOperator : Disposition::kRetry;
  const Clock::TimePoint now = clock_.Now();
  if (verdict.after > 0ms) {
    paused_until_ = std::max(paused_until_.value_or(now), now + verdict.after);
  } else if (!paused_until_) {
    paused_until_ = now + pause_backoff_.Next(disposition);
  }
  if (lanes_.at_limit() > 0) return;  // that is what a person has to see
  reporter_.Fail(verdict.needs_operator ? SinkState::kWaitingOperator : SinkState::kRetrying,
                 {disposition, verdict.code, verdict.reason}, id,
                 std::chrono::ceil<Milliseconds>(*paused_until_ - now));
}

Status SinkLoop::CommitWhenDue() {
  const bool due = flights_.empty() || marker_moved_ || office_.wants_commit() ||
                   office_.pending_bytes() > kPendingBytes ||
                   clock_.Now() - last_commit_ >= options_.commit_interval;
  if (settled_ || office_.has_entries()) return due ? Commit(true) : Status();
  return Commit(false);
}

void SinkLoop::CancelFlights() {
  if (flights_.empty()) return;
  concurrent_->CancelAll();
  flights_.clear();
}

}  // namespace tailwater
