#include "postgres/commit_fence.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace tailwater::postgres {
namespace {

bool TakeNumber(std::string_view& text, uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

bool TakeChar(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::optional<VisibleTransactions> VisibleTransactions::Parse(std::string_view text) {
  VisibleTransactions snapshot;
  if (!TakeNumber(text, snapshot.xmin) || !TakeChar(text, ':') ||
      !TakeNumber(text, snapshot.xmax) || !TakeChar(text, ':'))
    return std::nullopt;
  while (!text.empty()) {
    uint64_t xid = 0;
    if (!TakeNumber(text, xid)) return std::nullopt;
    snapshot.open.push_back(xid);
    if (!text.empty() && (!TakeChar(text, ',') || text.empty())) return std::nullopt;
  }
  std::sort(snapshot.open.begin(), snapshot.open.end());
  return snapshot;
}

uint64_t VisibleTransactions::Widen(uint32_t xid) const {
  const auto distance = static_cast<int32_t>(xid - static_cast<uint32_t>(xmax));
  return xmax + static_cast<uint64_t>(static_cast<int64_t>(distance));
}

bool VisibleTransactions::Sees(uint64_t xid) const {
  if (xid < xmin) return true;
  if (xid >= xmax) return false;
  return !std::binary_search(open.begin(), open.end(), xid);
}

void CommitFence::Reset() {
  std::lock_guard lock(mutex_);
  chunks_.clear();
  Lapse();
}

// Who takes up noting again has not seen what was shown meanwhile. Chunks whose low watermark was
// met need nothing of what comes behind it.
void CommitFence::Lapse() {
  noting_ = settled_ = false;
  newest_ = nullptr;
  uint64_t needed = 0;
  for (auto& [unused, chunk] : chunks_) {
    if (chunk.low)
      needed = std::max(needed, *chunk.low);
    else
      chunk = {};  // cannot be judged any more
  }
  while (!noted_.empty() && noted_.back().place > needed) noted_.pop_back();
}

bool CommitFence::Begin() {
  std::lock_guard lock(mutex_);
  if (noting_ && Clock::now() - looked_ > kMaxAge) Lapse();
  if (!noting_) looked_ = Clock::now();
  noting_ = true;
  return !settled_;
}

void CommitFence::Saw(const VisibleTransactions& snapshot) {
  std::lock_guard lock(mutex_);
  if (!noting_) return;
  looked_ = Clock::now();
  if (newest_ == nullptr || newest_->xmax < snapshot.xmax ||
      (newest_->xmax == snapshot.xmax && newest_->open.size() > snapshot.open.size()))
    newest_ = std::make_shared<VisibleTransactions>(snapshot);
  Prune();
}

void CommitFence::Settled() {
  std::lock_guard lock(mutex_);
  settled_ = noting_;
}

bool CommitFence::Open(const std::string& chunk_id) {
  std::lock_guard lock(mutex_);
  if (noting_ && Clock::now() - looked_ > kMaxAge) Lapse();
  if (!settled_ || newest_ == nullptr) return false;
  chunks_[chunk_id].before = newest_;
  return true;
}

void CommitFence::Took(const std::string& chunk_id, VisibleTransactions snapshot) {
  Saw(snapshot);
  std::lock_guard lock(mutex_);
  const auto found = chunks_.find(chunk_id);
  if (found == chunks_.end() || found->second.before == nullptr) return;
  found->second.seen = std::make_shared<VisibleTransactions>(std::move(snapshot));
  Prune();
}

void CommitFence::Close(const std::string& chunk_id) {
  std::lock_guard lock(mutex_);
  chunks_.erase(chunk_id);
  Prune();
}

CommitFence::Snapshot CommitFence::Oldest(bool behind_low) const {
  Snapshot oldest = newest_;
  for (const auto& [unused, chunk] : chunks_) {
    const Snapshot& floor = chunk.seen != nullptr ? chunk.seen : chunk.before;
    if (floor == nullptr || (behind_low && chunk.low)) continue;
    if (oldest == nullptr || floor->xmax < oldest->xmax ||
        (floor->xmax == oldest->xmax && floor->open.size() > oldest->open.size()))
      oldest = floor;
  }
  return oldest;
}

// What a snapshot sees every later one sees.
void CommitFence::Prune() {
  const Snapshot oldest = Oldest(false);
  if (oldest == nullptr) return;
  std::erase_if(noted_, [&](const Noted& noted) { return oldest->Sees(oldest->Widen(noted.xid)); });
}

void CommitFence::Committed(uint32_t xid) {
  if (!noting_.load(std::memory_order_acquire)) return;
  std::lock_guard lock(mutex_);
  if (!noting_) return;
  ++place_;
  if (const Snapshot oldest = Oldest(true); oldest != nullptr && oldest->Sees(oldest->Widen(xid)))
    return;
  if (noted_.size() >= kMaxNoted || Clock::now() - looked_ > kMaxAge) {
    Lapse();
    return;
  }
  noted_.push_back({place_, xid});
}

void CommitFence::MetLow(std::string_view chunk_id) {
  std::lock_guard lock(mutex_);
  if (const auto found = chunks_.find(chunk_id); found != chunks_.end()) found->second.low = place_;
}

bool CommitFence::MetHigh(std::string_view chunk_id) {
  std::lock_guard lock(mutex_);
  const auto found = chunks_.find(chunk_id);
  if (found == chunks_.end()) return false;
  const Chunk chunk = found->second;
  bool sound = chunk.seen != nullptr && chunk.low.has_value();
  for (auto it = noted_.begin(); sound && it != noted_.end() && it->place <= *chunk.low; ++it)
    sound = chunk.seen->Sees(chunk.seen->Widen(it->xid));
  chunks_.erase(found);
  Prune();
  return sound;
}

size_t CommitFence::noted() const {
  std::lock_guard lock(mutex_);
  return noted_.size();
}

}  // namespace tailwater::postgres
