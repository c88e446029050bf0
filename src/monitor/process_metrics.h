// The process_* metrics that every Prometheus user expects, and tailwater_build_info.
#pragma once

#include "tailwater/metrics.h"

namespace tailwater {

// Not thread-safe: one scrape at a time.
class ProcessMetrics {
 public:
  explicit ProcessMetrics(Metrics& metrics);
  // Reads /proc/self; call it before every scrape.
  void Update();

 private:
  Counter& cpu_seconds_;
  double cpu_seconds_counted_ = 0;
  Gauge& resident_bytes_;
  Gauge& virtual_bytes_;
  Gauge& open_fds_;
  Gauge& max_fds_;
  Gauge& threads_;
  Gauge& start_time_;
};

}  // namespace tailwater
