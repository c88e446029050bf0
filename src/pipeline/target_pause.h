// Since when a sink's target takes nothing at all, and for how long it did so before: such time is
// no time in which a key failed.
#pragma once

#include <chrono>
#include <optional>

#include "util/clock.h"

namespace tailwater {

class TargetPause {
 public:
  explicit TargetPause(const Clock& clock) : clock_(clock) {}

  bool down() const { return since_.has_value(); }
  void Down() {
    if (!since_) since_ = clock_.Now();
  }
  void Up() {
    if (!since_) return;
    total_ += clock_.Now() - *since_;
    since_.reset();
  }
  // Time that stands still while the target is down.
  Clock::TimePoint UpTime() const { return since_.value_or(clock_.Now()) - total_; }

 private:
  const Clock& clock_;
  std::optional<Clock::TimePoint> since_;
  Clock::TimePoint::duration total_{0};
};

}  // namespace tailwater
