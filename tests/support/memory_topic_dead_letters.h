// Inside the stub topic: the dead letters of one sink. Included by memory_topic*.cc alone; all
// calls with the core's mutex held.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "topic/topic.h"

namespace tailwater::stub {

class DeadLetterStore {
 public:
  using Owned = std::function<bool(int32_t partition)>;

  const std::map<RecordPlace, DeadLetter>& letters() const { return letters_; }

  // In the order that the contract names: sweeps, clears, removals, additions.
  void Apply(const Subscription::Update& update) {
    if (update.rewind) {
      Erase([&](const DeadLetter& letter) {
        const auto next = update.offsets.find(letter.partition);
        return next != update.offsets.end() && letter.offset >= next->second;
      });
    }
    for (const auto& sweep : update.sweeps) {
      Erase([&](const DeadLetter& letter) {
        return letter.source == sweep.source && letter.table == sweep.table &&
               letter.version < sweep.version;
      });
    }
    for (const auto& key : update.clear_base_missing) {
      const auto it = base_missing_.find(key);
      if (it != base_missing_.end()) Erase(it->second);
    }
    for (const RecordPlace& place : update.remove) Erase(place);
    for (const DeadLetter& letter : update.add) Put(letter);
  }

  Subscription::DeadLetterCounts Count() const {
    Subscription::DeadLetterCounts counts;
    for (const auto& [place, letter] : letters_) {
      ++counts.by_code[letter.code];
      if (letter.state == DeadLetter::State::kParked) {
        ++counts.parked;
      } else if (letter.code != kBaseMissing) {
        ++counts.dead;
      }
      counts.oldest_micros = std::min(counts.oldest_micros.value_or(letter.first_seen_micros),
                                      letter.first_seen_micros);
    }
    return counts;
  }

  DeadLetterPage List(const DeadLetterFilter& filter, std::optional<RecordPlace> from, size_t limit,
                      size_t max_bytes) const {
    DeadLetterPage page;
    size_t bytes = 0;
    for (const auto& [place, letter] : letters_) {
      if (!Matches(filter, letter)) continue;
      ++page.matched;
      if ((from && place < *from) || page.next) continue;
      bytes += letter.key.size() + letter.value.size();
      if (!page.letters.empty() && (page.letters.size() >= limit || bytes > max_bytes)) {
        page.next = place;
      } else {
        page.letters.push_back(letter);
      }
    }
    return page;
  }

  std::vector<Subscription::BlockedKey> BlockedKeys(size_t limit, std::optional<RecordPlace> after,
                                                    const Owned& owned) const {
    std::map<std::string, Subscription::BlockedKey> by_key;
    for (const auto& [place, letter] : letters_) {
      if (!letter.blocks_key || !owned(place.partition)) continue;
      auto& blocked = by_key.try_emplace(letter.key, letter.key, place, letter.state).first->second;
      ++blocked.records;
    }
    std::map<RecordPlace, Subscription::BlockedKey> by_head;
    for (const auto& [key, blocked] : by_key) {
      if (!after || blocked.head > *after) by_head.emplace(blocked.head, blocked);
    }
    std::vector<Subscription::BlockedKey> keys;
    for (const auto& [head, blocked] : by_head) {
      if (keys.size() == limit) break;
      keys.push_back(blocked);
    }
    return keys;
  }

  std::vector<DeadLetter> LoadBlocked(const std::string& key, size_t max_records, size_t max_bytes,
                                      const Owned& owned) const {
    std::vector<DeadLetter> found;
    size_t bytes = 0;
    for (const auto& [place, letter] : letters_) {
      if (!letter.blocks_key || letter.key != key || !owned(place.partition)) continue;
      bytes += letter.key.size() + letter.value.size();
      if (!found.empty() && (found.size() >= max_records || bytes > max_bytes)) break;
      found.push_back(letter);
    }
    return found;
  }

  std::vector<std::string> Requeue(const DeadLetterFilter& filter, const Owned& owned) {
    std::set<std::string> keys;
    for (auto& [place, letter] : letters_) {
      if (!owned(place.partition) || !Matches(filter, letter)) continue;
      keys.insert(letter.key);
      letter.state = DeadLetter::State::kParked;
      letter.blocks_key = true;
    }
    return {keys.begin(), keys.end()};
  }

  uint64_t Drop(DeadLetterFilter filter, const Owned& owned) {
    if (!filter.state && filter.ids.empty()) filter.state = DeadLetter::State::kDead;
    const size_t before = letters_.size();
    Erase([&](const DeadLetter& letter) {
      return owned(letter.partition) && Matches(filter, letter);
    });
    return before - letters_.size();
  }

 private:
  static bool Matches(const DeadLetterFilter& filter, const DeadLetter& letter) {
    const auto is = [](const std::string& wanted, const std::string& value) {
      return wanted.empty() || wanted == value;
    };
    return (filter.ids.empty() ||
            std::find(filter.ids.begin(), filter.ids.end(), letter.id) != filter.ids.end()) &&
           is(filter.source, letter.source) && is(filter.table, letter.table) &&
           is(filter.code, letter.code) && (!filter.state || *filter.state == letter.state);
  }

  void Erase(RecordPlace place) {
    const auto it = letters_.find(place);
    if (it == letters_.end()) return;
    if (it->second.code == kBaseMissing) base_missing_.erase(it->second.key);
    letters_.erase(it);
  }

  void Erase(const std::function<bool(const DeadLetter&)>& matches) {
    std::vector<RecordPlace> places;
    for (const auto& [place, letter] : letters_) {
      if (matches(letter)) places.push_back(place);
    }
    for (const RecordPlace& place : places) Erase(place);
  }

  void Put(DeadLetter letter) {
    const RecordPlace place{letter.partition, letter.offset};
    if (letter.code == kBaseMissing) {
      // One entry per key: the newest record, the first time seen.
      if (const auto it = base_missing_.find(letter.key); it != base_missing_.end()) {
        const DeadLetter& old = letters_.at(it->second);
        letter.first_seen_micros = old.first_seen_micros;
        letter.attempts = std::max(old.attempts, letter.attempts);
        Erase(RecordPlace(it->second));
      }
      Erase(place);
      base_missing_[letter.key] = place;
    } else {
      Erase(place);
    }
    letters_[place] = std::move(letter);
  }

  std::map<RecordPlace, DeadLetter> letters_;
  std::map<std::string, RecordPlace> base_missing_;  // record key -> its one entry
};

}  // namespace tailwater::stub
