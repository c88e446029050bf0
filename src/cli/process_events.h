// What the main thread sleeps on: signals to the process, and its own threads.
//
// Make it before any other thread, so that all inherit the blocked signals: SIGTERM, SIGINT and
// SIGHUP come out of Wait(), SIGPIPE is ignored. One per process; signals stay blocked afterwards.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace tailwater {

class ProcessEvents {
 public:
  enum class Event : uint8_t { kStop, kReload, kWoken, kTimeout };

  ProcessEvents();
  ~ProcessEvents();
  ProcessEvents(const ProcessEvents&) = delete;
  ProcessEvents& operator=(const ProcessEvents&) = delete;

  Event Wait(std::optional<std::chrono::steady_clock::time_point> deadline = std::nullopt);
  void Wake();  // from any thread

 private:
  int signal_fd_ = -1;
  int wake_fd_ = -1;
};

}  // namespace tailwater
