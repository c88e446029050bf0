// Sinks that are written to in batches: collected, written, judged.
#include <algorithm>
#include <utility>

#include "pipeline/sink_loop.h"
#include "support/text.h"
#include "util/crash_point.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;

bool StandsBefore(const WindowRecord& one, const WindowRecord& other) {
  return std::pair(one.window->partition(), one.offset) <
         std::pair(other.window->partition(), other.offset);
}

}  // namespace

bool SinkLoop::BatchIsFull() const {
  return batch_.size() >= options_.batch_records || batch_bytes_ >= options_.batch_bytes;
}

Result<bool> SinkLoop::Collect() {
  if (probing_) return false;
  CollectLanes();
  bool moved = false;
  for (auto& [partition, window] : windows_) {
    TW_ASSIGN_OR_RETURN(const bool window_moved, CollectFrom(window));
    moved = moved || window_moved;
  }
  return moved;
}

void SinkLoop::CollectLanes() {
  if (lanes_.empty()) return;
  WakeLanes();
  ReleaseHeld();
  bool added = false;
  while (!BatchIsFull()) {
    Lane* lane = lanes_.TakeReady();
    if (lane == nullptr) break;
    if (office_.Blocks(lane->key)) {
      FinishLane(*lane);
      continue;
    }
    // What does not fit into the batch stays in the lane.
    for (WindowRecord* record = lane->head; record != nullptr && !BatchIsFull();
         record = record->next_of_key) {
      batch_.push_back({record, lane});
      batch_bytes_ += record->value.size();
      added = true;
    }
  }
  if (!added) return;
  std::sort(batch_.begin(), batch_.end(), [](const Place& one, const Place& other) {
    return StandsBefore(*one.record, *other.record);
  });
}

Result<bool> SinkLoop::CollectFrom(PartitionWindow& window) {
  bool moved = false;
  while (WindowRecord* record = window.next()) {
    if (AwaitsFrontier(window.partition())) break;
    if (record->final) {
      window.Take();
      continue;
    }
    const Operation operation = record->change->operation;
    if (IsMarker(operation)) {
      TW_ASSIGN_OR_RETURN(const bool passed, PassMarker(*record));
      if (!passed) break;
      moved = true;
      // A rejected change rolls the transaction back, and the sweep with it; what stood before that
      // change is then written again. Nothing behind the marker may be part of that.
      if (transaction_ != nullptr) break;
      continue;
    }
    if (BatchIsFull()) break;
    const OfStopped held = HoldStopped(*record);
    if (held == OfStopped::kWaits) {
      marker_waits_ = true;
      break;
    }
    if (held == OfStopped::kTaken) {
      moved = true;
      continue;
    }
    if (!IsControl(operation) && office_.Blocks(record->key)) {
      // All or nothing: a transaction has no lanes.
      if (transaction_ != nullptr && !office_.MayPark(record->key, 1)) break;
      window.Take();
      ParkOrHold(*record);
      moved = true;
      continue;
    }
    window.Take();
    if (Lane* lane = lanes_.Find(record->key)) {
      lanes_.Append(*lane, *record);
      continue;
    }
    batch_.push_back({record, nullptr});
    batch_bytes_ += record->value.size();
    if (rules_.whole_transactions && operation == Operation::kFrontier) {
      reached_frontier_[window.partition()] = record->change->version;
    }
  }
  return moved;
}

bool SinkLoop::AwaitsFrontier(int32_t partition) const {
  return at_frontier_.contains(partition) || reached_frontier_.contains(partition);
}

void SinkLoop::PassFrontiers() {
  if (!rules_.whole_transactions) return;
  in_transaction_ = true;
  at_frontier_.merge(reached_frontier_);
  reached_frontier_.clear();
  if (at_frontier_.size() < windows_.size()) return;
  int64_t least = INT64_MAX;
  for (const auto& [partition, version] : at_frontier_) least = std::min(least, version);
  std::erase_if(at_frontier_, [&](const auto& entry) { return entry.second == least; });
  // Those that are ahead wait for the others; only where none is does a transaction end.
  in_transaction_ = !at_frontier_.empty();
}

bool SinkLoop::IsMarker(Operation operation) const {
  return operation == Operation::kSweep ||
         (operation == Operation::kTruncate && !sink_->wants_truncate_events());
}

