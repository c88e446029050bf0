// A clock that stands still until a test moves it. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "util/clock.h"

namespace tailwater {

class ManualClock final : public Clock {
 public:
  TimePoint Now() const override { return TimePoint(std::chrono::microseconds(micros_.load())); }
  int64_t UnixMicros() const override { return kStart + micros_.load(); }
  void Advance(std::chrono::microseconds time) { micros_ += time.count(); }

 private:
  static constexpr int64_t kStart = 1'780'000'000'000'000;  // 2026-05-28
  std::atomic<int64_t> micros_ = 3'600'000'000;
};

}  // namespace tailwater
