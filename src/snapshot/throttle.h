// Decides whether copying has to wait: for the server's disk, for the topic, for the slowest sink,
// and for the server itself when it reads slower than it can.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "snapshot/snapshot_options.h"
#include "snapshot/snapshot_status.h"

namespace tailwater {

// Not thread-safe.
class Throttle {
 public:
  explicit Throttle(const SnapshotOptions& options) : options_(options) {}

  // Why copying has to wait, in words; empty: it may go on. What made it wait has to get clearly
  // better before it goes on.
  const std::string& Judge(const SnapshotPressure& pressure);
  const std::string& words() const { return words_; }

 private:
  std::string Reason(const SnapshotPressure& pressure, double share) const;

  const SnapshotOptions options_;
  std::string words_;
};

// How fast the server reads one table: a chunk that takes much longer for its rows than the best
// ones lately means that the server has other work to do. Not thread-safe.
class ReadPace {
 public:
  // A chunk of `rows` took `took`: how long to leave the server alone.
  std::chrono::milliseconds Observe(std::chrono::nanoseconds took, uint64_t rows);
  double ratio() const { return ratio_; }  // of the last chunk to the best lately

 private:
  double best_ = 0;  // seconds per row; 0: none yet
  double ratio_ = 1;
};

}  // namespace tailwater
