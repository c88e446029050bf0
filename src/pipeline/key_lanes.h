// The records of a sink's windows that have to wait for their turn, one queue per record key.
//
// A plain sink has a lane for each key that it puts off; a concurrent one for each key with a
// record that is not final. A lane is in one phase at a time, and every call costs the lanes that
// it changes, never all. Keys that may go do so in the order in which they became ready, so that
// one that fails comes back behind all others. Not thread-safe.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "pipeline/partition_window.h"
#include "util/backoff.h"
#include "util/clock.h"

namespace tailwater {

struct TransparentHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

struct Lane {
  enum class Phase : uint8_t {
    kBusy,     // its head is with the sink, or its owner's call is about to decide
    kReady,    // may go
    kWaiting,  // not before a time
    kHeld,     // behind stored records of its key, which take no more
  };
  // Its head fails.
  struct Failure {
    Backoff backoff;
    Clock::TimePoint not_before{};
    Clock::TimePoint since{};    // up time of the target, see target_pause.h
    bool at_limit = false;       // refused, and no more dead letters may be stored
    bool table_stopped = false;  // the target takes nothing of its table: parked at once
    // Of the last verdict: what becomes of the record once it is parked.
    std::string_view code{};
    std::string reason{};
  };

  std::string_view key;
  WindowRecord* head = nullptr;
  WindowRecord* tail = nullptr;
  size_t records = 0;
  Phase phase = Phase::kBusy;
  std::optional<Failure> failure;
  std::optional<std::multimap<Clock::TimePoint, Lane*>::iterator> wakes;  // kWaiting

  bool at_limit() const { return failure && failure->at_limit; }
};

class KeyLanes {
 public:
  bool empty() const { return lanes_.empty(); }
  size_t size() const { return lanes_.size(); }
  size_t failing() const { return failing_; }
  size_t at_limit() const { return at_limit_; }
  Lane* Find(std::string_view key);
  // The key's lane, made (kBusy, empty) if it is not there.
  Lane& Open(std::string_view key);
  void Close(Lane& lane);  // an empty one that is kBusy
  void Clear();

  void Append(Lane& lane, WindowRecord& record);
  WindowRecord& PopHead(Lane& lane);

  // From kBusy to another phase.
  void MakeReady(Lane& lane);
  void Wait(Lane& lane, Clock::TimePoint until);
  void Hold(Lane& lane);
  // From another phase to kBusy; null if there is none.
  Lane* TakeReady(bool only_at_limit = false);
  Lane* TakeDue(Clock::TimePoint now);
  Lane* TakeHeld();
  void TakeWaiting(Lane& lane);
  void TakeHeld(Lane& lane);

  bool has_ready() const { return !ready_.empty() || !ready_at_limit_.empty(); }
  bool has_held() const { return !held_.empty(); }
  std::optional<Clock::TimePoint> next_due() const;

  Lane::Failure& Fail(Lane& lane, const BackoffOptions& options, const RandomSource& random);
  void Heal(Lane& lane);
  void SetAtLimit(Lane& lane, bool at_limit);
  // Refused changes are tried again now.
  void HurryAtLimit();

 private:
  std::unordered_map<std::string, Lane, TransparentHash, std::equal_to<>> lanes_;
  std::deque<Lane*> ready_;
  std::deque<Lane*> ready_at_limit_;
  std::multimap<Clock::TimePoint, Lane*> waiting_;
  std::unordered_set<Lane*> held_;
  size_t failing_ = 0;
  size_t at_limit_ = 0;
};

}  // namespace tailwater
