// All metrics of the process and their text form (Prometheus exposition 0.0.4).
//
// Scoped() hands out views that add labels; components resolve their handles from those once.
// Handles and views live as long as the registry. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "tailwater/metrics.h"

namespace tailwater {

class MetricsRegistry {
 public:
  MetricsRegistry();
  ~MetricsRegistry();
  MetricsRegistry(const MetricsRegistry&) = delete;
  MetricsRegistry& operator=(const MetricsRegistry&) = delete;

  // Without labels of its own.
  Metrics& root();
  // Adds `labels` to all that it makes; the same view for the same labels. One name has one type:
  // another one is our own bug and throws std::logic_error.
  Metrics& Scoped(const Labels& labels);

  // Leaves out every series that bears all of these labels, until they are shown again: its
  // component is gone, though others may still hold its handles. What it counted stays.
  void Hide(const Labels& labels);
  void Show(const Labels& labels);

  // Every series that has a value and is not hidden, families sorted by name. Gauges that are not set are absent.
  std::string Expose() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailwater
