#include "webhook/wake_timer.h"

#include <utility>

namespace tailwater::webhook {

WakeTimer::WakeTimer(std::function<void()> wake)
    : wake_(std::move(wake)), thread_([this](const std::stop_token& stop) { Run(stop); }) {}

void WakeTimer::WakeAfter(std::chrono::nanoseconds time) {
  const auto due = std::chrono::steady_clock::now() + time;
  {
    std::lock_guard lock(mutex_);
    if (due_ && *due_ <= due) return;
    due_ = due;
  }
  changed_.notify_one();
}

void WakeTimer::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (!due_) {
      changed_.wait(lock, stop, [&] { return due_.has_value(); });
      continue;
    }
    const auto due = *due_;
    changed_.wait_until(lock, stop, due, [&] { return *due_ != due; });
    if (stop.stop_requested() || std::chrono::steady_clock::now() < *due_) continue;
    due_.reset();
    lock.unlock();
    wake_();
    lock.lock();
  }
}

}  // namespace tailwater::webhook
