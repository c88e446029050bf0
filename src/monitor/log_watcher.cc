#include "monitor/log_watcher.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "support/text.h"
#include "util/thread_name.h"

namespace tailwater {
namespace {

// Rates over less than this are noise.
constexpr std::chrono::seconds kShortestSpan{5};
// Between two looks while the server has nothing of ours yet.
constexpr std::chrono::seconds kBeforeFirstStart{1};

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::optional<double> AsDouble(const std::optional<uint64_t>& value) {
  if (!value) return std::nullopt;
  return static_cast<double>(*value);
}

std::string Bytes(const std::optional<uint64_t>& value) {
  return value ? fmt::format("{}", *value) : "unknown";
}

}  // namespace

LogWatcher::LogWatcher(std::string component, CreateTools create, Metrics& metrics,
                       const Clock& clock, LogWatcherOptions options, AskPlace place)
    : create_(std::move(create)),
      place_(std::move(place)),
      metrics_(metrics),
      clock_(clock),
      options_(options),
      logger_(std::move(component)),
      retained_bytes_(
          metrics.GetGauge("tailwater_source_retained_log_bytes",
                           "Log that the server keeps on its disk because of this source.")),
      safe_bytes_(metrics.GetGauge(
          "tailwater_source_safe_log_bytes",
          "Log that may still be written before the server discards what this source needs.")),
      headroom_bytes_(metrics.GetGauge("tailwater_source_headroom_bytes",
                                       "How much further back than this source's place the "
                                       "server's log reaches: it discards from there.")),
      headroom_seconds_(metrics.GetGauge(
          "tailwater_source_headroom_seconds",
          "Age of the server's oldest log at this source's place: it discards from there.")),
      lag_bytes_(metrics.GetGauge("tailwater_source_lag_bytes",
                                  "End of the server's log minus what this source confirmed.")),
      active_(metrics.GetGauge("tailwater_source_slot_active",
                               "1 if a session reads this source's place in the log.")),
      server_bytes_(metrics.GetGauge("tailwater_source_server_lsn_bytes",
                                     "End of the server's log, as a number.")),
      received_bytes_(metrics.GetGauge("tailwater_source_received_lsn_bytes",
                                       "Position that the server sent, as a number.")),
      confirmed_bytes_(metrics.GetGauge("tailwater_source_confirmed_lsn_bytes",
                                        "Position that this source confirmed, as a number.")),
      growth_(metrics.GetGauge("tailwater_source_log_growth_bytes_per_second",
                               "Pace at which the server's log grows.")),
      forecast_(metrics.GetGauge(
          "tailwater_source_loss_forecast_seconds",
          "Time until the server discards log that this source needs, at the present pace.")),
      checked_timestamp_(metrics.GetGauge("tailwater_source_log_checked_timestamp_seconds",
                                          "When the server's log was last looked at.")) {}

LogWatcher::~LogWatcher() { Stop(); }

void LogWatcher::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    NameThread("tw-watch");
    Run(stop);
  });
}

void LogWatcher::RequestStop() { thread_.request_stop(); }

void LogWatcher::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  Publish({});
  checked_timestamp_.Clear();
}

void LogWatcher::Run(const std::stop_token& stop) {
  SleepUntil(clock_.Now() + options_.first_look, stop);
  while (!stop.stop_requested()) {
    Look();
    // A first start is about to make what there is to watch.
    const bool soon = !existed_ && !failing_;
    const std::chrono::milliseconds interval = options_.interval;
    SleepUntil(
        clock_.Now() +
            (soon ? std::min<std::chrono::milliseconds>(interval, kBeforeFirstStart) : interval),
        stop);
  }
}

void LogWatcher::SleepUntil(Clock::TimePoint time, const std::stop_token& stop) {
  MutexLock lock(mutex_);
  wanted_ = false;
  while (!wanted_ && !stop.stop_requested() && clock_.Now() < time)
    changed_.WaitUntil(mutex_, stop, time);
}

void LogWatcher::Refresh() {
  MutexLock lock(mutex_);
  if (looked_ && clock_.Now() - *looked_ < options_.refresh_after) return;
  wanted_ = true;
  changed_.NotifyAll();
}

LogWatchStatus LogWatcher::GetStatus() const {
  MutexLock lock(mutex_);
  return status_;
}

Result<LogHealth> LogWatcher::Ask() {
  try {
    if (!tools_) {
      TW_ASSIGN_OR_RETURN(tools_, create_());
    }
    if (place_) {
      const Place place = place_();
      tools_->Follow(place.frontier, place.commit_time_micros);
    }
    return tools_->Watch();
  } catch (const std::exception& exception) {
    return Error{Disposition::kFatal, "internal",
                 fmt::format("{}; please report this", exception.what())};
  }
}

void LogWatcher::Look() {
  LogWatchStatus status;
  Result<LogHealth> health = Ask();
  if (health) {
    status.health = *std::move(health);
    status.checked_micros = clock_.UnixMicros();
    checked_timestamp_.Set(static_cast<double>(status.checked_micros) / 1e6);
    Measure(status);
    if (failing_) logger_.Info("server can be watched again");
    failing_ = false;
  } else {
    const Error& error = health.error();
    status.code = error.code;
    status.message = error.message;
    metrics_
        .GetCounter("tailwater_errors_total",
                    "Errors by component, code and what is done about them.",
                    {{"component", "watcher"},
                     {"code", status.code},
                     {"disposition", std::string(DispositionName(error.disposition))}})
        .Add();
    if (!failing_) {
      logger_.Warn("server cannot be watched; lag and headroom are unknown until it can",
                   {{"code", status.code}, {"message", status.message}});
    }
    failing_ = true;
    samples_.clear();
  }
  Publish(status);
  if (status.health) Report(status);

  MutexLock lock(mutex_);
  if (status.checked_micros == 0) status.checked_micros = status_.checked_micros;
  status_ = std::move(status);
  looked_ = clock_.Now();
}

