#include "snapshot/throttle.h"

#include <algorithm>

#include "support/text.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;

constexpr double kGoOnAt = 0.8;         // of a limit that was exceeded
constexpr double kLeastSafeShare = 4;   // a quarter of what the server may keep stays free
constexpr uint64_t kTellingRows = 200;  // fewer tell nothing of the server
constexpr auto kTellingTime = 50ms;
constexpr double kSlow = 3;       // times the best
constexpr double kForget = 1.02;  // the best fades, so that old times do not rule for ever
constexpr auto kLongestPause = 10s;

std::string Bytes(double bytes) {
  constexpr double kKilo = 1024;
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (bytes >= kKilo && unit + 1 < std::size(kUnits)) {
    bytes /= kKilo;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 1, kUnits[unit]);
}

}  // namespace

std::string Throttle::Reason(const SnapshotPressure& pressure, double share) const {
  if (const double limit = static_cast<double>(options_.max_retained_log.bytes);
      limit > 0 && pressure.retained_log_bytes &&
      static_cast<double>(*pressure.retained_log_bytes) > limit * share) {
    return fmt::format("the server keeps {} of log for us, more than max_retained_log: {}",
                       Bytes(static_cast<double>(*pressure.retained_log_bytes)), Bytes(limit));
  }
  if (pressure.safe_log_bytes) {
    const double safe = static_cast<double>(*pressure.safe_log_bytes);
    const double all = safe + static_cast<double>(pressure.retained_log_bytes.value_or(0));
    if (pressure.retained_log_bytes && safe * kLeastSafeShare * share < all) {
      return fmt::format("the server discards log that we need after {} more of it", Bytes(safe));
    }
  }
  if (const std::chrono::duration<double> limit = options_.max_lag;
      limit.count() > 0 && pressure.lag_seconds && *pressure.lag_seconds > limit.count() * share) {
    return fmt::format("the stream is {:.0f} s behind, more than max_lag: {:.0f} s",
                       *pressure.lag_seconds, limit.count());
  }
  if (const double limit = static_cast<double>(options_.max_sink_lag);
      limit > 0 && pressure.slowest_sink_records &&
      static_cast<double>(*pressure.slowest_sink_records) > limit * share) {
    return fmt::format("the slowest sink is {} records behind, more than max_sink_lag: {}",
                       *pressure.slowest_sink_records, options_.max_sink_lag);
  }
  return {};
}

const std::string& Throttle::Judge(const SnapshotPressure& pressure) {
  words_ = Reason(pressure, words_.empty() ? 1.0 : kGoOnAt);
  return words_;
}

std::chrono::milliseconds ReadPace::Observe(std::chrono::nanoseconds took, uint64_t rows) {
  ratio_ = 1;
  if (rows < kTellingRows) return 0ms;
  const double cost = std::chrono::duration<double>(took).count() / static_cast<double>(rows);
  if (best_ <= 0 || cost <= best_) {
    best_ = cost;
    return 0ms;
  }
  ratio_ = cost / best_;
  best_ *= kForget;
  if (ratio_ < kSlow || took < kTellingTime) return 0ms;
  return std::min<std::chrono::milliseconds>(
      std::chrono::duration_cast<std::chrono::milliseconds>(took * (ratio_ / kSlow)),
      kLongestPause);
}

}  // namespace tailwater
