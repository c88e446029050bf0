// Counters, gauges and histograms, as a component sees them. A component resolves its metrics once,
// in a struct that its constructor builds; the handles stay valid as long as the Metrics object.
// Updating a handle is thread-safe and cheap. Names are tailwater_<part>_<what>_<unit>; labels come
// from closed sets, never a key or a position.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace tailwater {

using Labels = std::map<std::string, std::string>;

class Counter {
 public:
  virtual ~Counter() = default;
  virtual void Add(double amount = 1) = 0;
};

// Absent from /metrics until set, and again after Clear(): unknown is no series, never 0 or the
// last value.
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void Set(double value) = 0;
  virtual void Clear() = 0;
  void Set(const std::optional<double>& value) { value ? Set(*value) : Clear(); }
};

class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void Observe(double value) = 0;
};

// Adds labels of its own (pipeline, source or sink) to all that it makes.
class Metrics {
 public:
  virtual ~Metrics() = default;
  virtual Counter& GetCounter(const std::string& name, const std::string& help,
                              const Labels& labels = {}) = 0;
  virtual Gauge& GetGauge(const std::string& name, const std::string& help,
                          const Labels& labels = {}) = 0;
  // Buckets for seconds from 100 us to 1 min, or for counts and bytes by powers of 4, by the unit
  // in the name.
  virtual Histogram& GetHistogram(const std::string& name, const std::string& help,
                                  const Labels& labels = {}) = 0;
};

}  // namespace tailwater
