// What becomes of a record once its sink has spoken, and of those of its key behind it.
#include <algorithm>
#include <utility>

#include "pipeline/sink_loop.h"
#include "support/text.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kKeyBlocked = "key_blocked";
constexpr char kBehind[] = "waits behind an older change of its key";

}  // namespace

Delivery SinkLoop::DeliveryOf(const WindowRecord& record) const {
  const int32_t partition = record.window->partition();
  const bool replay = record.offset < ReplayBelow(partition);
  return {record.change, record.key, record.value, partition, record.offset, replay};
}

SinkLoop::OfStopped SinkLoop::HoldStopped(WindowRecord& record) {
  if (!office_.has_stopped_tables()) return OfStopped::kGoes;
  const Change& change = *record.change;
  const StoppedTables::Table* const table = office_.StoppedTable(change.source, change.table);
  if (table == nullptr) return OfStopped::kGoes;
  // An event of all rows: it comes behind those that are parked, and before what follows.
  if (change.operation == Operation::kTruncate) return OfStopped::kWaits;
  if (IsControl(change.operation) || lanes_.Find(record.key) != nullptr) return OfStopped::kGoes;
  if (office_.MayPark(record.key, 1)) {
    const Delivery delivery = DeliveryOf(record);
    if (office_.Blocks(record.key)) {
      office_.Park(delivery, kKeyBlocked, kBehind, 0);
    } else {
      office_.Park(delivery, table->status.code, table->status.reason, 0);
    }
    record.window->Take();
    record.window->Finish(record);
    settled_ = true;
    return OfStopped::kTaken;
  }
  // No more may be parked. If nothing of the table is, this record asks the target itself.
  if (!table->has_probe() && table->next_probe <= clock_.Now()) return OfStopped::kGoes;
  if (transaction_ != nullptr || !table->has_probe()) return OfStopped::kWaits;
  record.window->Take();
  Lane& held = lanes_.Open(record.key);
  lanes_.Append(held, record);
  lanes_.Hold(held);
  return OfStopped::kTaken;
}

bool SinkLoop::IsHandled(const Change& change, const Verdict& verdict) const {
  return verdict.kind == Verdict::Kind::kRetry && verdict.table_stopped &&
         IsControl(change.operation) && change.operation != Operation::kTruncate;
}

void SinkLoop::SettleHandled(const Place& place) {
  reporter_.Handled();
  place.record->window->Finish(*place.record);
  settled_ = true;
  if (place.lane == nullptr) return;
  lanes_.PopHead(*place.lane);
  lanes_.Heal(*place.lane);
}

void SinkLoop::Settle(const Place& place, const Verdict& verdict) {
  const Delivery delivery = DeliveryOf(*place.record);
  if (office_.has_stopped_tables()) {
    const StoppedTables::Table* const table =
        office_.StoppedTable(delivery.change->source, delivery.change->table);
    if (table != nullptr && !table->has_probe() && !IsControl(delivery.change->operation)) {
      office_.TableIsLive(delivery.change->source, delivery.change->table);
    }
  }
  if (verdict.kind == Verdict::Kind::kApplied) {
    reporter_.Applied(delivery.change->operation);
  } else {
    reporter_.Superseded();
  }
  office_.TookRow(delivery);
  place.record->window->Finish(*place.record);
  settled_ = true;
  if (place.lane == nullptr) return;
  lanes_.PopHead(*place.lane);
  lanes_.Heal(*place.lane);
}

bool SinkLoop::Reject(const Place& place, const Verdict& verdict) {
  const Delivery delivery = DeliveryOf(*place.record);
  const bool base_missing = verdict.code == kBaseMissing;
  const bool blocks =
      rules_.keeps_order_behind_dead && !base_missing && !IsControl(delivery.change->operation);
  if (!base_missing && !office_.MayBury(delivery.key, blocks)) return false;
  uint32_t attempts = 1;
  if (place.lane != nullptr) {
    if (place.lane->failure) attempts += place.lane->failure->backoff.attempts();
    lanes_.PopHead(*place.lane);
    lanes_.Heal(*place.lane);
  }
  office_.Bury(delivery, verdict, attempts, blocks);
  place.record->window->Finish(*place.record);
  settled_ = true;
  return true;
}

Error SinkLoop::WaitInFront(const Verdict& verdict, const Change& change) const {
  return {Disposition::kNeedsOperator, verdict.code,
          fmt::format("table {}: {}; {} dead letters are stored, and halt_after is {}: the sink "
                      "waits before this change. See `tailwater dead-letters list {}`, repair the "
                      "cause, then `tailwater dead-letters replay` or `drop` them",
                      change.table, verdict.reason, office_.dead(), rules_.halt_after, sink_name_)};
}

void SinkLoop::PutOff(const Place& place, const Verdict& verdict) {
  Lane* lane = place.lane;
  if (lane == nullptr) {
    lane = &lanes_.Open(place.record->key);
    lanes_.Append(*lane, *place.record);
  }
  const bool first = !lane->failure;
  Lane::Failure& failure = lanes_.Fail(*lane, options_.backoff, random_);
  if (first) failure.since = pause_.UpTime();
  lanes_.SetAtLimit(*lane, false);
  Milliseconds delay = failure.backoff.Next();
  if (verdict.after > 0ms) delay = verdict.after;
  failure.not_before = clock_.Now() + delay;
  failure.code = verdict.code;
  failure.reason = verdict.reason;
  failure.table_stopped = verdict.table_stopped;
  reporter_.Retried(verdict.code);
  if (verdict.table_stopped) {
    const Change& change = *place.record->change;
    office_.StopTable(change.source, change.table, verdict);
  } else if (lanes_.at_limit() == 0) {
    reporter_.Fail(SinkState::kRetrying, {Disposition::kRetry, verdict.code, verdict.reason},
                   Id(*place.record->change), delay);
  }
  RestLane(*lane);
}

