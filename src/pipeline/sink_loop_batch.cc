// One batch of a sink: read, collected, written, judged, committed.
#include <algorithm>
#include <utility>

#include "pipeline/sink_loop.h"
#include "support/text.h"
#include "util/crash_point.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;

// How long one partition is waited for while others may get records too, or a fence may fall.
constexpr std::chrono::milliseconds kTurn{20};

bool IsWholeRow(const Change& change) {
  return change.operation == Operation::kDelete ||
         (!change.after.empty() && std::none_of(change.after.begin(), change.after.end(),
                                                [](const Value& v) { return v.is_unchanged(); }));
}

bool NotOwner(const Status& status) { return !status && status.error().code == "not_owner"; }

}  // namespace

Result<bool> SinkLoop::Fill(Milliseconds timeout) {
  std::vector<PartitionWindow*> turn;
  for (auto& [partition, window] : windows_) turn.push_back(&window);
  std::rotate(turn.begin(), turn.begin() + static_cast<ptrdiff_t>(next_partition_++ % turn.size()),
              turn.end());

  bool any = false;
  for (bool more = true; more && !stop_.stop_requested();) {
    more = false;
    for (PartitionWindow* window : turn) {
      if (!WantsMore(*window, any)) continue;
      TW_ASSIGN_OR_RETURN(const bool read, ReadInto(*window, 0ms));
      if (read) any = more = true;
    }
    // Records of others only: commit that much first, so that a sink of few tables moves on.
    if (HoldsNothing()) break;
  }
  if (any || timeout <= 0ms || stop_.stop_requested()) return any;
  for (PartitionWindow* window : turn) {
    if (!WantsMore(*window, false)) continue;
    return ReadInto(*window,
                    turn.size() == 1 && !marker_waits_ ? timeout : std::min(timeout, kTurn));
  }
  WaitFor(std::min(timeout, marker_waits_ ? kTurn : timeout));
  return false;
}

bool SinkLoop::WantsMore(const PartitionWindow& window, bool read_already) const {
  const size_t share = windows_.size();
  if (!window.lanes().empty()) {
    // Keys that wait stay in the window: read past them, a fetch per step, up to its bounds.
    return !read_already && window.size() < options_.window_records / share &&
           window.bytes() < options_.window_bytes / share;
  }
  return window.size() < std::max<size_t>(1, options_.batch_records / share) &&
         window.bytes() < std::max<size_t>(1, options_.batch_bytes / share);
}

Status SinkLoop::FillLonger() {
  const Clock::TimePoint deadline = clock_.Now() + options_.batch_wait;
  while (!stop_.stop_requested()) {
    size_t records = 0;
    for (const auto& [partition, window] : windows_) records += window.size();
    const auto left = std::chrono::ceil<Milliseconds>(deadline - clock_.Now());
    if (records == 0 || records >= options_.batch_records || left <= 0ms) break;
    TW_ASSIGN_OR_RETURN(const bool read, Fill(left));
    if (!read && windows_.size() == 1) break;
  }
  return {};
}

Result<bool> SinkLoop::ReadInto(PartitionWindow& window, Milliseconds timeout) {
  if (window.blocked() && !HoldsNothing()) {
    WaitFor(timeout);
    return false;
  }
  auto read = reader_->Read(window.partition(), window.read_offset(), options_.read_bytes, timeout,
                            stop_.get_token());
  if (!read) {
    if (read.error().disposition == Disposition::kGap) {
      TW_ASSIGN_OR_RETURN(const auto ranges, reader_->Ranges());
      const auto range = ranges.find(window.partition());
      if (range != ranges.end())
        TW_TRY(CheckRange(window.partition(), window.read_offset(), range->second));
    } else if (read.error().disposition != Disposition::kCancelled) {
      reader_.reset();  // opened anew after the backoff
      DropAssignment();
    }
    return std::move(read).error();
  }
  std::shared_ptr<const ReadBatch> batch = *std::move(read);
  if (batch == nullptr || batch->next_offset == window.read_offset()) return false;
  TW_ASSIGN_OR_RETURN(RecordSelection::Selected selected,
                      selection_.Select(*batch, ReplayBelow(window.partition())));
  reporter_.Filtered(selected.filtered);
  std::span<const Change> changes;
  if (!selected.records.empty()) {
    TW_ASSIGN_OR_RETURN(changes, batch->Changes());
  }
  const bool moved = selected.next_offset != window.read_offset();
  window.Add(std::move(batch), changes, selected.records, selected.next_offset);
  window.set_blocked(selected.blocked.has_value());
  if (selected.blocked && HoldsNothing()) return *std::move(selected.blocked);
  return moved;
}

