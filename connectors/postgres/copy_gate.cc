#include "postgres/copy_gate.h"

#include <algorithm>

namespace tailwater::postgres {

bool CopyGate::Take(const std::string& chunk_id) {
  std::lock_guard lock(mutex_);
  if (taken_) return false;
  taken_ = true;
  chunk_id_ = chunk_id;
  state_ = State::kPassing;
  place_ = passed_ = {};
  return true;
}

void CopyGate::Close() {
  std::lock_guard lock(mutex_);
  if (taken_) state_ = State::kClosed;
}

void CopyGate::CloseAt(Lsn from) {
  std::lock_guard lock(mutex_);
  if (!taken_) return;
  state_ = State::kClosedAt;
  place_ = from;
  changed_.notify_all();
}

void CopyGate::LetPass() {
  std::lock_guard lock(mutex_);
  if (!taken_) return;
  state_ = State::kPassing;
  changed_.notify_all();
}

bool CopyGate::Serve(Lsn place) {
  std::lock_guard lock(mutex_);
  if (!taken_ || passed_ >= place) return false;
  state_ = State::kServing;
  place_ = place;
  changed_.notify_all();
  return true;
}

void CopyGate::Leave(const std::string& chunk_id) {
  std::lock_guard lock(mutex_);
  if (!taken_ || chunk_id_ != chunk_id) return;
  taken_ = false;
  state_ = State::kOpen;
  changed_.notify_all();
}

CopyGate::Step CopyGate::Ask(Lsn commit, std::string& chunk_id) {
  met_.store(commit.value, std::memory_order_relaxed);
  if (!taken_.load(std::memory_order_acquire)) return Step::kGo;
  std::lock_guard lock(mutex_);
  const bool before = commit < place_;
  switch (state_) {
    case State::kClosed:
      return Step::kWait;
    case State::kClosedAt:
      if (!before) return Step::kWait;
      break;
    case State::kServing:
      if (!before) {
        chunk_id = chunk_id_;
        return Step::kServe;
      }
      break;
    case State::kOpen:
    case State::kPassing:
      break;
  }
  passed_ = std::max(passed_, commit);
  return Step::kGo;
}

void CopyGate::Wait(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, timeout);
}

void CopyGate::Reset() {
  std::lock_guard lock(mutex_);
  taken_ = false;
  state_ = State::kOpen;
  met_ = 0;
  changed_.notify_all();
}

}  // namespace tailwater::postgres
