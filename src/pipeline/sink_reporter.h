// What a sink's loop tells the world: its status under a lock, its metrics, its log lines.
//
// The loop's thread reports; Status() and PublishMetrics() answer on any thread.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "pipeline/filter_reason.h"
#include "pipeline/sink_status.h"
#include "tailwater/change.h"
#include "tailwater/log.h"
#include "tailwater/metrics.h"
#include "topic/topic.h"
#include "util/clock.h"
#include "util/mutex.h"

namespace tailwater {

class SinkReporter {
 public:
  SinkReporter(std::string pipeline, std::string sink, Metrics& metrics, const Clock& clock);

  // Runs a call to the target, which everybody can see while it lasts.
  template <class F>
  auto InCall(F call) {
    struct Ending {
      std::atomic<int64_t>& since;
      ~Ending() { since = 0; }
    } ending{call_since_micros_};
    call_since_micros_ = clock_.UnixMicros();
    return call();
  }

  // States without a failure. Entering kRunning forgets the last failure.
  void Enter(SinkState state, const std::string& message = {});
  // The same failure again is counted, and logged once.
  void Fail(SinkState state, const Error& error, const std::string& record_id,
            std::optional<std::chrono::milliseconds> retry_in);

  void OpenedReader(std::shared_ptr<TopicReader> reader);
  void Assigned(const std::string& log_id, const Offsets& offsets);
  void Committed(const Offsets& offsets);
  // Where the sink stands: next offsets behind what is final, and the time of the first change that
  // is not.
  void Passed(const Offsets& passed, std::optional<int64_t> oldest_open_micros);
  void PassedFrontiers(const std::map<std::string, SinkFrontier>& frontiers);
  void DeadLetters(const Subscription::DeadLetterCounts& counts);

  // Times of the oldest and the newest change of the batch; 0 = unknown.
  void Wrote(size_t records, std::chrono::nanoseconds duration, int64_t oldest_micros,
             int64_t newest_micros);
  void Applied(Operation operation) { ++applied_[static_cast<size_t>(operation)]; }
  void Superseded() { ++superseded_; }
  void Retried(std::string_view code) { ++retried_[code]; }
  void Rejected(std::string_view code) { ++rejected_[code]; }
  void Filtered(const FilterCounts& counts) {
    for (size_t i = 0; i < kFilterReasons; ++i) filtered_[i] += counts[i];
  }
  // Adds what was counted since the last call to status and metrics.
  void PublishCounts();

  SinkStatus Status() const TW_EXCLUDES(mutex_);
  void PublishMetrics() TW_EXCLUDES(mutex_);
  const Logger& logger() const { return logger_; }

 private:
  static constexpr size_t kOperations = 10;
  static constexpr size_t kStates = 6;
  Counter& CounterBy(std::map<std::string_view, Counter*>& counters, const char* name,
                     const char* help, const char* label, std::string_view value);

  const Clock& clock_;
  Metrics& metrics_;
  Logger logger_;

  // Of the loop's thread: counted since the last PublishCounts().
  std::array<uint64_t, kOperations> applied_{};
  uint64_t superseded_ = 0;
  FilterCounts filtered_{};
  std::map<std::string_view, uint64_t> retried_;
  std::map<std::string_view, uint64_t> rejected_;
  int64_t newest_source_time_micros_ = 0;

  std::array<Counter*, kOperations> written_total_{};
  Counter& superseded_total_;
  std::array<Counter*, kFilterReasons> filtered_total_{};
  std::map<std::string_view, Counter*> retries_total_;
  std::map<std::string_view, Counter*> dead_letters_total_;
  Histogram& batch_records_;
  Histogram& write_duration_seconds_;
  Histogram& latency_seconds_;
  Gauge& lag_records_;
  Gauge& lag_seconds_;
  Gauge& call_seconds_;
  Gauge& passed_timestamp_;
  std::array<Gauge*, kStates> state_{};

  std::atomic<int64_t> call_since_micros_ = 0;  // 0 = in no call

  mutable Mutex mutex_;
  SinkStatus status_ TW_GUARDED_BY(mutex_);
  std::shared_ptr<TopicReader> reader_ TW_GUARDED_BY(mutex_);
  Offsets passed_ TW_GUARDED_BY(mutex_);
  std::optional<int64_t> oldest_open_micros_ TW_GUARDED_BY(mutex_);
  std::optional<int64_t> last_passed_micros_ TW_GUARDED_BY(mutex_);
};

}  // namespace tailwater