Result<bool> SinkLoop::PassMarker(WindowRecord& record) {
  PartitionWindow& window = *record.window;
  if (window.first_open() != &record) return false;
  const Change& change = *record.change;
  const bool truncate = change.operation == Operation::kTruncate;
  const SweepRequest request{change.source, change.table,
                             truncate ? change.version : change.sweep_below, truncate};
  // One sweep per marker: partition 0 runs it, once no partition can bring older rows any more.
  if (window.partition() == 0) {
    TW_ASSIGN_OR_RETURN(const bool passed, FencePassed(change));
    if (!passed) {
      marker_waits_ = true;
      return false;
    }
    TW_TRY(reporter_.InCall([&] { return sink_->Sweep(request); }));
    reporter_.Applied(change.operation);
  } else {
    reporter_.Handled();
  }
  office_.Swept(request);
  window.Take();
  window.Finish(record);
  marker_moved_ = settled_ = true;
  return true;
}

Result<bool> SinkLoop::FencePassed(const Change& marker) {
  std::optional<Offsets> group;
  for (const PartitionOffset& fence : marker.fence) {
    int64_t stands_at = 0;
    if (const auto window = windows_.find(fence.partition); window != windows_.end()) {
      stands_at = window->second.committed();
    } else {
      if (!group) {
        if (transaction_ != nullptr) {
          TW_ASSIGN_OR_RETURN(TransactionalSink::Stored stored, transaction_->StoredOffsets());
          group = std::move(stored.offsets);
        } else {
          TW_ASSIGN_OR_RETURN(group, subscription_->GroupOffsets());
        }
      }
      const auto offset = group->find(fence.partition);
      if (offset == group->end()) return false;
      stands_at = offset->second;
    }
    if (stands_at <= fence.offset) return false;
  }
  return true;
}

Status SinkLoop::Deliver() {
  deliveries_.clear();
  int64_t oldest = 0;
  int64_t newest = 0;
  for (const Place& place : batch_) {
    deliveries_.push_back(DeliveryOf(*place.record));
    // Again, where a part of a batch that was taken back is delivered alone.
    if (rules_.whole_transactions && place.record->change->operation == Operation::kFrontier) {
      reached_frontier_[place.record->window->partition()] = place.record->change->version;
    }
    const int64_t time = place.record->change->source_time_micros;
    if (time == 0) continue;
    oldest = oldest == 0 ? time : std::min(oldest, time);
    newest = std::max(newest, time);
  }
  const Clock::TimePoint begin = clock_.Now();
  auto verdicts = reporter_.InCall([&] { return sink_->Write({deliveries_}); });
  if (!verdicts) {
    pause_.Down();
    return std::move(verdicts).error();
  }
  pause_.Up();
  reporter_.Wrote(deliveries_.size(), clock_.Now() - begin, oldest, newest);
  TW_CRASH_POINT("sink_written_not_committed");
  if (verdicts->size() != deliveries_.size()) {
    return Halt(Disposition::kFatal, "verdict_missing",
                fmt::format("the sink answered {} changes with {} verdicts; please report this",
                            deliveries_.size(), verdicts->size()));
  }
  return transaction_ != nullptr ? JudgeTransaction(*verdicts) : Judge(*verdicts);
}

Status SinkLoop::Judge(std::span<const Verdict> verdicts) {
  const std::vector<Place> batch = std::exchange(batch_, {});
  batch_bytes_ = 0;
  probing_ = false;
  std::set<std::string_view> put_off;  // keys of which nothing more counts in this batch
  std::set<std::string_view> staying;  // of these, those that stay in the batch
  const Verdict* front = nullptr;      // of the first record that the sink has to wait in front of
  const Change* front_change = nullptr;
  std::optional<size_t> missing;
  std::optional<Error> down;
  const auto stay = [&](const Place& place) {
    batch_.push_back(place);
    batch_bytes_ += place.record->value.size();
    put_off.insert(place.record->key);
    staying.insert(place.record->key);
  };
  for (size_t i = 0; i < verdicts.size() && !missing; ++i) {
    const Place& place = batch[i];
    const Verdict& verdict = verdicts[i];
    if (place.record->final) continue;                              // parked with its key
    if (!put_off.empty() && put_off.contains(place.record->key)) {  // comes again, in order
      if (staying.contains(place.record->key)) {
        stay(place);
      } else if (place.lane == nullptr) {
        if (Lane* lane = lanes_.Find(place.record->key)) {
          lanes_.Append(*lane, *place.record);
        } else {  // its lane was parked
          ParkOrHold(*place.record);
        }
      }
      continue;
    }
    switch (verdict.kind) {
      case Verdict::Kind::kNone:
        missing = i;
        break;
      case Verdict::Kind::kRetry:
        if (IsHandled(*place.record->change, verdict)) {
          SettleHandled(place);
        } else if (verdict.whole_target) {
          reporter_.Retried(verdict.code);
          down = Error{verdict.needs_operator ? Disposition::kNeedsOperator : Disposition::kRetry,
                       verdict.code, verdict.reason};
          retry_after_ = std::max(retry_after_, verdict.after);
          stay(place);
        } else {
          put_off.insert(place.record->key);
          PutOff(place, verdict);
        }
        break;
      case Verdict::Kind::kRejected:
        if (!Reject(place, verdict)) {
          if (front == nullptr) {
            front = &verdict;
            front_change = place.record->change;
          }
          probing_ = true;
          stay(place);
        }
        break;
      case Verdict::Kind::kApplied:
      case Verdict::Kind::kSuperseded:
        Settle(place, verdict);
        break;
    }
  }
  std::set<Lane*> lanes;
  for (const Place& place : batch) {
    if (place.lane == nullptr || staying.contains(place.record->key)) continue;
    // One that was parked is gone.
    if (lanes_.Find(place.record->key) == place.lane) lanes.insert(place.lane);
  }
  for (Lane* lane : lanes) {
    if (lane->phase == Lane::Phase::kBusy) FinishLane(*lane);
  }
  if (down) pause_.Down();
  if (!missing && front == nullptr && !down) return {};
  TW_TRY(Commit(true));
  if (!assigned_) return {};  // the partitions went to another process, and these records with them
  if (missing) return HaltWithoutVerdict(*batch[*missing].record->change);
  if (front == nullptr) return *std::move(down);
  TW_TRY(office_.Recount(*subscription_, true));
  failed_id_ = Id(*front_change);
  return WaitInFront(*front, *front_change);
}

