// At most so many per second, with room for a burst of one second's worth.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "webhook/clock.h"

namespace tailwater::webhook {

// One thread.
class TokenBucket {
 public:
  // `rate` per second; 0: no limit. Full at first.
  TokenBucket(double rate, TimePoint now)
      : rate_(rate), capacity_(std::max(1.0, rate)), tokens_(capacity_), filled_at_(now) {}

  bool limited() const { return rate_ > 0; }
  // How many may go now; of no use without a limit.
  size_t available(TimePoint now) {
    Fill(now);
    return static_cast<size_t>(tokens_);
  }
  void Take() {
    if (limited()) tokens_ -= 1;
  }
  // When the next one may go.
  TimePoint next(TimePoint now) {
    Fill(now);
    if (tokens_ >= 1) return now;
    const std::chrono::duration<double> wait((1 - tokens_) / rate_);
    // Rounded up: at that time there is a whole one.
    return now + std::chrono::ceil<std::chrono::microseconds>(wait) + std::chrono::microseconds(1);
  }

 private:
  void Fill(TimePoint now) {
    const std::chrono::duration<double> passed = now - filled_at_;
    filled_at_ = now;
    tokens_ = std::min(capacity_, tokens_ + passed.count() * rate_);
  }

  const double rate_;
  const double capacity_;
  double tokens_;
  TimePoint filled_at_;
};

}  // namespace tailwater::webhook
