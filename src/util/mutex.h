// A mutex that Clang's -Wthread-safety can check (libstdc++'s own it cannot), and its condition
// variable.
//
//   Mutex mutex_;
//   bool ready_ TW_GUARDED_BY(mutex_) = false;
//   …
//   MutexLock lock(mutex_);
//   while (!ready_ && !stop.stop_requested()) changed_.Wait(mutex_, stop, 1s);
//
// Waits take no predicate on purpose: a lambda hides guarded members from the checker.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <utility>

#if defined(__clang__)
#define TW_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define TW_THREAD_ANNOTATION(x)
#endif
#define TW_GUARDED_BY(mutex) TW_THREAD_ANNOTATION(guarded_by(mutex))
#define TW_REQUIRES(...) TW_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define TW_EXCLUDES(...) TW_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))

namespace tailwater {

class TW_THREAD_ANNOTATION(capability("mutex")) Mutex {
 public:
  void lock() TW_THREAD_ANNOTATION(acquire_capability()) { mutex_.lock(); }
  void unlock() TW_THREAD_ANNOTATION(release_capability()) { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class TW_THREAD_ANNOTATION(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) TW_THREAD_ANNOTATION(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() TW_THREAD_ANNOTATION(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Every wait may return early: call it in a loop over the condition.
class CondVar {
 public:
  void NotifyOne() { changed_.notify_one(); }
  void NotifyAll() { changed_.notify_all(); }

  void Wait(Mutex& mutex) TW_REQUIRES(mutex) { changed_.wait(mutex); }
  template <class Rep, class Period>
  void Wait(Mutex& mutex, std::chrono::duration<Rep, Period> timeout) TW_REQUIRES(mutex) {
    changed_.wait_for(mutex, timeout);
  }
  void WaitUntil(Mutex& mutex, std::chrono::steady_clock::time_point deadline) TW_REQUIRES(mutex) {
    changed_.wait_until(mutex, deadline);
  }
  // Also returns when `stop` is requested.
  template <class Rep, class Period>
  void Wait(Mutex& mutex, const std::stop_token& stop, std::chrono::duration<Rep, Period> timeout)
      TW_REQUIRES(mutex) {
    bool woken = false;
    changed_.wait_for(mutex, stop, timeout, [&woken] { return std::exchange(woken, true); });
  }
  void WaitUntil(Mutex& mutex, const std::stop_token& stop,
                 std::chrono::steady_clock::time_point deadline) TW_REQUIRES(mutex) {
    bool woken = false;
    changed_.wait_until(mutex, stop, deadline, [&woken] { return std::exchange(woken, true); });
  }

 private:
  std::condition_variable_any changed_;
};

}  // namespace tailwater
