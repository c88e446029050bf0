// Calls back once, some time later, on a thread of its own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace tailwater::webhook {

class WakeTimer {
 public:
  explicit WakeTimer(std::function<void()> wake);
  // The earliest of several times holds until it has come.
  void WakeAfter(std::chrono::nanoseconds time);

 private:
  void Run(const std::stop_token& stop);

  const std::function<void()> wake_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<std::chrono::steady_clock::time_point> due_;
  std::jthread thread_;
};

}  // namespace tailwater::webhook
