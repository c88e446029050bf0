// The last answer to a question that may take long or never be answered: for status and metrics,
// which have to answer while a cluster is away.
//
// Threads: one of its own asks; Get() from any thread. Destroying it waits for the question that is
// under way.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

#include "tailwater/result.h"
#include "util/mutex.h"
#include "util/thread_name.h"

namespace tailwater {

template <class Answer>
class KnownAnswer {
 public:
  explicit KnownAnswer(std::function<Result<Answer>()> ask) : ask_(std::move(ask)) {
    thread_ = std::jthread([this](const std::stop_token& stop) {
      NameThread("tw-ask");
      Run(stop);
    });
  }

  // At most a second old; waits for a newer answer a moment. Nothing: there is none.
  std::optional<Answer> Get() TW_EXCLUDES(mutex_) {
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

 private:
  using SteadyClock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kFresh{200};  // good enough to be told without asking
  static constexpr std::chrono::milliseconds kBelieved{1000};  // told where an answer is late
  static constexpr std::chrono::milliseconds kPatience{500};

  void Run(const std::stop_token& stop) TW_EXCLUDES(mutex_) {
    while (true) {
      {
        MutexLock lock(mutex_);
        while (!wanted_ && !stop.stop_requested()) {
          changed_.Wait(mutex_, stop, std::chrono::hours(1));
        }
        if (stop.stop_requested()) return;
      }
      const auto asked = SteadyClock::now();
      auto answer = ask_();
      MutexLock lock(mutex_);
      wanted_ = false;
      known_.reset();
      if (answer) known_ = *std::move(answer);
      known_at_ = asked;
      changed_.NotifyAll();
    }
  }

  const std::function<Result<Answer>()> ask_;
  Mutex mutex_;
  CondVar changed_;
  bool wanted_ TW_GUARDED_BY(mutex_) = false;
  std::optional<Answer> known_ TW_GUARDED_BY(mutex_);
  SteadyClock::time_point known_at_ TW_GUARDED_BY(mutex_){};
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace tailwater
