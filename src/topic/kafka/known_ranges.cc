#include "topic/kafka/known_ranges.h"

#include <utility>

#include "util/thread_name.h"

namespace tailwater {
namespace {

using SteadyClock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kFresh = 200ms;      // good enough to be told without asking
constexpr auto kBelieved = 1000ms;  // told if the answer to a question is late
constexpr auto kPatience = 500ms;

}  // namespace

KnownRanges::KnownRanges(std::function<Result<Ranges>()> ask) : ask_(std::move(ask)) {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    NameThread("tw-ranges");
    Run(stop);
  });
}

KnownRanges::~KnownRanges() {
  thread_.request_stop();
  changed_.NotifyAll();
}

std::optional<KnownRanges::Ranges> KnownRanges::Get() {
  MutexLock lock(mutex_);
  const auto asked = SteadyClock::now();
  if (known_ && asked - known_at_ < kFresh) return known_;
  wanted_ = true;
  changed_.NotifyAll();
  while (wanted_ && SteadyClock::now() < asked + kPatience) {
    changed_.WaitUntil(mutex_, asked + kPatience);
  }
  if (known_ && SteadyClock::now() - known_at_ < kBelieved) return known_;
  return std::nullopt;
}

void KnownRanges::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      MutexLock lock(mutex_);
      while (!wanted_ && !stop.stop_requested()) changed_.Wait(mutex_, stop, 60s);
      if (stop.stop_requested()) return;
    }
    const auto asked = SteadyClock::now();
    auto ranges = ask_();
    MutexLock lock(mutex_);
    wanted_ = false;
    known_.reset();
    if (ranges) known_ = *std::move(ranges);
    known_at_ = asked;
    changed_.NotifyAll();
  }
}

}  // namespace tailwater
