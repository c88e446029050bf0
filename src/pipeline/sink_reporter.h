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
#include <vector>

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
  // The same failure again is counted, and logged once; one that comes and goes, every 30 s.
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
  void StoppedTables(std::vector<StoppedTable> tables);

  // Times of the oldest and the newest change of the batch; 0 = unknown.
  void Wrote(size_t records, std::chrono::nanoseconds duration, int64_t oldest_micros,
             int64_t newest_micros);

  // Taken from the topic, and of these: not meant for the sink.
  void Read(size_t records) { kept_.read += static_cast<int64_t>(records); }
  void Filtered(const FilterCounts& counts) { kept_.Add(counts); }
  // Dropped without a final verdict: whoever owns the partition reads them again.
  void GaveBack(size_t records) { kept_.read -= static_cast<int64_t>(records); }

  // What becomes of a record. It counts once KeepCounts() says that it stays so.
  void Applied(Operation operation) { ++open_.applied[static_cast<size_t>(operation)]; }
  void Superseded() { ++open_.superseded; }
  void Handled() { ++open_.filtered[static_cast<size_t>(FilterReason::kControl)]; }
  void Rejected(std::string_view code) { ++open_.rejected[code]; }
  void Parked() { ++open_.parked; }
  void KeepCounts();
  void DropCounts() { open_ = {}; }

  // Stored records that the sink took, or refused once more.
  void Replayed() { ++kept_.replayed; }
  void RejectedAgain(std::string_view code) { ++kept_.rejected_again[code]; }
  void Retried(std::string_view code) { ++kept_.retried[code]; }
  // Adds what was counted and kept since the last call to status and metrics. `waiting` records are
  // in the windows without a final verdict, `in_flight` of them or of the stored ones at the
  // target.
  void PublishCounts(size_t waiting, size_t in_flight);

  SinkStatus Status() const TW_EXCLUDES(mutex_);
  void PublishMetrics() TW_EXCLUDES(mutex_);
  const Logger& logger() const { return logger_; }

 private:
  // A failure that is retried is logged again, with how often it came meanwhile, after so long.
  static constexpr std::chrono::seconds kQuietAfterFailure{30};
  struct Repeats {
    std::optional<Clock::TimePoint> logged_at;
    uint64_t unlogged = 0;
  };
  static constexpr size_t kOperations = 10;
  static constexpr size_t kStates = 7;
  Counter& CounterBy(std::map<std::string_view, Counter*>& counters, const char* name,
                     const char* help, const char* label, std::string_view value);

  const Clock& clock_;
  Metrics& metrics_;
  Logger logger_;

  using CountByCode = std::map<std::string_view, uint64_t>;
  struct Counts {
    int64_t read = 0;
    std::array<uint64_t, kOperations> applied{};
    uint64_t superseded = 0;
    FilterCounts filtered{};
    uint64_t parked = 0;
    uint64_t replayed = 0;
    CountByCode rejected, rejected_again, retried;

    void Add(const FilterCounts& counts) {
      for (size_t i = 0; i < kFilterReasons; ++i) filtered[i] += counts[i];
    }
  };
  void AddByCode(const CountByCode& counts, std::map<std::string_view, Counter*>& counters,
                 const char* name, const char* help);

  // Of the loop's thread.
  Counts open_;             // may be taken back
  Counts kept_;             // since the last PublishCounts()
  int64_t given_back_ = 0;  // more than was read since: a counter never falls
  int64_t newest_source_time_micros_ = 0;
  std::map<std::string_view, Repeats> repeats_;  // by code
  bool quiet_ = false;                           // the last failure was not logged

  std::array<Counter*, kOperations> written_total_{};
  Counter& read_total_;
  Counter& superseded_total_;
  Counter& parked_total_;
  Counter& replayed_total_;
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
  Gauge& waiting_records_;
  Gauge& in_flight_;
  Gauge& dead_stored_;
  Gauge& parked_stored_;
  Gauge& oldest_dead_letter_seconds_;
  Gauge& stopped_tables_;
  std::array<Gauge*, kStates> state_{};

  std::atomic<int64_t> call_since_micros_ = 0;  // 0 = in no call

  mutable Mutex mutex_;
  SinkStatus status_ TW_GUARDED_BY(mutex_);
  std::shared_ptr<TopicReader> reader_ TW_GUARDED_BY(mutex_);
  Offsets passed_ TW_GUARDED_BY(mutex_);
  std::optional<int64_t> oldest_open_micros_ TW_GUARDED_BY(mutex_);
  std::optional<int64_t> last_passed_micros_ TW_GUARDED_BY(mutex_);
  bool dead_letters_counted_ TW_GUARDED_BY(mutex_) = false;
};

}  // namespace tailwater
