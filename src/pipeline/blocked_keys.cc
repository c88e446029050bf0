#include "pipeline/blocked_keys.h"

#include <unordered_set>

namespace tailwater {

BlockedKey* BlockedKeys::Find(std::string_view key) {
  if (keys_.empty()) return nullptr;
  const auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : &found->second;
}

BlockedKey& BlockedKeys::Add(std::string_view name, RecordPlace place, bool dead) {
  BlockedKey* key = Find(name);
  if (key == nullptr) {
    const auto it = keys_.try_emplace(std::string(name)).first;
    key = &it->second;
    key->key = it->first;
    key->head = place;
    key->dead = dead;
  } else {
    // Read again, it may come before what is stored: those that are loaded go behind it.
    std::vector<DeadLetter>& loaded = key->loaded;
    while (loaded.size() > (key->busy ? 1 : 0) && place < PlaceOf(loaded.back())) loaded.pop_back();
    if (place < key->head) {
      key->head = place;
      key->dead = dead;
    }
  }
  ++key->records;
  SetDirty(*key);
  return *key;
}

void BlockedKeys::Erase(BlockedKey& key) {
  SetNotDue(key);
  keys_.erase(keys_.find(key.key));
}

void BlockedKeys::Clear() {
  due_.clear();
  dirty_.clear();
  keys_.clear();
}

std::vector<std::string> BlockedKeys::Replace(const std::vector<Subscription::BlockedKey>& stored,
                                              Clock::TimePoint now) {
  std::unordered_set<std::string_view> names;
  for (const Subscription::BlockedKey& from : stored) {
    names.insert(from.key);
    const bool is_new = Find(from.key) == nullptr;
    BlockedKey& key = is_new ? Add(from.key, from.head, false) : *Find(from.key);
    key.head = from.head;
    key.records = from.records;
    const bool was_dead = key.dead;
    key.dead = from.state == DeadLetter::State::kDead;
    if (key.busy) {
      const bool same = !key.loaded.empty() && PlaceOf(key.loaded.front()) == key.head;
      key.loaded.resize(same ? 1 : 0);
      continue;
    }
    key.loaded.clear();
    if (key.dead) {
      SetNotDue(key);
    } else if (is_new || was_dead || !key.due) {
      SetDue(key, now);
    }
  }
  std::vector<std::string> gone;
  for (auto& [name, key] : keys_) {
    if (names.contains(name)) continue;
    key.records = 0;
    key.loaded.clear();
    if (!key.busy) gone.push_back(name);
  }
  for (const std::string& name : gone) Erase(*Find(name));
  Committed();
  return gone;
}

void BlockedKeys::Committed() {
  for (const std::string& name : dirty_) {
    if (BlockedKey* key = Find(name)) key->dirty = false;
  }
  dirty_.clear();
}

void BlockedKeys::SetDirty(BlockedKey& key) {
  if (key.dirty) return;
  key.dirty = true;
  dirty_.emplace_back(key.key);
}

void BlockedKeys::SetDue(BlockedKey& key, Clock::TimePoint time) {
  SetNotDue(key);
  key.due = due_.emplace(time, &key);
}

void BlockedKeys::SetNotDue(BlockedKey& key) {
  if (!key.due) return;
  due_.erase(*key.due);
  key.due.reset();
}

BlockedKey* BlockedKeys::TakeDue(Clock::TimePoint now) {
  if (due_.empty() || due_.begin()->first > now) return nullptr;
  BlockedKey* key = due_.begin()->second;
  SetNotDue(*key);
  return key;
}

std::optional<Clock::TimePoint> BlockedKeys::next_due() const {
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

}  // namespace tailwater
