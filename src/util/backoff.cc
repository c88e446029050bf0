#include "util/backoff.h"

#include <algorithm>
#include <memory>
#include <random>
#include <utility>

#include "util/mutex.h"

namespace tailwater {

RandomSource SystemRandom() {
  auto engine = std::make_shared<std::minstd_rand>(std::random_device{}());
  return [engine] { return std::uniform_real_distribution<double>(0, 1)(*engine); };
}

Backoff::Backoff(BackoffOptions options, RandomSource random)
    : options_(options), random_(std::move(random)), next_(options.initial) {}

std::chrono::milliseconds Backoff::Next(Disposition disposition) {
  ++attempts_;
  std::chrono::duration<double, std::milli> delay = options_.operator_probe;
  if (disposition != Disposition::kNeedsOperator) {
    delay = std::min<std::chrono::duration<double, std::milli>>(next_, options_.max);
    next_ = delay * options_.factor;
  }
  delay *= 1 - options_.jitter * random_();
  return std::chrono::ceil<std::chrono::milliseconds>(delay);
}

void Backoff::Reset() {
  next_ = options_.initial;
  attempts_ = 0;
}

bool WaitUnlessStopped(std::chrono::milliseconds delay, const std::stop_token& stop) {
  const auto deadline = std::chrono::steady_clock::now() + delay;
  Mutex mutex;
  CondVar woken;
  MutexLock lock(mutex);
  while (!stop.stop_requested() && std::chrono::steady_clock::now() < deadline) {
    woken.WaitUntil(mutex, stop, deadline);
  }
  return !stop.stop_requested();
}

}  // namespace tailwater
