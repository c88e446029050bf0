// Ends the wait of one thread, whatever it waits in: the waiter takes a token, looks at what could
// have happened, then waits with the token. What happens after Arm() ends that wait; nothing is
// polled, and nothing is missed.
#pragma once

#include <stop_token>

#include "util/mutex.h"

namespace tailwater {

class Wakeup {
 public:
  // Any thread; returns at once.
  void Wake() TW_EXCLUDES(mutex_) {
    std::stop_source source(std::nostopstate);
    {
      MutexLock lock(mutex_);
      source = source_;
    }
    source.request_stop();
  }

  // The waiter's thread: makes token() one that no Wake() has ended yet.
  void Arm() TW_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (source_.stop_requested()) source_ = std::stop_source();
  }
  std::stop_token token() const TW_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return source_.get_token();
  }

 private:
  mutable Mutex mutex_;
  std::stop_source source_ TW_GUARDED_BY(mutex_);
};

}  // namespace tailwater
