// The one backoff: how long to wait before trying again. No retry loop waits by other rules.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>

#include "tailwater/result.h"

namespace tailwater {

struct BackoffOptions {
  std::chrono::milliseconds initial{100};
  std::chrono::milliseconds max{30'000};
  double factor = 2;
  double jitter = 0.3;  // the share of a delay that chance takes off
  // What waits for a person is probed slowly, at a steady pace.
  std::chrono::milliseconds operator_probe{15'000};
};

// Uniform in [0, 1).
using RandomSource = std::function<double()>;
RandomSource SystemRandom();

// Exponential with jitter, capped, never gives up. Not thread-safe: one per retry loop.
class Backoff {
 public:
  explicit Backoff(BackoffOptions options = {}, RandomSource random = SystemRandom());

  // The delay before the next attempt, and counts it. kNeedsOperator: the slow probe, which does
  // not raise the other delays.
  std::chrono::milliseconds Next(Disposition disposition = Disposition::kRetry);
  // Progress was made: the next failure starts from `initial` again.
  void Reset();
  uint32_t attempts() const { return attempts_; }  // since the last Reset()

 private:
  BackoffOptions options_;
  RandomSource random_;
  std::chrono::duration<double, std::milli> next_;
  uint32_t attempts_ = 0;
};

// Waits; false if `stop` was requested before the time was over.
bool WaitUnlessStopped(std::chrono::milliseconds delay, const std::stop_token& stop);

}  // namespace tailwater
