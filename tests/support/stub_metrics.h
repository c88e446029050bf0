// A stub of Metrics that remembers every series, for tests to look at.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "tailwater/metrics.h"

namespace tailwater {

class StubMetrics final : public Metrics {
 public:
  Counter& GetCounter(const std::string& name, const std::string&, const Labels& labels) override {
    return Get(name, labels);
  }
  Gauge& GetGauge(const std::string& name, const std::string&, const Labels& labels) override {
    return Get(name, labels);
  }
  Histogram& GetHistogram(const std::string& name, const std::string&,
                          const Labels& labels) override {
    return Get(name, labels);
  }

  // A counter's sum, a gauge's value, a histogram's number of observations; nothing if the series
  // is absent.
  std::optional<double> Value(const std::string& name, const Labels& labels = {}) const {
    std::lock_guard lock(mutex_);
    const auto series = series_.find({name, labels});
    return series == series_.end() ? std::nullopt : series->second->Get();
  }

 private:
  class Series final : public Counter, public Gauge, public Histogram {
   public:
    void Add(double amount) override {
      std::lock_guard lock(mutex_);
      value_ = value_.value_or(0) + amount;
    }
    void Set(double value) override {
      std::lock_guard lock(mutex_);
      value_ = value;
    }
    void Clear() override {
      std::lock_guard lock(mutex_);
      value_.reset();
    }
    void Observe(double) override { Add(1); }
    std::optional<double> Get() const {
      std::lock_guard lock(mutex_);
      return value_;
    }

   private:
    mutable std::mutex mutex_;
    std::optional<double> value_;
  };

  Series& Get(const std::string& name, const Labels& labels) {
    std::lock_guard lock(mutex_);
    auto& series = series_[{name, labels}];
    if (series == nullptr) series = std::make_unique<Series>();
    return *series;
  }

  mutable std::mutex mutex_;
  std::map<std::pair<std::string, Labels>, std::unique_ptr<Series>> series_;
};

}  // namespace tailwater
