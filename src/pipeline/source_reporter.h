// One source's state, counters and metrics, gathered from its threads for `status` and /metrics.
// Thread-safe. The writer reports once per batch, never per change.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "pipeline/capture_status.h"
#include "tailwater/change.h"
#include "tailwater/metrics.h"
#include "tailwater/result.h"
#include "util/clock.h"
#include "util/mutex.h"

namespace tailwater {

// Counts per operation, indexed by its number.
using OperationCounts = std::array<uint64_t, 10>;

class SourceReporter {
 public:
  SourceReporter(std::string name, std::string type, Metrics& metrics, const Clock& clock);

  // --- the source's thread ---
  void Enter(SourceState state) TW_EXCLUDES(mutex_);
  // Also counts the error.
  void Enter(SourceState state, const Error& error,
             std::optional<std::chrono::milliseconds> retry_in) TW_EXCLUDES(mutex_);
  void Restarted() TW_EXCLUDES(mutex_);
  // The source named a gap, whatever is done about it.
  void GapFound(std::string_view code);
  // A run begins; what was wrong before holds until the server is heard.
  void Starting() TW_EXCLUDES(mutex_);

  // What went into a batch that is about to be submitted.
  struct Taken {
    OperationCounts events{};  // records made of the server's events
    uint64_t transactions = 0;
    size_t records = 0;
    size_t bytes = 0;
    std::string_view received;         // end of the last transaction; empty if none ended
    int64_t last_commit_micros = 0;    // its commit time; 0 = unknown
    int64_t oldest_commit_micros = 0;  // of the first transaction in the batch; 0 = unknown
    int64_t open_commit_micros = 0;    // of the transaction that the batch ends in; 0 = none
    uint64_t open_bytes = 0;           // of that transaction, published so far
  };
  void BatchTaken(const Taken& taken, Clock::TimePoint now) TW_EXCLUDES(mutex_);
  // A change was too large for the topic: these columns were left out of it.
  void ColumnsOmitted(std::string_view table, size_t columns);
  // The server said that it holds nothing more for us.
  void CaughtUp() TW_EXCLUDES(mutex_);

  // --- the topic's thread, in the order of BatchTaken() ---
  void BatchDurable() TW_EXCLUDES(mutex_);
  // Also when a source starts over: what was in flight will be read again.
  void ForgetInFlight() TW_EXCLUDES(mutex_);

  // --- any thread ---
  SourceStatus GetStatus() const TW_EXCLUDES(mutex_);  // all but what the checkpoint knows
  void UpdateGauges(int64_t checkpoint_saved_micros) TW_EXCLUDES(mutex_);

 private:
  std::optional<double> LagSeconds() const TW_REQUIRES(mutex_);

  const std::string type_;
  Metrics& metrics_;
  const Clock& clock_;
  Counter* events_total_[std::tuple_size_v<OperationCounts>] = {};
  Counter& transactions_total_;
  Counter& reconnects_total_;
  Counter& records_total_;
  Counter& bytes_total_;
  Gauge& open_transaction_bytes_;
  static constexpr size_t kStates = static_cast<size_t>(SourceState::kStopped) + 1;
  std::array<Gauge*, kStates> state_{};
  Gauge& connected_;
  Gauge& lag_seconds_;
  Gauge& checkpoint_timestamp_;
  Histogram& publish_seconds_;

  struct InFlight {
    size_t records = 0;
    size_t bytes = 0;
    int64_t oldest_commit_micros = 0;
    Clock::TimePoint submitted;
  };
  mutable Mutex mutex_;
  SourceStatus status_ TW_GUARDED_BY(mutex_);
  OperationCounts events_ TW_GUARDED_BY(mutex_){};
  std::deque<InFlight> in_flight_ TW_GUARDED_BY(mutex_);
  int64_t open_commit_micros_ TW_GUARDED_BY(mutex_) = 0;
  uint64_t open_bytes_ TW_GUARDED_BY(mutex_) = 0;
  std::optional<Clock::TimePoint> proven_caught_up_ TW_GUARDED_BY(mutex_);
};

}  // namespace tailwater