bool SinkLoop::HoldsNothing() const {
  return std::all_of(windows_.begin(), windows_.end(),
                     [](const auto& entry) { return entry.second.size() == 0; });
}

int64_t SinkLoop::ReplayBelow(int32_t partition) const {
  const auto rewound = rewound_from_.find(partition);
  return rewound == rewound_from_.end() ? INT64_MIN : rewound->second;
}

Result<bool> SinkLoop::Collect() {
  deliveries_.clear();
  places_.clear();
  delivery_bytes_ = 0;
  bool moved = false;
  for (auto& [partition, window] : windows_) {
    TW_ASSIGN_OR_RETURN(const bool window_moved, CollectFrom(window));
    moved = moved || window_moved;
  }
  return moved;
}

Result<bool> SinkLoop::CollectFrom(PartitionWindow& window) {
  const int64_t replay_below = ReplayBelow(window.partition());
  const Clock::TimePoint now = window.lanes().empty() ? Clock::TimePoint() : clock_.Now();
  bool moved = false;
  bool all_final = true;  // everything before the record at hand
  for (WindowRecord& record : window.records()) {
    if (record.final) continue;
    const Operation operation = record.change->operation;
    const bool marker = operation == Operation::kSweep ||
                        (operation == Operation::kTruncate && !sink_->wants_truncate_events());
    if (marker) {
      // It comes after all that stands before it, and nothing overtakes it.
      if (!all_final) break;
      TW_ASSIGN_OR_RETURN(const Marker result, RunMarker(window, record));
      if (result == Marker::kWaiting) {
        marker_waits_ = true;
        break;
      }
      record.final = moved = marker_moved_ = true;
      reporter_.Applied(operation);
      // A rejected change rolls the transaction back, and the sweep with it; what stood before that
      // change is then written again. Nothing behind the marker may be part of that.
      if (transaction_ != nullptr) break;
      continue;
    }
    all_final = false;
    if (deliveries_.size() >= options_.batch_records || delivery_bytes_ >= options_.batch_bytes)
      break;
    if (const PartitionWindow::Lane* lane = window.FindLane(record.key);
        lane != nullptr && now < lane->not_before) {
      continue;
    }
    deliveries_.push_back({record.change, record.key, record.value, window.partition(),
                           record.offset, record.offset < replay_below});
    places_.push_back({&window, &record});
    delivery_bytes_ += record.value.size();
  }
  return moved;
}

