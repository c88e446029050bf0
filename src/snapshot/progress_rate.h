// How fast something has been lately, and how long the rest will take at that pace.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

#include "util/clock.h"

namespace tailwater {

// Not thread-safe.
class ProgressRate {
 public:
  void Add(Clock::TimePoint now, uint64_t amount);
  // Over the last half minute; absent until there is enough to tell.
  std::optional<double> PerSecond(Clock::TimePoint now) const;

 private:
  struct Sample {
    Clock::TimePoint time;
    uint64_t total = 0;
  };
  uint64_t total_ = 0;
  std::deque<Sample> samples_;  // at most one per half second
};

}  // namespace tailwater
