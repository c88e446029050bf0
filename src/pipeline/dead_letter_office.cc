#include "pipeline/dead_letter_office.h"

#include <algorithm>
#include <utility>

#include "support/text.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;

// What is loaded of one key at once.
constexpr size_t kLoadRecords = 64;
constexpr size_t kLoadBytes = 64 << 10;

bool IsWholeRow(const Change& change) {
  return change.operation == Operation::kDelete ||
         (!change.after.empty() && std::none_of(change.after.begin(), change.after.end(),
                                                [](const Value& v) { return v.is_unchanged(); }));
}

}  // namespace

DeadLetterOffice::DeadLetterOffice(const DeliveryRules& rules, const SinkRunnerOptions& options,
                                   const Clock& clock, RandomSource random, SinkReporter& reporter)
    : rules_(rules),
      backoff_(options.parked_backoff),
      clock_(clock),
      random_(std::move(random)),
      reporter_(reporter),
      stopped_(clock, random_) {}

bool DeadLetterOffice::has_entries() const {
  return !update_.add.empty() || !update_.remove.empty() || !update_.clear_base_missing.empty() ||
         !update_.sweeps.empty();
}

void DeadLetterOffice::Committed() {
  counts_changed_ = counts_changed_ || has_entries();
  // What a sweep took is known to the store alone.
  stale_ = stale_ || !update_.sweeps.empty();
  update_ = {};
  adding_.clear();
  pending_bytes_ = 0;
  wants_commit_ = false;
  blocked_.Committed();
  stopped_.Committed();
}

void DeadLetterOffice::Discard() {
  update_ = {};
  adding_.clear();
  pending_bytes_ = 0;
  wants_commit_ = false;
  blocked_.Clear();
  stopped_.Discarded();
  released_.clear();
  stale_ = counts_changed_ = true;
}

Status DeadLetterOffice::Load(Subscription& subscription) {
  TW_ASSIGN_OR_RETURN(const std::vector<Subscription::BlockedKey> stored,
                      subscription.BlockedKeys(BlockedKeys::kMost + 1));
  if (stored.size() > BlockedKeys::kMost) {
    return Error{Disposition::kNeedsOperator, "too_many_blocked_keys",
                 fmt::format("more than {} keys have later changes that wait behind a dead letter "
                             "or a parked record; replay or drop some (`tailwater dead-letters "
                             "list`)",
                             BlockedKeys::kMost)};
  }
  for (std::string& key : blocked_.Replace(stored, clock_.Now())) {
    released_.push_back(std::move(key));
  }
  stale_ = false;
  counts_changed_ = true;
  return Recount(subscription, true);
}

Status DeadLetterOffice::Recount(Subscription& subscription, bool now) {
  if (!counts_changed_ || (!now && clock_.Now() - last_count_ < 1s)) return {};
  TW_ASSIGN_OR_RETURN(const Subscription::DeadLetterCounts counts, subscription.CountDeadLetters());
  last_count_ = clock_.Now();
  counts_changed_ = has_entries();
  const auto base_missing = counts.by_code.find(std::string(kBaseMissing));
  base_missing_open_ = base_missing != counts.by_code.end() && base_missing->second > 0;
  dead_ = counts.dead;
  parked_ = counts.parked;
  for (const DeadLetter& letter : update_.add) {  // maybe twice: never too few
    base_missing_open_ = base_missing_open_ || letter.code == kBaseMissing;
    if (letter.state == DeadLetter::State::kParked) {
      ++parked_;
    } else if (letter.code != kBaseMissing) {
      ++dead_;
    }
  }
  reporter_.DeadLetters(counts);
  RecountStoppedTables();
  return {};
}

bool DeadLetterOffice::MayBury(std::string_view key, bool blocks, uint64_t more) {
  if (blocks && blocked_.full() && !Blocks(key)) return false;
  return dead_ + more < rules_.halt_after;
}

