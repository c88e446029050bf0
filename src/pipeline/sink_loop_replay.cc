// Stored records that are tried again, of sinks that are written to in batches: in calls of their
// own, so that one of them that fails holds up nothing else.
#include <algorithm>
#include <deque>
#include <utility>

#include "pipeline/sink_loop.h"
#include "util/crash_point.h"

namespace tailwater {
namespace {

constexpr size_t kReplayRecords = 1'000;

}  // namespace

struct SinkLoop::StoredBatch {
  struct Item {
    std::string key;
    RecordPlace place;
    StoredDelivery stored;
  };
  std::deque<Item> items;  // in order of each key
  std::vector<Delivery> deliveries;
};

Result<bool> SinkLoop::ReplayStored() {
  const auto due = office_.next_due();
  if (!due || *due > clock_.Now()) return false;
  // The store is asked what there is: it has to hold what was decided.
  if (office_.has_entries()) {
    TW_TRY(Commit(true));
    if (!assigned_) return true;
  }
  TW_ASSIGN_OR_RETURN(const StoredBatch batch, CollectStored());
  if (batch.items.empty()) return false;
  const Clock::TimePoint begin = clock_.Now();
  auto verdicts = reporter_.InCall([&] { return sink_->Write({batch.deliveries}); });
  if (verdicts && verdicts->size() != batch.deliveries.size()) {
    return Halt(Disposition::kFatal, "verdict_missing",
                "the sink answered stored changes with too few or too many verdicts; please report "
                "this");
  }
  if (!verdicts) {
    pause_.Down();
    for (const StoredBatch::Item& item : batch.items) {
      office_.PutBack(*office_.Find(item.key), begin);
    }
    return std::move(verdicts).error();
  }
  pause_.Up();
  if (transaction_ != nullptr) {
    TW_ASSIGN_OR_RETURN(const bool committed, CommitStored(batch, *verdicts));
    if (!committed) return true;
  }
  TW_CRASH_POINT("sink_replayed_not_committed");
  TW_TRY(JudgeStored(batch, *verdicts));
  TW_TRY(Commit(true));
  return true;
}

Result<SinkLoop::StoredBatch> SinkLoop::CollectStored() {
  StoredBatch batch;
  size_t bytes = 0;
  while (batch.items.size() < kReplayRecords && bytes < options_.batch_bytes) {
    TW_ASSIGN_OR_RETURN(BlockedKey * key, office_.TakeDue(*subscription_));
    if (key == nullptr) break;
    for (const DeadLetter& letter : key->loaded) {
      StoredBatch::Item item{std::string(key->key), PlaceOf(letter), {}};
      const Status decoded = Decode(letter, decoder_, item.stored);
      if (!decoded) {
        if (&letter != &key->loaded.front()) break;
        office_.Judge(*key, item.place,
                      Verdict::Rejected(decoded.error().code, decoded.error().message));
        break;
      }
      batch.items.push_back(std::move(item));
      bytes += letter.value.size();
      // Where one that fails holds back the next ones, they are not tried together.
      if (rules_.keeps_order_behind_dead || transaction_ != nullptr) break;
    }
  }
  for (const StoredBatch::Item& item : batch.items) {
    batch.deliveries.push_back(item.stored.delivery);
  }
  return batch;
}

Status SinkLoop::JudgeStored(const StoredBatch& batch, std::span<const Verdict> verdicts) {
  std::set<std::string_view> put_off;
  std::optional<Error> down;
  for (size_t i = 0; i < verdicts.size(); ++i) {
    const StoredBatch::Item& item = batch.items[i];
    const Verdict& verdict = verdicts[i];
    BlockedKey* key = office_.Find(item.key);
    if (key == nullptr || put_off.contains(item.key)) continue;
    if (verdict.kind == Verdict::Kind::kNone) {
      TW_TRY(Commit(true));
      return HaltWithoutVerdict(*batch.deliveries[i].change);
    }
    if (verdict.kind == Verdict::Kind::kRetry) {
      put_off.insert(item.key);
      reporter_.Retried(verdict.code);
    }
    if (!verdict.whole_target) {
      office_.Judge(*key, item.place, verdict);
      continue;
    }
    office_.PutBack(*key, clock_.Now());
    down = Error{verdict.needs_operator ? Disposition::kNeedsOperator : Disposition::kRetry,
                 verdict.code, verdict.reason};
    retry_after_ = std::max(retry_after_, verdict.after);
  }
  if (!down) return {};
  pause_.Down();
  TW_TRY(Commit(true));
  return *std::move(down);
}

Result<bool> SinkLoop::CommitStored(const StoredBatch& batch, std::span<const Verdict> verdicts) {
  const bool again = std::any_of(verdicts.begin(), verdicts.end(), [](const Verdict& verdict) {
    return verdict.kind == Verdict::Kind::kRetry || verdict.kind == Verdict::Kind::kNone;
  });
  if (!again) {
    Offsets held;  // unchanged: only the owner of the offsets may commit
    for (const auto& [partition, window] : windows_) held[partition] = window.committed();
    const auto outcome =
        reporter_.InCall([&] { return transaction_->Commit(reader_->log_id(), held, held); });
    if (!outcome) {
      DropAssignment();
      return outcome.error();
    }
    if (*outcome == CommitOutcome::kCommitted) return true;
    LostAssignment("another writer moved the offsets in the target");
    return false;
  }
  transaction_->Rollback();
  // Those that were put off wait; the others of the transaction come again without them.
  std::vector<Verdict> put_off;
  StoredBatch failed;
  std::set<std::string_view> keys;
  for (size_t i = 0; i < verdicts.size(); ++i) {
    if (verdicts[i].kind != Verdict::Kind::kRetry && verdicts[i].kind != Verdict::Kind::kNone) {
      continue;
    }
    if (!keys.insert(batch.items[i].key).second) continue;
    failed.items.push_back({batch.items[i].key, batch.items[i].place, {}});
    failed.deliveries.push_back(batch.deliveries[i]);
    put_off.push_back(verdicts[i]);
  }
  for (const StoredBatch::Item& item : batch.items) {
    if (!keys.contains(item.key)) office_.PutBack(*office_.Find(item.key), clock_.Now());
  }
  TW_TRY(JudgeStored(failed, put_off));
  TW_TRY(Commit(true));
  return false;
}

}  // namespace tailwater
