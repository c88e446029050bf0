// What tests of sources against real servers share: metrics that can be read back, and `tables:`.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "tailwater/metrics.h"
#include "tailwater/tables.h"

namespace tailwater {

class CountingMetrics final : public Metrics {
 public:
  Counter& GetCounter(const std::string& name, const std::string&, const Labels&) override {
    return counters_[name];
  }
  Gauge& GetGauge(const std::string&, const std::string&, const Labels&) override { return gauge_; }
  Histogram& GetHistogram(const std::string&, const std::string&, const Labels&) override {
    return histogram_;
  }
  double Value(const std::string& name) { return counters_[name].value; }

 private:
  struct C final : Counter {
    void Add(double amount) override { value = value + amount; }
    std::atomic<double> value = 0;
  };
  struct G final : Gauge {
    void Set(double) override {}
    void Clear() override {}
  };
  struct H final : Histogram {
    void Observe(double) override {}
  };
  std::map<std::string, C> counters_;
  G gauge_;
  H histogram_;
};

inline TableSelection Tables(const std::vector<std::string>& patterns) {
  ConfigNode list;
  list.kind = ConfigNode::Kind::kList;
  for (const std::string& pattern : patterns) {
    ConfigNode item;
    item.kind = ConfigNode::Kind::kScalar;
    item.scalar = pattern;
    list.items.push_back(item);
  }
  Problems problems;
  return TableSelection::Parse(&list, problems);
}

}  // namespace tailwater