void LogWatcher::Measure(LogWatchStatus& status) {
  const Clock::TimePoint now = clock_.Now();
  const LogHealth& health = *status.health;
  samples_.push_back({now, health.server_end_bytes, health.safe_bytes});
  while (now - samples_.front().time > options_.window) samples_.pop_front();

  const Sample& last = samples_.back();
  std::optional<double> steepest;  // bytes of headroom lost per second
  for (const std::chrono::seconds window : {options_.window, options_.short_window}) {
    const auto first = std::find_if(samples_.begin(), samples_.end(), [&](const Sample& sample) {
      return now - sample.time <= window;
    });
    if (now - first->time < kShortestSpan) continue;
    const double span = Seconds(now - first->time);
    if (!status.growth_bytes_per_second && first->server_end_bytes && last.server_end_bytes &&
        *last.server_end_bytes >= *first->server_end_bytes) {
      status.growth_bytes_per_second =
          static_cast<double>(*last.server_end_bytes - *first->server_end_bytes) / span;
    }
    if (first->safe_bytes && last.safe_bytes && *first->safe_bytes > *last.safe_bytes) {
      const double pace = static_cast<double>(*first->safe_bytes - *last.safe_bytes) / span;
      if (!steepest || pace > *steepest) steepest = pace;
    }
  }
  if (steepest) status.seconds_until_loss = static_cast<double>(*last.safe_bytes) / *steepest;
  if (health.safe_seconds) {
    status.seconds_until_loss =
        std::min(*health.safe_seconds, status.seconds_until_loss.value_or(*health.safe_seconds));
  }
}

void LogWatcher::Publish(const LogWatchStatus& status) {
  const LogHealth health = status.health.value_or(LogHealth{});
  retained_bytes_.Set(AsDouble(health.retained_bytes));
  safe_bytes_.Set(AsDouble(health.safe_bytes));
  headroom_bytes_.Set(AsDouble(health.headroom_bytes));
  headroom_seconds_.Set(health.headroom_seconds);
  lag_bytes_.Set(AsDouble(health.confirmed_lag_bytes));
  active_.Set(health.active ? std::optional<double>(*health.active ? 1 : 0) : std::nullopt);
  server_bytes_.Set(AsDouble(health.server_end_bytes));
  received_bytes_.Set(AsDouble(health.received_bytes));
  confirmed_bytes_.Set(AsDouble(health.confirmed_bytes));
  growth_.Set(status.growth_bytes_per_second);
  forecast_.Set(status.seconds_until_loss);
  if (!health.state.empty() && !states_.contains(health.state)) {
    states_[health.state] =
        &metrics_.GetGauge("tailwater_source_log_state", "1 for what the server says of our log.",
                           {{"state", health.state}});
  }
  for (const auto& [state, gauge] : states_) {
    if (state == health.state) {
      gauge->Set(1);
    } else {
      gauge->Clear();
    }
  }
}

LogWatcher::Danger LogWatcher::Judge(const LogWatchStatus& status) {
  const std::string& state = status.health->state;
  // Before the first start there is nothing to miss.
  if (state == "missing") return existed_ ? Danger::kLost : Danger::kNone;
  existed_ = true;
  if (state == "lost") return Danger::kLost;
  if (state == "unreserved") return Danger::kNear;
  if (status.seconds_until_loss &&
      *status.seconds_until_loss < static_cast<double>(options_.forecast_warning.count())) {
    return Danger::kNear;
  }
  return state == "extended" ? Danger::kWatch : Danger::kNone;
}

void LogWatcher::Report(const LogWatchStatus& status) {
  const Danger before = std::exchange(danger_, Judge(status));
  if (danger_ == Danger::kNone) {
    if (before != Danger::kNone) {
      logger_.Info("log is safe again", {{"state", status.health->state}});
    }
    warned_.reset();
    return;
  }
  const Clock::TimePoint now = clock_.Now();
  if (danger_ <= before && warned_ && now - *warned_ < options_.warning_interval) return;
  warned_ = now;

  const LogHealth& health = *status.health;
  const std::string left = status.seconds_until_loss
                               ? fmt::format("{:.0f}s", *status.seconds_until_loss)
                               : std::string("unknown");
  switch (danger_) {
    case Danger::kNone:
      break;
    case Danger::kWatch:
      logger_.Warn("server keeps more log than usual for this source",
                   {{"state", health.state},
                    {"retained_bytes", Bytes(health.retained_bytes)},
                    {"explanation", health.explanation}});
      break;
    case Danger::kNear:
      logger_.Error("server will soon discard log that this source still needs",
                    {{"state", health.state},
                     {"time_left", left},
                     {"retained_bytes", Bytes(health.retained_bytes)},
                     {"safe_bytes", Bytes(health.safe_bytes)},
                     {"explanation", health.explanation}});
      break;
    case Danger::kLost:
      logger_.Error("server no longer holds the log that this source needs",
                    {{"state", health.state}, {"explanation", health.explanation}});
      break;
  }
}

}  // namespace tailwater
