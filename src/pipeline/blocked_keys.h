// The keys whose later changes wait behind stored records, and when the oldest record of each is
// tried again: the memory of what lies in the subscription. Not thread-safe.
//
// A key whose oldest record is dead is due for nobody: a person decides. A key is blocked until its
// last stored record is gone; what comes for it meanwhile is stored behind it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pipeline/key_lanes.h"
#include "topic/topic.h"
#include "util/backoff.h"
#include "util/clock.h"

namespace tailwater {

inline RecordPlace PlaceOf(const DeadLetter& letter) { return {letter.partition, letter.offset}; }

struct BlockedKey {
  std::string_view key;
  RecordPlace head{};
  bool dead = false;               // the head is
  uint64_t records = 0;            // stored, or about to be; never too few
  bool busy = false;               // its head is at the target
  bool dirty = false;              // what is stored changes with the next commit
  std::vector<DeadLetter> loaded;  // from the head on; may be fewer than there are
  std::optional<Backoff> backoff;
  std::optional<std::multimap<Clock::TimePoint, BlockedKey*>::iterator> due;
};

class BlockedKeys {
 public:
  // Memory per key is some hundred bytes.
  static constexpr size_t kMost = 100'000;

  bool empty() const { return keys_.empty(); }
  size_t size() const { return keys_.size(); }
  bool full() const { return keys_.size() >= kMost; }
  BlockedKey* Find(std::string_view key);
  // One more record of the key, the newest or a repeated one.
  BlockedKey& Add(std::string_view key, RecordPlace place, bool dead);
  // Nothing is stored for it any more.
  void Erase(BlockedKey& key);
  void Clear();

  // Takes over what is stored now; new keys are due at once. A head that is at the target stays so.
  // Answers the keys that are blocked no more.
  std::vector<std::string> Replace(const std::vector<Subscription::BlockedKey>& stored,
                                   Clock::TimePoint now);
  // All of what was changed is stored.
  void Committed();

  void SetDue(BlockedKey& key, Clock::TimePoint time);
  void SetNotDue(BlockedKey& key);
  // The key that is due first; null if none is. It is taken: due no more.
  BlockedKey* TakeDue(Clock::TimePoint now);
  std::optional<Clock::TimePoint> next_due() const;
  void SetDirty(BlockedKey& key);
  // Those that `which` is true for. Looks at all of them.
  template <class F>
  std::vector<BlockedKey*> Where(F which) {
    std::vector<BlockedKey*> found;
    for (auto& [name, key] : keys_) {
      if (which(key)) found.push_back(&key);
    }
    return found;
  }

 private:
  std::unordered_map<std::string, BlockedKey, TransparentHash, std::equal_to<>> keys_;
  std::multimap<Clock::TimePoint, BlockedKey*> due_;
  std::vector<std::string> dirty_;
};

}  // namespace tailwater
