// Tells waiters that something may have come. Take sequence(), look, then WaitFor(): what rings in
// between ends the wait at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>

#include "util/mutex.h"

namespace tailwater {

class Bell {
 public:
  void Ring() TW_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    ++sequence_;
    changed_.NotifyAll();
  }
  uint64_t sequence() const TW_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return sequence_;
  }
  // Until it rang after `seen`, the time, or a stop.
  void WaitFor(uint64_t seen, std::chrono::steady_clock::time_point until,
               const std::stop_token& stop) TW_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    while (sequence_ == seen && !stop.stop_requested() &&
           std::chrono::steady_clock::now() < until) {
      changed_.WaitUntil(mutex_, stop, until);
    }
  }

 private:
  mutable Mutex mutex_;
  CondVar changed_;
  uint64_t sequence_ TW_GUARDED_BY(mutex_) = 0;
};

}  // namespace tailwater