bool DeadLetterOffice::MayPark(std::string_view key, size_t records) {
  if (blocked_.full() && !Blocks(key)) return false;
  return parked_ + records <= rules_.park_limit;
}

DeadLetter DeadLetterOffice::Letter(const Delivery& delivery, std::string_view code,
                                    std::string reason, uint32_t attempts) const {
  const Change& change = *delivery.change;
  return {.partition = delivery.partition,
          .offset = delivery.offset,
          .id = Id(change),
          .source = std::string(change.source),
          .table = std::string(change.table),
          .version = change.version,
          .key = std::string(delivery.key),
          .value = std::string(delivery.value),
          .code = std::string(code),
          .reason = std::move(reason),
          .attempts = attempts,
          .first_seen_micros = clock_.UnixMicros()};
}

void DeadLetterOffice::Add(DeadLetter letter) {
  if (letter.state == DeadLetter::State::kParked) {
    ++parked_;
  } else if (letter.code != kBaseMissing) {
    ++dead_;
  }
  pending_bytes_ += letter.key.size() + letter.value.size();
  adding_.insert({letter.partition, letter.offset});
  update_.add.push_back(std::move(letter));
}

void DeadLetterOffice::Remove(RecordPlace place) {
  if (adding_.erase(place) > 0) {
    std::erase_if(update_.add, [&](const DeadLetter& letter) { return PlaceOf(letter) == place; });
  }
  update_.remove.push_back(place);
}

void DeadLetterOffice::Bury(const Delivery& delivery, const Verdict& verdict, uint32_t attempts,
                            bool blocks) {
  reporter_.Rejected(verdict.code);
  DeadLetter letter = Letter(delivery, verdict.code, verdict.reason, attempts);
  letter.blocks_key = blocks;
  if (verdict.code == kBaseMissing) {
    // One entry per key: the last. The store knows since when.
    base_missing_open_ = true;
    std::erase_if(update_.add, [&](const DeadLetter& other) {
      return other.code == kBaseMissing && other.key == delivery.key;
    });
  }
  if (blocks) blocked_.Add(delivery.key, {delivery.partition, delivery.offset}, true);
  Add(std::move(letter));
}

void DeadLetterOffice::Park(const Delivery& delivery, std::string_view code, std::string reason,
                            uint32_t attempts) {
  reporter_.Parked();
  const RecordPlace place{delivery.partition, delivery.offset};
  BlockedKey* key = blocked_.Find(delivery.key);
  // Read again after a crash: it lies there, with its history.
  if (key != nullptr && key->head == place) return;
  if (StoppedTables::Table* const table = stopped_.FindByKey(delivery.key)) {
    if (!table->has_probe()) table->status.parked = 0;
    table->parking = true;
    ++table->status.parked;
  }
  const bool first = key == nullptr;
  key = &blocked_.Add(delivery.key, place, false);
  if (!key->dead && !key->busy && !key->due) {
    std::chrono::milliseconds delay{0};
    if (first) delay = key->backoff.emplace(backoff_, random_).Next();
    blocked_.SetDue(*key, clock_.Now() + delay);
  }
  DeadLetter letter = Letter(delivery, code, std::move(reason), attempts);
  letter.state = DeadLetter::State::kParked;
  letter.blocks_key = true;
  Add(std::move(letter));
}

void DeadLetterOffice::TookRow(const Delivery& delivery) {
  if (!base_missing_open_ || IsControl(delivery.change->operation) ||
      !IsWholeRow(*delivery.change)) {
    return;
  }
  std::erase_if(update_.add, [&](const DeadLetter& letter) {
    return letter.code == kBaseMissing && letter.key == delivery.key;
  });
  if (update_.clear_base_missing.empty() || update_.clear_base_missing.back() != delivery.key) {
    update_.clear_base_missing.emplace_back(delivery.key);
  }
}

void DeadLetterOffice::Swept(const SweepRequest& sweep) {
  std::erase_if(update_.add, [&](const DeadLetter& letter) {
    return letter.source == sweep.source && letter.table == sweep.table &&
           letter.version < sweep.version;
  });
  update_.sweeps.push_back(sweep);
}

