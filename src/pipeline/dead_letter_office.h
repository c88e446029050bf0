// What a sink puts aside: its dead letters and its parked records. Says whether there is room for
// one more, keeps what the next commit has to store, and hands out the stored records that are to
// be tried again.
//
// The subscription's store is the truth; this is what the sink's thread knows of it. Discard()
// forgets what was not stored, Load() reads it anew. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/codec.h"
#include "pipeline/blocked_keys.h"
#include "pipeline/delivery_rules.h"
#include "pipeline/sink_reporter.h"
#include "pipeline/sink_runner.h"
#include "pipeline/stopped_tables.h"
#include "tailwater/sink.h"
#include "topic/topic.h"

namespace tailwater {

class DeadLetterOffice {
 public:
  DeadLetterOffice(const DeliveryRules& rules, const SinkRunnerOptions& options, const Clock& clock,
                   RandomSource random, SinkReporter& reporter);

  // --- what the next commit stores ---
  Subscription::Update& update() { return update_; }
  bool has_entries() const;
  size_t pending_bytes() const { return pending_bytes_; }  // of keys and values
  // It is stored. Counts are asked for again soon: see Recount().
  void Committed();
  void Discard();
  // Blocked keys and counts as they are stored.
  Status Load(Subscription& subscription);
  // Discarded, or swept: Load() before anything else.
  bool stale() const { return stale_; }
  void Invalidate() { stale_ = true; }
  // Asks the store for its counts if they may have changed: at most once a second, unless `now`.
  Status Recount(Subscription& subscription, bool now);

  // --- records of the window ---
  bool Blocks(std::string_view key) { return blocked_.Find(key) != nullptr; }
  // One more dead letter is within halt_after, besides `more` that nobody knows of yet.
  bool MayBury(std::string_view key, bool blocks, uint64_t more = 0);
  // So many more parked records are within park_limit.
  bool MayPark(std::string_view key, size_t records);
  void Bury(const Delivery& delivery, const Verdict& verdict, uint32_t attempts, bool blocks);
  void Park(const Delivery& delivery, std::string_view code, std::string reason, uint32_t attempts);
  // A whole row clears the base_missing entry of its key.
  void TookRow(const Delivery& delivery);
  // Stored records below the sweep go, also those that are about to be stored.
  void Swept(const SweepRequest& sweep);
  // --- tables that the target takes nothing of ---
  bool has_stopped_tables() const { return !stopped_.empty(); }
  StoppedTables::Table* StoppedTable(std::string_view source, std::string_view table) {
    return stopped_.Find(source, table);
  }
  // The verdict said so.
  void StopTable(std::string_view source, std::string_view table, const Verdict& verdict);
  // The target takes its records again: what is stored of it is due.
  void TableIsLive(std::string_view source, std::string_view table);
  void ForgetStoppedTables();

  uint64_t dead() const { return dead_; }
  uint64_t parked() const { return parked_; }

  // --- stored records that are tried again ---
  std::optional<Clock::TimePoint> next_due() const { return blocked_.next_due(); }
  // The next key whose time has come, as busy; null if there is none. With `key->loaded` filled.
  Result<BlockedKey*> TakeDue(Subscription& subscription);
  // TakeDue() found a key whose records it can load only after a commit.
  bool wants_commit() const { return wants_commit_; }
  // The verdict about the oldest record of a busy key that lay at `place`.
  void Judge(BlockedKey& key, RecordPlace place, const Verdict& verdict);
  // No verdict came: due again at that time.
  void PutBack(BlockedKey& key, Clock::TimePoint time);
  // A person asked for these keys: due at once.
  void Hurry(const std::vector<std::string>& keys);
  BlockedKey* Find(std::string_view key) { return blocked_.Find(key); }
  // Keys that are blocked no more, since the last call: nothing is stored for them, their changes
  // go straight to the sink from here on.
  std::vector<std::string> TakeReleased() { return std::exchange(released_, {}); }

 private:
  DeadLetter Letter(const Delivery& delivery, std::string_view code, std::string reason,
                    uint32_t attempts) const;
  void Add(DeadLetter letter);
  void Remove(RecordPlace place);
  // Nothing of the key is at the target. True: nothing of it is stored either.
  bool Release(BlockedKey& key);
  // How many records of each stopped table wait. One of which nothing is stored any more counts as
  // live: its next record tells.
  void RecountStoppedTables();
  void PublishStoppedTables();

  const DeliveryRules& rules_;
  const BackoffOptions backoff_;
  const Clock& clock_;
  RandomSource random_;
  SinkReporter& reporter_;

  Subscription::Update update_;
  std::set<RecordPlace> adding_;  // places of update_.add
  size_t pending_bytes_ = 0;
  BlockedKeys blocked_;
  StoppedTables stopped_;
  std::vector<std::string> released_;
  bool stale_ = true;
  bool wants_commit_ = false;
  uint64_t dead_ = 0;    // stored, and about to be; never too few
  uint64_t parked_ = 0;  // the same
  bool counts_changed_ = true;
  Clock::TimePoint last_count_{};
  // Some base_missing entries exist, maybe of earlier runs: whole rows clear them.
  bool base_missing_open_ = false;
};

// A stored record as the sink gets it; valid as long as the letter.
struct StoredDelivery {
  ChangeBatch decoded;
  Delivery delivery;
};
Status Decode(const DeadLetter& letter, Decoder& decoder, StoredDelivery& out);

}  // namespace tailwater
