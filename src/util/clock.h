// Time as the engine sees it, so that tests can hold it still.
#pragma once

#include <chrono>
#include <cstdint>

namespace tailwater {

// Thread-safe.
class Clock {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;       // for intervals and deadlines
  virtual int64_t UnixMicros() const = 0;  // since 1970-01-01 UTC; may jump
  int64_t UnixSeconds() const { return UnixMicros() / 1'000'000; }
};

class SystemClock final : public Clock {
 public:
  TimePoint Now() const override { return std::chrono::steady_clock::now(); }
  int64_t UnixMicros() const override {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

}  // namespace tailwater