Result<BlockedKey*> DeadLetterOffice::TakeDue(Subscription& subscription) {
  std::vector<BlockedKey*> wait;
  BlockedKey* found = nullptr;
  while (BlockedKey* key = blocked_.TakeDue(clock_.Now())) {
    const bool loadable = !key->loaded.empty() || !key->dirty;
    if (StoppedTables::Table* const table = loadable ? stopped_.FindByKey(key->key) : nullptr;
        table != nullptr && stopped_.MustWait(*table)) {
      blocked_.SetDue(*key, table->next_probe);
      continue;
    }
    if (!key->loaded.empty()) {
      found = key;
      break;
    }
    if (key->dirty) {  // the store does not say yet what it will hold
      wants_commit_ = true;
      wait.push_back(key);
      continue;
    }
    auto loaded = subscription.LoadBlocked(std::string(key->key), kLoadRecords, kLoadBytes);
    if (!loaded) {
      blocked_.SetDue(*key, clock_.Now());
      return std::move(loaded).error();
    }
    if (loaded->empty()) {
      released_.emplace_back(key->key);
      blocked_.Erase(*key);
      continue;
    }
    const DeadLetter& head = loaded->front();
    key->head = PlaceOf(head);
    key->dead = head.state == DeadLetter::State::kDead;
    if (key->dead) continue;
    // Behind a dead one in their midst they wait for it.
    const auto dead = std::find_if(loaded->begin(), loaded->end(), [](const DeadLetter& letter) {
      return letter.state == DeadLetter::State::kDead;
    });
    loaded->erase(dead, loaded->end());
    key->loaded = *std::move(loaded);
    found = key;
    break;
  }
  for (BlockedKey* key : wait) blocked_.SetDue(*key, clock_.Now());
  if (found != nullptr) found->busy = true;
  return found;
}

bool DeadLetterOffice::Release(BlockedKey& key) {
  key.busy = false;
  if (key.records == 0 && key.loaded.empty()) {
    released_.emplace_back(key.key);
    blocked_.Erase(key);
    return true;
  }
  if (!key.loaded.empty()) key.head = PlaceOf(key.loaded.front());
  return false;
}

void DeadLetterOffice::Judge(BlockedKey& key, RecordPlace place, const Verdict& verdict) {
  const bool held = !key.loaded.empty() && PlaceOf(key.loaded.front()) == place;
  if (!held) {  // dropped or swept while it was at the target
    if (!Release(key) && !key.dead) blocked_.SetDue(key, clock_.Now());
    return;
  }
  if (key.head < place) {  // older ones came again meanwhile: it comes again behind them
    key.loaded.clear();
    PutBack(key, clock_.Now());
    return;
  }
  DeadLetter& head = key.loaded.front();
  if (verdict.table_stopped) {
    StopTable(head.source, head.table, verdict);
    stopped_.Find(head.source, head.table)->stored = true;
  } else if (verdict.final()) {
    TableIsLive(head.source, head.table);
  }
  switch (verdict.kind) {
    case Verdict::Kind::kApplied:
    case Verdict::Kind::kSuperseded:
      reporter_.Replayed();
      Remove(place);
      break;
    case Verdict::Kind::kRejected: {
      DeadLetter dead = std::move(head);
      dead.state = DeadLetter::State::kDead;
      dead.blocks_key = rules_.keeps_order_behind_dead && verdict.code != kBaseMissing;
      dead.code = verdict.code;
      dead.reason = verdict.reason;
      ++dead.attempts;
      const bool blocks = dead.blocks_key;
      reporter_.RejectedAgain(verdict.code);
      if (parked_ > 0) --parked_;
      Add(std::move(dead));
      blocked_.SetDirty(key);
      if (blocks) {
        key.loaded.clear();
        key.head = place;
        key.dead = true;
        key.busy = false;
        return;
      }
      break;
    }
    case Verdict::Kind::kNone:
    case Verdict::Kind::kRetry: {
      ++head.attempts;
      head.code = verdict.code;
      head.reason = verdict.reason;
      if (parked_ > 0) --parked_;
      Add(head);
      blocked_.SetDirty(key);
      if (!key.backoff) key.backoff.emplace(backoff_, random_);
      const auto delay = key.backoff->Next();
      PutBack(key, clock_.Now() + std::max(delay, verdict.after));
      return;
    }
  }
  if (verdict.kind != Verdict::Kind::kRejected && parked_ > 0) --parked_;
  blocked_.SetDirty(key);
  key.loaded.erase(key.loaded.begin());
  if (key.records > 0) --key.records;
  key.backoff.reset();
  if (!Release(key)) blocked_.SetDue(key, clock_.Now());
}

