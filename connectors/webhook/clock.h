// Time as the sink sees it, so that tests can hold it still.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace tailwater::webhook {

using TimePoint = std::chrono::steady_clock::time_point;

struct WebhookClock {
  std::function<TimePoint()> now = [] { return std::chrono::steady_clock::now(); };
  std::function<int64_t()> unix_seconds = [] {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
};

}  // namespace tailwater::webhook
