#include "pipeline/key_lanes.h"

#include <utility>
#include <vector>

namespace tailwater {

Lane* KeyLanes::Find(std::string_view key) {
  if (lanes_.empty()) return nullptr;
  const auto lane = lanes_.find(key);
  return lane == lanes_.end() ? nullptr : &lane->second;
}

Lane& KeyLanes::Open(std::string_view key) {
  if (Lane* lane = Find(key)) return *lane;
  const auto it = lanes_.try_emplace(std::string(key)).first;
  it->second.key = it->first;
  return it->second;
}

void KeyLanes::Close(Lane& lane) {
  Heal(lane);
  lanes_.erase(lanes_.find(lane.key));
}

void KeyLanes::Clear() {
  ready_.clear();
  ready_at_limit_.clear();
  waiting_.clear();
  held_.clear();
  lanes_.clear();
  failing_ = at_limit_ = 0;
}

void KeyLanes::Append(Lane& lane, WindowRecord& record) {
  record.next_of_key = nullptr;
  (lane.tail == nullptr ? lane.head : lane.tail->next_of_key) = &record;
  lane.tail = &record;
  ++lane.records;
}

WindowRecord& KeyLanes::PopHead(Lane& lane) {
  WindowRecord& record = *lane.head;
  lane.head = std::exchange(record.next_of_key, nullptr);
  if (lane.head == nullptr) lane.tail = nullptr;
  --lane.records;
  return record;
}

void KeyLanes::MakeReady(Lane& lane) {
  lane.phase = Lane::Phase::kReady;
  (lane.at_limit() ? ready_at_limit_ : ready_).push_back(&lane);
}

void KeyLanes::Wait(Lane& lane, Clock::TimePoint until) {
  lane.phase = Lane::Phase::kWaiting;
  lane.wakes = waiting_.emplace(until, &lane);
}

void KeyLanes::Hold(Lane& lane) {
  lane.phase = Lane::Phase::kHeld;
  held_.insert(&lane);
}

Lane* KeyLanes::TakeReady(bool only_at_limit) {
  auto& queue = only_at_limit || ready_.empty() ? ready_at_limit_ : ready_;
  if (queue.empty()) return nullptr;
  Lane* lane = queue.front();
  queue.pop_front();
  lane->phase = Lane::Phase::kBusy;
  return lane;
}

Lane* KeyLanes::TakeDue(Clock::TimePoint now) {
  if (waiting_.empty() || waiting_.begin()->first > now) return nullptr;
  Lane* lane = waiting_.begin()->second;
  TakeWaiting(*lane);
  return lane;
}

void KeyLanes::TakeWaiting(Lane& lane) {
  waiting_.erase(*lane.wakes);
  lane.wakes.reset();
  lane.phase = Lane::Phase::kBusy;
}

Lane* KeyLanes::TakeHeld() {
  if (held_.empty()) return nullptr;
  Lane* lane = *held_.begin();
  TakeHeld(*lane);
  return lane;
}

void KeyLanes::TakeHeld(Lane& lane) {
  held_.erase(&lane);
  lane.phase = Lane::Phase::kBusy;
}

std::optional<Clock::TimePoint> KeyLanes::next_due() const {
  if (waiting_.empty()) return std::nullopt;
  return waiting_.begin()->first;
}

Lane::Failure& KeyLanes::Fail(Lane& lane, const BackoffOptions& options,
                              const RandomSource& random) {
  if (!lane.failure) {
    lane.failure.emplace(Lane::Failure{Backoff(options, random)});
    ++failing_;
  }
  return *lane.failure;
}

void KeyLanes::Heal(Lane& lane) {
  if (!lane.failure) return;
  SetAtLimit(lane, false);
  lane.failure.reset();
  --failing_;
}

void KeyLanes::SetAtLimit(Lane& lane, bool at_limit) {
  if (lane.failure->at_limit == at_limit) return;
  lane.failure->at_limit = at_limit;
  at_limit ? ++at_limit_ : --at_limit_;
}

void KeyLanes::HurryAtLimit() {
  std::vector<Lane*> hurried;
  for (const auto& [time, lane] : waiting_) {
    if (lane->at_limit()) hurried.push_back(lane);
  }
  for (Lane* lane : hurried) {
    TakeWaiting(*lane);
    MakeReady(*lane);
  }
}

}  // namespace tailwater