Result<SinkLoop::Marker> SinkLoop::RunMarker(PartitionWindow& window, WindowRecord& record) {
  const Change& change = *record.change;
  const SweepRequest request{change.source, change.table, change.version,
                             change.operation == Operation::kTruncate};
  // One sweep per marker: partition 0 runs it, once no partition can bring older rows any more.
  if (window.partition() == 0) {
    TW_ASSIGN_OR_RETURN(const bool passed, FencePassed(change));
    if (!passed) return Marker::kWaiting;
    TW_TRY(reporter_.InCall([&] { return sink_->Sweep(request); }));
  }
  update_.sweeps.push_back(request);
  return Marker::kDone;
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
  const Clock::TimePoint begin = clock_.Now();
  TW_ASSIGN_OR_RETURN(std::vector<Verdict> verdicts,
                      reporter_.InCall([&] { return sink_->Write({deliveries_}); }));
  int64_t oldest = 0;
  int64_t newest = 0;
  for (const Delivery& delivery : deliveries_) {
    const int64_t time = delivery.change->source_time_micros;
    if (time == 0) continue;
    oldest = oldest == 0 ? time : std::min(oldest, time);
    newest = std::max(newest, time);
  }
  reporter_.Wrote(deliveries_.size(), clock_.Now() - begin, oldest, newest);
  TW_CRASH_POINT("sink_written_not_committed");
  if (verdicts.size() != deliveries_.size()) {
    return Halt(Disposition::kFatal, "verdict_missing",
                fmt::format("the sink answered {} changes with {} verdicts; please report this",
                            deliveries_.size(), verdicts.size()));
  }
  return transaction_ != nullptr ? JudgeTransaction(verdicts) : Judge(verdicts);
}

Status SinkLoop::Judge(std::span<const Verdict> verdicts) {
  put_off_.clear();
  std::optional<size_t> hard;
  for (size_t i = 0; i < verdicts.size() && !hard; ++i) {
    const Verdict& verdict = verdicts[i];
    if (!put_off_.empty() && put_off_.contains(deliveries_[i].key))
      continue;  // comes again, in order
    switch (verdict.kind) {
      case Verdict::Kind::kNone:
        hard = i;
        break;
      case Verdict::Kind::kRetry:
        PutOff(i, verdict);
        break;
      case Verdict::Kind::kRejected:
        if (verdict.code != kBaseMissing) {
          hard = i;
          break;
        }
        [[fallthrough]];
      case Verdict::Kind::kApplied:
      case Verdict::Kind::kSuperseded:
        Settle(i, verdict);
        break;
    }
  }
  if (!hard) return {};
  TW_TRY(Commit(true));
  if (!assigned_) return {};  // the partitions went to another process, and this record with them
  return HaltFor(verdicts[*hard], *deliveries_[*hard].change);
}

Status SinkLoop::JudgeTransaction(std::span<const Verdict> verdicts) {
  for (size_t i = 0; i < verdicts.size(); ++i) {
    const Verdict& verdict = verdicts[i];
    if (verdict.kind == Verdict::Kind::kRetry) {
      // All or nothing: the batch comes again whole.
      Rollback();
      reporter_.Retried(verdict.code);
      retry_after_ = verdict.after;
      return Error{Disposition::kRetry, verdict.code, verdict.reason};
    }
    if (verdict.kind == Verdict::Kind::kNone ||
        (verdict.kind == Verdict::Kind::kRejected && verdict.code != kBaseMissing)) {
      // What stands before it is delivered; the offset stays in front of it.
      const Change* change = deliveries_[i].change;
      const Verdict reason = verdict;
      Rollback();
      deliveries_.resize(i);
      places_.resize(i);
      if (i > 0) {
        TW_TRY(Deliver());
        TW_TRY(Commit(true));
        if (!assigned_) return {};
      }
      return HaltFor(reason, *change);
    }
  }
  for (size_t i = 0; i < verdicts.size(); ++i) Settle(i, verdicts[i]);
  return {};
}

void SinkLoop::Settle(size_t index, const Verdict& verdict) {
  const Delivery& delivery = deliveries_[index];
  PartitionWindow& window = *places_[index].window;
  places_[index].record->final = true;
  if (verdict.kind == Verdict::Kind::kApplied) {
    reporter_.Applied(delivery.change->operation);
  } else if (verdict.kind == Verdict::Kind::kSuperseded) {
    reporter_.Superseded();
  }
  uint32_t attempts = 1;
  if (const PartitionWindow::Lane* lane = window.FindLane(delivery.key)) {
    attempts += lane->backoff.attempts();
    window.lanes().erase(std::string(delivery.key));
  }
  if (verdict.kind == Verdict::Kind::kRejected) {
    NoteDeadLetter(delivery, verdict, attempts);
  } else if (base_missing_open_ && !IsControl(delivery.change->operation) &&
             IsWholeRow(*delivery.change)) {
    ClearBaseMissing(delivery.key);
  }
}