void DeadLetterOffice::PutBack(BlockedKey& key, Clock::TimePoint time) {
  key.busy = false;
  blocked_.SetDue(key, time);
}

void DeadLetterOffice::Hurry(const std::vector<std::string>& keys) {
  for (const std::string& name : keys) {
    BlockedKey* key = blocked_.Find(name);
    if (key == nullptr || key->dead || key->busy) continue;
    key->backoff.reset();
    blocked_.SetDue(*key, clock_.Now());
    if (StoppedTables::Table* const table = stopped_.FindByKey(name)) stopped_.Hurry(*table);
  }
}

void DeadLetterOffice::StopTable(std::string_view source, std::string_view table,
                                 const Verdict& verdict) {
  if (stopped_.Stop(source, table, verdict)) {
    reporter_.logger().Error(
        "table stopped, its changes are parked",
        {{"source", source}, {"table", table}, {"code", verdict.code}, {"reason", verdict.reason}});
    counts_changed_ = true;
  }
  PublishStoppedTables();
}

void DeadLetterOffice::TableIsLive(std::string_view source, std::string_view table) {
  StoppedTables::Table* const stopped = stopped_.Find(source, table);
  if (stopped == nullptr) return;
  reporter_.logger().Info("table is live again", {{"source", source}, {"table", table}});
  stopped_.Erase(*stopped);
  const std::pair<std::string_view, std::string_view> name(source, table);
  for (BlockedKey* key : blocked_.Where([&](const BlockedKey& blocked) {
         return !blocked.dead && !blocked.busy && TableOfKey(blocked.key) == name;
       })) {
    key->backoff.reset();
    blocked_.SetDue(*key, clock_.Now());
  }
  PublishStoppedTables();
}

void DeadLetterOffice::ForgetStoppedTables() {
  if (stopped_.empty()) return;
  stopped_.Clear();
  PublishStoppedTables();
}

void DeadLetterOffice::RecountStoppedTables() {
  if (stopped_.empty() || stale_) return;
  for (StoppedTables::Table* table : stopped_.All()) {
    const std::pair<std::string_view, std::string_view> name(table->status.source,
                                                             table->status.table);
    uint64_t records = 0;
    bool probes = false;
    for (const BlockedKey* key : blocked_.Where(
             [&](const BlockedKey& blocked) { return TableOfKey(blocked.key) == name; })) {
      records += key->records;
      probes = probes || !key->dead;
    }
    table->status.parked = records;
    if (!table->parking && table->stored && !probes) stopped_.Erase(*table);
  }
  PublishStoppedTables();
}

void DeadLetterOffice::PublishStoppedTables() { reporter_.StoppedTables(stopped_.Statuses()); }

Status Decode(const DeadLetter& letter, Decoder& decoder, StoredDelivery& out) {
  TW_TRY(decoder.Decode(letter.value, out.decoded));
  out.delivery = {&out.decoded.changes().front(),
                  letter.key,
                  letter.value,
                  letter.partition,
                  letter.offset,
                  false};
  return {};
}

}  // namespace tailwater
