// Watches how much of its log a source's server still keeps for us, and when that ends.
//
// Looks on connections of its own, so it knows also while the stream is stuck or dead. What cannot
// be learned has no series and no number in the status: never an old one. Threads: one of its own
// between Start() and Stop(), or Look() from one thread at a time (tests); everything else from any
// thread. Ownership: owns the tools; metrics and clock outlive it.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "tailwater/log.h"
#include "tailwater/metrics.h"
#include "tailwater/source.h"
#include "util/clock.h"
#include "util/mutex.h"

namespace tailwater {

struct LogWatchStatus {
  std::optional<LogHealth> health;  // absent: never seen, or the last look failed
  int64_t checked_micros = 0;       // last look that succeeded, Unix time; 0 = never
  // The server's log, over the last minutes.
  std::optional<double> growth_bytes_per_second;
  // Until the server discards log that we still need, at the steepest pace of the last minutes.
  // Absent: no end in sight, or unknown.
  std::optional<double> seconds_until_loss;
  std::string code;  // of the look that failed
  std::string message;
};

struct LogWatcherOptions {
  std::chrono::milliseconds first_look{500};  // after Start(): the source connects first
  std::chrono::milliseconds interval{10'000};
  std::chrono::milliseconds refresh_after{2'000};  // see Refresh()
  std::chrono::seconds window{300};                // that rates are measured over
  std::chrono::seconds short_window{60};           // the same, for a pace that has just changed
  std::chrono::seconds forecast_warning{3600};     // warn when the loss is nearer than this
  std::chrono::seconds warning_interval{600};      // between repeated warnings
};

class LogWatcher {
 public:
  using CreateTools = std::function<Result<std::unique_ptr<SourceTools>>()>;
  // Where the source resumes; see SourceTools::Follow().
  struct Place {
    std::optional<Position> frontier;
    int64_t commit_time_micros = 0;
  };
  using AskPlace = std::function<Place()>;

  // `metrics` is labelled with pipeline and source; log lines are written as `component`.
  LogWatcher(std::string component, CreateTools create, Metrics& metrics, const Clock& clock,
             LogWatcherOptions options = {}, AskPlace place = {});
  ~LogWatcher();  // Stop()
  LogWatcher(const LogWatcher&) = delete;
  LogWatcher& operator=(const LogWatcher&) = delete;

  void Start();
  void RequestStop();
  void Stop();  // waits for the look in progress; then the series are absent

  void Look();
  LogWatchStatus GetStatus() const TW_EXCLUDES(mutex_);
  // Somebody wants to know: looks soon, if what is known is older than refresh_after.
  void Refresh() TW_EXCLUDES(mutex_);

 private:
  struct Sample {
    Clock::TimePoint time;
    std::optional<uint64_t> server_end_bytes;
    std::optional<uint64_t> safe_bytes;
  };
  // How bad it is; each step up is told at once.
  enum class Danger : uint8_t { kNone, kWatch, kNear, kLost };

  void Run(const std::stop_token& stop) TW_EXCLUDES(mutex_);
  // Until then, or until somebody wants to know.
  void SleepUntil(Clock::TimePoint time, const std::stop_token& stop) TW_EXCLUDES(mutex_);
  Result<LogHealth> Ask();
  void Measure(LogWatchStatus& status);
  void Publish(const LogWatchStatus& status);
  void Report(const LogWatchStatus& status);
  Danger Judge(const LogWatchStatus& status);

  const CreateTools create_;
  const AskPlace place_;
  Metrics& metrics_;
  const Clock& clock_;
  const LogWatcherOptions options_;
  const Logger logger_;

  Gauge& retained_bytes_;
  Gauge& safe_bytes_;
  Gauge& headroom_bytes_;
  Gauge& headroom_seconds_;
  Gauge& lag_bytes_;
  Gauge& active_;
  Gauge& server_bytes_;
  Gauge& received_bytes_;
  Gauge& confirmed_bytes_;
  Gauge& growth_;
  Gauge& forecast_;
  Gauge& checked_timestamp_;

  // Of the looking thread.
  std::unique_ptr<SourceTools> tools_;
  std::map<std::string, Gauge*> states_;
  std::deque<Sample> samples_;
  bool existed_ = false;  // the place in the log was seen at least once
  Danger danger_ = Danger::kNone;
  std::optional<Clock::TimePoint> warned_;
  bool failing_ = false;

  mutable Mutex mutex_;
  CondVar changed_;
  LogWatchStatus status_ TW_GUARDED_BY(mutex_);
  std::optional<Clock::TimePoint> looked_ TW_GUARDED_BY(mutex_);
  bool wanted_ TW_GUARDED_BY(mutex_) = false;

  std::jthread thread_;
};

}  // namespace tailwater