Status SinkLoop::JudgeTransaction(std::span<const Verdict> verdicts) {
  std::optional<size_t> stopped;
  for (size_t i = 0; i < verdicts.size(); ++i) {
    const Change& change = *batch_[i].record->change;
    if (!verdicts[i].table_stopped || IsHandled(change, verdicts[i])) continue;
    if (verdicts[i].kind != Verdict::Kind::kRetry) continue;
    office_.StopTable(change.source, change.table, verdicts[i]);
    if (!stopped) stopped = i;
  }
  if (stopped) {  // what stands before it was taken; the rest comes again without these tables
    std::vector<Place> before(batch_.begin(), batch_.begin() + static_cast<ptrdiff_t>(*stopped));
    Rollback();
    batch_ = std::move(before);
    if (batch_.empty()) return {};
    if (office_.stale()) TW_TRY(office_.Load(*subscription_));
    TW_TRY(Deliver());
    if (assigned_) TW_TRY(Commit(true));
    if (assigned_) PassFrontiers();
    return {};
  }
  uint64_t refused = 0;
  for (size_t i = 0; i < verdicts.size(); ++i) {
    const Verdict& verdict = verdicts[i];
    if (IsHandled(*batch_[i].record->change, verdict)) continue;
    if (verdict.kind == Verdict::Kind::kRetry) {
      // All or nothing: the batch comes again whole.
      Rollback();
      reporter_.Retried(verdict.code);
      retry_after_ = verdict.after;
      if (verdict.whole_target) pause_.Down();
      return Error{verdict.needs_operator ? Disposition::kNeedsOperator : Disposition::kRetry,
                   verdict.code, verdict.reason};
    }
    const bool refusal = verdict.kind == Verdict::Kind::kRejected && verdict.code != kBaseMissing;
    if (verdict.kind != Verdict::Kind::kNone &&
        (!refusal ||
         office_.MayBury(deliveries_[i].key, rules_.keeps_order_behind_dead, refused))) {
      if (refusal) ++refused;
      continue;
    }
    // What stands before it is delivered; the offset stays in front of it.
    const Change* change = batch_[i].record->change;
    const Verdict reason = verdict;
    std::vector<Place> before(batch_.begin(), batch_.begin() + static_cast<ptrdiff_t>(i));
    Rollback();
    batch_ = std::move(before);
    if (i > 0) {
      TW_TRY(Deliver());
      TW_TRY(Commit(true));
      if (!assigned_) return {};
      PassFrontiers();
    }
    if (reason.kind == Verdict::Kind::kNone) return HaltWithoutVerdict(*change);
    TW_TRY(office_.Recount(*subscription_, true));
    failed_id_ = Id(*change);
    return WaitInFront(reason, *change);
  }
  const std::vector<Place> batch = std::exchange(batch_, {});
  batch_bytes_ = 0;
  for (size_t i = 0; i < verdicts.size(); ++i) {
    if (IsHandled(*batch[i].record->change, verdicts[i])) {
      SettleHandled(batch[i]);
    } else if (verdicts[i].kind != Verdict::Kind::kRejected) {
      Settle(batch[i], verdicts[i]);
    } else if (!Reject(batch[i], verdicts[i])) {
      return Error{Disposition::kFatal, "dead_letters_miscounted",
                   "a batch holds more refused changes than were counted; please report this"};
    }
  }
  return {};
}

}  // namespace tailwater
