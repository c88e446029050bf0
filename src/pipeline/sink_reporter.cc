#include "pipeline/sink_reporter.h"

#include <algorithm>
#include <utility>

namespace tailwater {
namespace {

constexpr SinkState kAllStates[] = {
    SinkState::kStopped,         SinkState::kStandby, SinkState::kRunning, SinkState::kRetrying,
    SinkState::kWaitingOperator, SinkState::kPaused,  SinkState::kHalted};

}  // namespace

std::string_view SinkStateName(SinkState state) {
  switch (state) {
    case SinkState::kStopped:
      return "stopped";
    case SinkState::kStandby:
      return "standby";
    case SinkState::kRunning:
      return "running";
    case SinkState::kRetrying:
      return "retrying";
    case SinkState::kWaitingOperator:
      return "waiting_operator";
    case SinkState::kPaused:
      return "paused";
    case SinkState::kHalted:
      return "halted";
  }
  return "unknown";
}

SinkReporter::SinkReporter(std::string pipeline, std::string sink, Metrics& metrics,
                           const Clock& clock)
    : clock_(clock),
      metrics_(metrics),
      logger_(pipeline + "." + sink),
      read_total_(metrics.GetCounter("tailwater_sink_read_total",
                                     "Records taken from the topic, whoever they are for.")),
      superseded_total_(metrics.GetCounter("tailwater_sink_superseded_total",
                                           "Changes the target already held, or newer ones.")),
      parked_total_(metrics.GetCounter("tailwater_sink_parked_total",
                                       "Records put aside behind a key that fails.")),
      replayed_total_(metrics.GetCounter("tailwater_sink_replayed_total",
                                         "Stored records that the target took later.")),
      batch_records_(
          metrics.GetHistogram("tailwater_sink_batch_records", "Records per write to the target.")),
      write_duration_seconds_(metrics.GetHistogram("tailwater_sink_write_duration_seconds",
                                                   "Time that one write to the target took.")),
      latency_seconds_(metrics.GetHistogram(
          "tailwater_end_to_end_latency_seconds",
          "From the commit in the source to the write's end, oldest change of each batch.")),
      lag_records_(metrics.GetGauge("tailwater_sink_lag_records",
                                    "Topic records that the sink has not passed yet.")),
      lag_seconds_(metrics.GetGauge("tailwater_sink_lag_seconds",
                                    "Age of the oldest change that the sink has not passed.")),
      call_seconds_(metrics.GetGauge("tailwater_sink_call_seconds",
                                     "Age of the call to the target that is in progress.")),
      passed_timestamp_(metrics.GetGauge("tailwater_sink_committed_source_timestamp_seconds",
                                         "Commit time of the newest change that the sink passed.")),
      waiting_records_(metrics.GetGauge("tailwater_sink_waiting_records",
                                        "Records read and without a final verdict.")),
      in_flight_(metrics.GetGauge("tailwater_sink_in_flight",
                                  "Changes handed to the target and not yet answered.")),
      dead_stored_(metrics.GetGauge("tailwater_sink_dead_letters_stored",
                                    "Records put aside and still stored, by state.",
                                    {{"state", "dead"}})),
      parked_stored_(metrics.GetGauge("tailwater_sink_dead_letters_stored",
                                      "Records put aside and still stored, by state.",
                                      {{"state", "parked"}})),
      oldest_dead_letter_seconds_(
          metrics.GetGauge("tailwater_sink_oldest_dead_letter_seconds",
                           "Time since the oldest stored record was put aside.")),
      stopped_tables_(
          metrics.GetGauge("tailwater_sink_stopped_tables",
                           "Tables of which the target takes nothing until a person acts.")) {
  for (size_t op = static_cast<size_t>(Operation::kInsert); op < kOperations; ++op) {
    written_total_[op] =
        &metrics.GetCounter("tailwater_sink_records_written_total", "Changes the target applied.",
                            {{"op", std::string(OperationName(static_cast<Operation>(op)))}});
  }
  for (size_t i = 0; i < kFilterReasons; ++i) {
    filtered_total_[i] = &metrics.GetCounter(
        "tailwater_sink_filtered_total", "Records that the sink is not meant to get, by reason.",
        {{"reason", std::string(kFilterReasonNames[i])}});
  }
  for (const SinkState state : kAllStates) {
    state_[static_cast<size_t>(state)] =
        &metrics.GetGauge("tailwater_sink_state", "1 for the state that the sink is in.",
                          {{"state", std::string(SinkStateName(state))}});
  }
  MutexLock lock(mutex_);
  status_.sink = std::move(sink);
}

void SinkReporter::Enter(SinkState state, const std::string& message) {
  bool changed;
  {
    MutexLock lock(mutex_);
    changed = status_.state != state;
    status_.state = state;
    status_.disposition.reset();
    status_.code.clear();
    status_.message = message;
    status_.record_id.clear();
    status_.next_retry_micros.reset();
  }
  if (!changed) return;
  if (state == SinkState::kRunning && quiet_) return;  // its failure was not logged either
  if (message.empty()) {
    logger_.Info("sink state", {{"state", SinkStateName(state)}});
  } else {
    logger_.Info("sink state", {{"state", SinkStateName(state)}, {"reason", message}});
  }
}

void SinkReporter::Fail(SinkState state, const Error& error, const std::string& record_id,
                        std::optional<std::chrono::milliseconds> retry_in) {
  metrics_
      .GetCounter("tailwater_errors_total", "Failures by component, code and disposition.",
                  {{"component", "sink"},
                   {"code", std::string(error.code)},
                   {"disposition", std::string(DispositionName(error.disposition))}})
      .Add();
  bool changed;
  {
    MutexLock lock(mutex_);
    changed = status_.state != state || status_.code != error.code;
    status_.state = state;
    status_.disposition = error.disposition;
    status_.code = error.code;
    status_.message = error.message;
    status_.record_id = record_id;
    status_.next_retry_micros.reset();
    if (retry_in) {
      status_.next_retry_micros =
          clock_.UnixMicros() +
          std::chrono::duration_cast<std::chrono::microseconds>(*retry_in).count();
    }
  }
  if (!changed) return;
  if (error.code == "topic_not_created") {  // a first start, or capture runs elsewhere
    logger_.Info("sink waits for capture to make the log");
    return;
  }
  // A target that fails now and then would fill the log by itself.
  Repeats& repeats = repeats_[error.code];
  const Clock::TimePoint now = clock_.Now();
  quiet_ = state == SinkState::kRetrying && repeats.logged_at &&
           now - *repeats.logged_at < kQuietAfterFailure;
  if (quiet_) {
    ++repeats.unlogged;
    return;
  }
  repeats.logged_at = now;
  const Logger::Fields fields = {{"state", SinkStateName(state)},
                                 {"code", error.code},
                                 {"disposition", DispositionName(error.disposition)},
                                 {"id", record_id},
                                 {"not_logged", std::exchange(repeats.unlogged, 0)},
                                 {"message", error.message}};
  if (state == SinkState::kRetrying) {
    logger_.Warn("sink failed", fields);
  } else {
    logger_.Error("sink failed", fields);
  }
}

void SinkReporter::OpenedReader(std::shared_ptr<TopicReader> reader) {
  MutexLock lock(mutex_);
  reader_ = std::move(reader);
}

void SinkReporter::Assigned(const std::string& log_id, const Offsets& offsets) {
  MutexLock lock(mutex_);
  status_.log_id = log_id;
  status_.offsets = offsets;
  passed_ = offsets;
  oldest_open_micros_.reset();
}

void SinkReporter::Committed(const Offsets& offsets) {
  MutexLock lock(mutex_);
  for (const auto& [partition, offset] : offsets) status_.offsets[partition] = offset;
}

void SinkReporter::Passed(const Offsets& passed, std::optional<int64_t> oldest_open_micros) {
  MutexLock lock(mutex_);
  passed_ = passed;
  oldest_open_micros_ = oldest_open_micros;
  if (newest_source_time_micros_ != 0) last_passed_micros_ = newest_source_time_micros_;
}

void SinkReporter::PassedFrontiers(const std::map<std::string, SinkFrontier>& frontiers) {
  MutexLock lock(mutex_);
  status_.frontiers = frontiers;
}

void SinkReporter::DeadLetters(const Subscription::DeadLetterCounts& counts) {
  MutexLock lock(mutex_);
  dead_letters_counted_ = true;
  status_.dead_letters = counts.by_code;
  status_.dead_stored = counts.dead;
  status_.parked_stored = counts.parked;
  status_.oldest_stored_micros = counts.oldest_micros;
}

void SinkReporter::StoppedTables(std::vector<StoppedTable> tables) {
  MutexLock lock(mutex_);
  status_.stopped_tables = std::move(tables);
}

void SinkReporter::Wrote(size_t records, std::chrono::nanoseconds duration, int64_t oldest_micros,
                         int64_t newest_micros) {
  batch_records_.Observe(static_cast<double>(records));
  write_duration_seconds_.Observe(std::chrono::duration<double>(duration).count());
  if (newest_micros != 0) newest_source_time_micros_ = newest_micros;
  if (oldest_micros == 0) return;
  const int64_t age = std::max<int64_t>(0, clock_.UnixMicros() - oldest_micros);
  latency_seconds_.Observe(static_cast<double>(age) / 1e6);
}

Counter& SinkReporter::CounterBy(std::map<std::string_view, Counter*>& counters, const char* name,
                                 const char* help, const char* label, std::string_view value) {
  Counter*& counter = counters[value];
  if (counter == nullptr) {
    counter = &metrics_.GetCounter(name, help, {{label, std::string(value)}});
  }
  return *counter;
}

void SinkReporter::KeepCounts() {
  for (size_t op = 0; op < kOperations; ++op) kept_.applied[op] += open_.applied[op];
  kept_.superseded += open_.superseded;
  kept_.Add(open_.filtered);
  kept_.parked += open_.parked;
  for (const auto& [code, count] : open_.rejected) kept_.rejected[code] += count;
  open_ = {};
}

void SinkReporter::AddByCode(const CountByCode& counts,
                             std::map<std::string_view, Counter*>& counters, const char* name,
                             const char* help) {
  for (const auto& [code, count] : counts) {
    CounterBy(counters, name, help, "reason", code).Add(static_cast<double>(count));
  }
}

void SinkReporter::PublishCounts(size_t waiting, size_t in_flight) {
  const Counts counts = std::exchange(kept_, {});
  uint64_t applied = 0;
  for (size_t op = 0; op < kOperations; ++op) {
    if (counts.applied[op] == 0) continue;
    applied += counts.applied[op];
    written_total_[op]->Add(static_cast<double>(counts.applied[op]));
  }
  given_back_ -= counts.read;
  if (given_back_ < 0) read_total_.Add(static_cast<double>(-std::exchange(given_back_, 0)));
  AddByCode(counts.retried, retries_total_, "tailwater_sink_retries_total",
            "Writes and records put off, by reason.");
  for (const CountByCode* rejected : {&counts.rejected, &counts.rejected_again}) {
    AddByCode(*rejected, dead_letters_total_, "tailwater_sink_dead_letters_total",
              "Records that the target cannot take, by reason.");
  }
  if (counts.superseded > 0) superseded_total_.Add(static_cast<double>(counts.superseded));
  if (counts.parked > 0) parked_total_.Add(static_cast<double>(counts.parked));
  if (counts.replayed > 0) replayed_total_.Add(static_cast<double>(counts.replayed));
  uint64_t filtered = 0;
  for (size_t i = 0; i < kFilterReasons; ++i) {
    if (counts.filtered[i] == 0) continue;
    filtered += counts.filtered[i];
    filtered_total_[i]->Add(static_cast<double>(counts.filtered[i]));
  }
  MutexLock lock(mutex_);
  status_.read += static_cast<uint64_t>(counts.read);  // modulo 2^64: also downwards
  status_.applied += applied;
  status_.superseded += counts.superseded;
  status_.filtered += filtered;
  status_.parked += counts.parked;
  status_.replayed += counts.replayed;
  for (const auto& [code, count] : counts.retried) status_.retries += count;
  for (const auto& [code, count] : counts.rejected) {
    (code == kBaseMissing ? status_.base_missing : status_.rejected) += count;
    status_.dead += count;
  }
  status_.waiting = waiting;
  status_.in_flight = in_flight;
}

SinkStatus SinkReporter::Status() const {
  SinkStatus status;
  std::shared_ptr<TopicReader> reader;
  Offsets passed;
  std::optional<int64_t> oldest;
  {
    MutexLock lock(mutex_);
    status = status_;
    reader = reader_;
    passed = passed_;
    oldest = oldest_open_micros_ ? oldest_open_micros_ : last_passed_micros_;
  }
  if (const int64_t since = call_since_micros_; since != 0) {
    status.call_seconds =
        static_cast<double>(std::max<int64_t>(0, clock_.UnixMicros() - since)) / 1e6;
  }
  if (reader == nullptr || passed.empty()) return status;
  const auto ranges = reader->KnownRanges();
  if (!ranges) return status;  // unknown stays absent
  int64_t lag = 0;
  for (const auto& [partition, offset] : passed) {
    const auto range = ranges->find(partition);
    if (range == ranges->end()) return status;
    lag += std::max<int64_t>(0, range->second.end - offset);
  }
  status.lag_records = lag;
  if (lag == 0) {
    status.lag_seconds = 0;
  } else if (oldest) {
    status.lag_seconds =
        static_cast<double>(std::max<int64_t>(0, clock_.UnixMicros() - *oldest)) / 1e6;
  }
  return status;
}

void SinkReporter::PublishMetrics() {
  const SinkStatus status = Status();
  lag_records_.Set(status.lag_records ? std::optional<double>(*status.lag_records) : std::nullopt);
  lag_seconds_.Set(status.lag_seconds);
  call_seconds_.Set(status.call_seconds);
  waiting_records_.Set(static_cast<double>(status.waiting));
  in_flight_.Set(static_cast<double>(status.in_flight));
  stopped_tables_.Set(static_cast<double>(status.stopped_tables.size()));
  std::optional<double> oldest;
  if (status.oldest_stored_micros) {
    oldest = static_cast<double>(
                 std::max<int64_t>(0, clock_.UnixMicros() - *status.oldest_stored_micros)) /
             1e6;
  }
  oldest_dead_letter_seconds_.Set(oldest);
  std::optional<double> passed;
  bool counted = false;
  {
    MutexLock lock(mutex_);
    counted = dead_letters_counted_;
    if (last_passed_micros_) passed = static_cast<double>(*last_passed_micros_) / 1e6;
  }
  passed_timestamp_.Set(passed);
  if (counted) {  // until then nobody knows what an earlier process stored
    dead_stored_.Set(static_cast<double>(status.dead_stored));
    parked_stored_.Set(static_cast<double>(status.parked_stored));
  }
  for (const SinkState state : kAllStates) {
    state_[static_cast<size_t>(state)]->Set(state == status.state ? 1 : 0);
  }
}

}  // namespace tailwater