void SinkLoop::RestLane(Lane& lane) {
  if (office_.Blocks(lane.key) && !IsControl(lane.head->change->operation)) {
    FinishLane(lane);
    return;
  }
  Lane::Failure& failure = *lane.failure;
  Clock::TimePoint wake = failure.not_before;
  if (failure.table_stopped && !IsControl(lane.head->change->operation)) {
    if (ParkLane(lane)) return;
    if (lanes_.at_limit() == 0) {
      reporter_.Fail(SinkState::kWaitingOperator,
                     {Disposition::kNeedsOperator, failure.code,
                      fmt::format("table {}: {}; its changes are not parked: {} records are, and "
                                  "park_limit is {}",
                                  lane.head->change->table, failure.reason, office_.parked(),
                                  rules_.park_limit)},
                     Id(*lane.head->change), std::nullopt);
    }
  } else if (!failure.at_limit && !pause_.down() && transaction_ == nullptr) {
    const auto left = failure.since + rules_.max_lane_wait - pause_.UpTime();
    if (left > Clock::TimePoint::duration::zero()) {
      wake = std::min(wake, clock_.Now() + left);
    } else if (ParkLane(lane)) {
      return;
    } else if (lanes_.at_limit() == 0) {
      reporter_.Fail(SinkState::kRetrying,
                     {Disposition::kRetry, failure.code,
                      fmt::format("{}; its key is not parked: {} records are, and park_limit is {}",
                                  failure.reason, office_.parked(), rules_.park_limit)},
                     Id(*lane.head->change), std::nullopt);
    }
  }
  lanes_.Wait(lane, wake);
}

void SinkLoop::FinishLane(Lane& lane) {
  // A stored record of the key may have waited for this one.
  if (BlockedKey* key = office_.Find(lane.key);
      key != nullptr && !key->dead && !key->busy && !key->due) {
    office_.PutBack(*key, clock_.Now());
  }
  if (lane.head == nullptr) {
    lanes_.Close(lane);
  } else if (!IsControl(lane.head->change->operation) && office_.Blocks(lane.key)) {
    if (!ParkLane(lane)) lanes_.Hold(lane);
  } else {
    lanes_.MakeReady(lane);
  }
}

void SinkLoop::WakeLanes() {
  if (!lanes_.next_due()) return;
  const Clock::TimePoint now = clock_.Now();
  while (Lane* lane = lanes_.TakeDue(now)) WakeLane(*lane);
}

void SinkLoop::WakeLane(Lane& lane) {
  if (office_.Blocks(lane.key)) {
    FinishLane(lane);
  } else if (lane.failure && clock_.Now() < lane.failure->not_before) {
    RestLane(lane);  // it was woken to be parked
  } else {
    lanes_.MakeReady(lane);
  }
}

bool SinkLoop::ParkLane(Lane& lane) {
  if (!office_.MayPark(lane.key, lane.records)) return false;
  bool failed = lane.failure.has_value() && !office_.Blocks(lane.key);
  while (lane.head != nullptr) {
    WindowRecord& record = lanes_.PopHead(lane);
    if (failed) {
      const Lane::Failure& failure = *lane.failure;
      office_.Park(DeliveryOf(record), failure.code, failure.reason, failure.backoff.attempts());
      record.window->Finish(record);
      failed = false;
    } else {
      Park(record);
    }
  }
  settled_ = true;
  lanes_.Close(lane);
  return true;
}

void SinkLoop::Park(WindowRecord& record) {
  office_.Park(DeliveryOf(record), kKeyBlocked, kBehind, 0);
  record.window->Finish(record);
  settled_ = true;
}

void SinkLoop::ParkOrHold(WindowRecord& record) {
  if (Lane* lane = lanes_.Find(record.key)) {  // in order behind those
    lanes_.Append(*lane, record);
  } else if (office_.MayPark(record.key, 1)) {
    Park(record);
  } else {
    Lane& held = lanes_.Open(record.key);
    lanes_.Append(held, record);
    lanes_.Hold(held);
  }
}

void SinkLoop::ReleaseHeld() {
  for (const std::string& key : office_.TakeReleased()) {
    Lane* lane = lanes_.Find(key);
    if (lane == nullptr || lane->phase != Lane::Phase::kHeld) continue;
    lanes_.TakeHeld(*lane);
    lanes_.MakeReady(*lane);
  }
  while (lanes_.has_held() && office_.parked() < rules_.park_limit) {
    Lane* lane = lanes_.TakeHeld();
    if (!office_.Blocks(lane->key) &&
        office_.StoppedTable(lane->head->change->source, lane->head->change->table) == nullptr) {
      lanes_.MakeReady(*lane);  // its table is live again
      continue;
    }
    if (ParkLane(*lane)) continue;
    lanes_.Hold(*lane);
    break;
  }
}

}  // namespace tailwater