void SinkLoop::ClearBaseMissing(std::string_view key) {
  std::erase_if(update_.add, [&](const DeadLetter& letter) { return letter.key == key; });
  if (update_.clear_base_missing.empty() || update_.clear_base_missing.back() != key) {
    update_.clear_base_missing.emplace_back(key);
  }
}

void SinkLoop::NoteDeadLetter(const Delivery& delivery, const Verdict& verdict, uint32_t attempts) {
  const Change& change = *delivery.change;
  reporter_.Rejected(verdict.code);
  base_missing_open_ = true;
  // One entry per key: the last. The store knows since when.
  std::erase_if(update_.add, [&](const DeadLetter& letter) { return letter.key == delivery.key; });
  update_.add.push_back({.partition = delivery.partition,
                         .offset = delivery.offset,
                         .id = Id(change),
                         .source = std::string(change.source),
                         .table = std::string(change.table),
                         .version = change.version,
                         .key = std::string(delivery.key),
                         .value = std::string(delivery.value),
                         .code = std::string(verdict.code),
                         .reason = verdict.reason,
                         .attempts = attempts,
                         .first_seen_micros = clock_.UnixMicros()});
}

void SinkLoop::PutOff(size_t index, const Verdict& verdict) {
  const Delivery& delivery = deliveries_[index];
  put_off_.insert(delivery.key);
  auto& lanes = places_[index].window->lanes();
  auto lane = lanes.find(std::string(delivery.key));
  if (lane == lanes.end()) {
    lane = lanes
               .try_emplace(std::string(delivery.key),
                            PartitionWindow::Lane{Backoff(options_.backoff, random_), {}})
               .first;
  }
  Milliseconds delay = lane->second.backoff.Next();
  if (verdict.after > 0ms) delay = verdict.after;
  lane->second.not_before = clock_.Now() + delay;
  reporter_.Retried(verdict.code);
  reporter_.Fail(SinkState::kRetrying, {Disposition::kRetry, verdict.code, verdict.reason},
                 Id(*delivery.change), delay);
}

Status SinkLoop::Commit(bool force) {
  Offsets next;
  for (const auto& [partition, window] : windows_) {
    if (const int64_t passed = window.passed_offset(); passed != window.committed())
      next[partition] = passed;
  }
  const bool entries =
      !update_.add.empty() || !update_.clear_base_missing.empty() || !update_.sweeps.empty();
  if (next.empty() && !entries) {
    commit_failed_ = false;
    return {};
  }
  const Clock::TimePoint now = clock_.Now();
  if (!force && !commit_failed_ && !entries &&
      (next.empty() || now - last_commit_ < options_.idle_commit_interval)) {
    return {};
  }
  commit_failed_ = true;
  update_.log_id = reader_->log_id();
  update_.offsets = transaction_ != nullptr ? Offsets() : next;
  if (transaction_ == nullptr || entries) {
    const Status stored = subscription_->Commit(generation_, update_);
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
  }
  TW_CRASH_POINT("sink_committed");
  commit_failed_ = false;
  last_commit_ = now;
  update_ = {};
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
  return entries ? CountDeadLetters() : Status();
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

Status SinkLoop::CountDeadLetters() {
  TW_ASSIGN_OR_RETURN(const Subscription::DeadLetterCounts counts,
                      subscription_->CountDeadLetters());
  const auto base_missing = counts.by_code.find(std::string(kBaseMissing));
  base_missing_open_ = base_missing != counts.by_code.end() && base_missing->second > 0;
  reporter_.DeadLetters(counts);
  return {};
}

}  // namespace tailwater
