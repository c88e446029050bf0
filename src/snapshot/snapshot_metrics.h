// What /metrics shows of one source's snapshots.
#pragma once

#include <array>

#include "snapshot/snapshot_status.h"
#include "tailwater/metrics.h"

namespace tailwater {

// Thread-safe, as metrics are. `metrics` is labelled with pipeline and source, and outlives it.
class SnapshotMetrics {
 public:
  explicit SnapshotMetrics(Metrics& metrics);

  void Published(uint64_t rows, uint64_t bytes);
  void Again() { chunks_again_.Add(); }
  // What is only true at one moment.
  void Show(const SnapshotsStatus& status);
  // The run is over: nothing of it is true any more.
  void Clear();

 private:
  static constexpr std::array kStates = {SnapshotState::kWaiting, SnapshotState::kCopying,
                                         SnapshotState::kThrottled, SnapshotState::kPaused,
                                         SnapshotState::kBlocked};
  Counter& rows_;
  Counter& bytes_;
  Counter& chunks_;
  Counter& chunks_again_;
  std::array<Gauge*, kStates.size()> tables_;
  Gauge& tables_done_;
  Gauge& tables_stale_;
  Gauge& rows_estimated_;
  Gauge& rows_done_;
  Gauge& seconds_left_;
  Gauge& throttled_;
};

}  // namespace tailwater
