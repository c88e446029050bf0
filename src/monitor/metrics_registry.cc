#include "monitor/metrics_registry.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <atomic>
#include <locale>
#include <set>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "util/mutex.h"

namespace tailwater {
namespace {

class CounterImpl final : public Counter {
 public:
  void Add(double amount) override { counter_.Increment(amount); }
  std::optional<prometheus::ClientMetric> Collect() const { return counter_.Collect(); }
  static constexpr auto kType = prometheus::MetricType::Counter;

 private:
  prometheus::Counter counter_;
};

// prometheus::Gauge always has a value; ours may be unknown.
class GaugeImpl final : public Gauge {
 public:
  void Set(double value) override {
    value_.store(value, std::memory_order_relaxed);
    is_set_.store(true, std::memory_order_release);
  }
  void Clear() override { is_set_.store(false, std::memory_order_release); }
  std::optional<prometheus::ClientMetric> Collect() const {
    if (!is_set_.load(std::memory_order_acquire)) return std::nullopt;
    prometheus::ClientMetric metric;
    metric.gauge.value = value_.load(std::memory_order_relaxed);
    return metric;
  }
  static constexpr auto kType = prometheus::MetricType::Gauge;

 private:
  std::atomic<double> value_ = 0;
  std::atomic<bool> is_set_ = false;
};

prometheus::Histogram::BucketBoundaries PowersOfFour(int from, int to) {
  prometheus::Histogram::BucketBoundaries bounds;
  for (int power = from; power <= to; ++power)
    bounds.push_back(static_cast<double>(uint64_t{1} << (2 * power)));
  return bounds;
}

prometheus::Histogram::BucketBoundaries BucketsFor(const std::string& name) {
  if (name.ends_with("_seconds")) {
    return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
            0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};
  }
  if (name.ends_with("_bytes")) return PowersOfFour(3, 14);  // 64 B to 256 MiB
  return PowersOfFour(0, 9);                                 // 1 to 262,144
}

class HistogramImpl final : public Histogram {
 public:
  explicit HistogramImpl(const std::string& name) : histogram_(BucketsFor(name)) {}
  void Observe(double value) override { histogram_.Observe(value); }
  std::optional<prometheus::ClientMetric> Collect() const { return histogram_.Collect(); }
  static constexpr auto kType = prometheus::MetricType::Histogram;

 private:
  prometheus::Histogram histogram_;
};

// One metric name: its series by label values.
struct Family {
  std::string help;
  prometheus::MetricType type;
  std::map<Labels, std::unique_ptr<CounterImpl>> counters;
  std::map<Labels, std::unique_ptr<GaugeImpl>> gauges;
  std::map<Labels, std::unique_ptr<HistogramImpl>> histograms;
};

bool Bears(const Labels& labels, const Labels& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& label) {
    const auto found = labels.find(label.first);
    return found != labels.end() && found->second == label.second;
  });
}

template <class T>
void CollectSeries(const std::map<Labels, std::unique_ptr<T>>& series,
                   const std::set<Labels>& hidden, prometheus::MetricFamily& out) {
  for (const auto& [labels, metric] : series) {
    if (std::any_of(hidden.begin(), hidden.end(),
                    [&own = labels](const Labels& wanted) { return Bears(own, wanted); })) {
      continue;
    }
    std::optional<prometheus::ClientMetric> collected = metric->Collect();
    if (!collected) continue;
    for (const auto& [name, value] : labels) collected->label.push_back({name, value});
    out.metric.push_back(*std::move(collected));
  }
}

// The serializer escapes label values but not the help.
std::string EscapeHelp(const std::string& help) {
  std::string escaped;
  for (const char c : help) {
    if (c == '\\') {
      escaped += "\\\\";
    } else if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

Labels Merge(Labels labels, const Labels& more) {
  for (const auto& [name, value] : more) labels.insert_or_assign(name, value);
  return labels;
}

}  // namespace

class MetricsRegistry::Impl {
 public:
  class View final : public Metrics {
   public:
    View(Impl& impl, Labels labels) : impl_(impl), labels_(std::move(labels)) {}
    Counter& GetCounter(const std::string& name, const std::string& help,
                        const Labels& labels) override {
      return impl_.Get(&Family::counters, name, help, Merge(labels_, labels));
    }
    Gauge& GetGauge(const std::string& name, const std::string& help,
                    const Labels& labels) override {
      return impl_.Get(&Family::gauges, name, help, Merge(labels_, labels));
    }
    Histogram& GetHistogram(const std::string& name, const std::string& help,
                            const Labels& labels) override {
      return impl_.Get(&Family::histograms, name, help, Merge(labels_, labels));
    }

   private:
    Impl& impl_;
    const Labels labels_;
  };

  Metrics& Scoped(const Labels& labels) {
    MutexLock lock(mutex_);
    std::unique_ptr<View>& view = views_[labels];
    if (!view) view = std::make_unique<View>(*this, labels);
    return *view;
  }

  void SetHidden(const Labels& labels, bool hidden) {
    MutexLock lock(mutex_);
    if (hidden) {
      hidden_.insert(labels);
    } else {
      hidden_.erase(labels);
    }
  }

  std::vector<prometheus::MetricFamily> Collect() const {
    MutexLock lock(mutex_);
    std::vector<prometheus::MetricFamily> families;
    for (const auto& [name, family] : families_) {
      prometheus::MetricFamily collected{name, family.help, family.type, {}};
      CollectSeries(family.counters, hidden_, collected);
      CollectSeries(family.gauges, hidden_, collected);
      CollectSeries(family.histograms, hidden_, collected);
      if (!collected.metric.empty()) families.push_back(std::move(collected));
    }
    return families;
  }

 private:
  template <class T>
  T& Get(std::map<Labels, std::unique_ptr<T>> Family::*series, const std::string& name,
         const std::string& help, Labels labels) {
    MutexLock lock(mutex_);
    Family& family =
        families_.try_emplace(name, Family{EscapeHelp(help), T::kType, {}, {}, {}}).first->second;
    if (family.type != T::kType) throw std::logic_error("metric " + name + " has two types");
    std::unique_ptr<T>& metric = (family.*series)[std::move(labels)];
    if (!metric) {
      if constexpr (std::is_same_v<T, HistogramImpl>) {
        metric = std::make_unique<T>(name);
      } else {
        metric = std::make_unique<T>();
      }
    }
    return *metric;
  }

  mutable Mutex mutex_;
  std::map<std::string, Family> families_ TW_GUARDED_BY(mutex_);
  std::map<Labels, std::unique_ptr<View>> views_ TW_GUARDED_BY(mutex_);
  std::set<Labels> hidden_ TW_GUARDED_BY(mutex_);
};

MetricsRegistry::MetricsRegistry() : impl_(std::make_unique<Impl>()) {}
MetricsRegistry::~MetricsRegistry() = default;

Metrics& MetricsRegistry::root() { return impl_->Scoped({}); }
Metrics& MetricsRegistry::Scoped(const Labels& labels) { return impl_->Scoped(labels); }

void MetricsRegistry::Hide(const Labels& labels) { impl_->SetHidden(labels, true); }
void MetricsRegistry::Show(const Labels& labels) { impl_->SetHidden(labels, false); }

std::string MetricsRegistry::Expose() const {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  prometheus::TextSerializer().Serialize(out, impl_->Collect());
  return std::move(out).str();
}

}  // namespace tailwater
