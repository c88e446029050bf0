#include "pipeline/source_reporter.h"

#include <algorithm>
#include <utility>

namespace tailwater {
namespace {

// How long a proof of having caught up is believed: a few of the server's keepalive intervals.
constexpr std::chrono::seconds kProofLifetime{30};
// A transaction that arrives this soon after its commit proves the same: the log comes in order.
constexpr int64_t kFreshMicros = 5'000'000;

}  // namespace

std::string_view SourceStateName(SourceState state) {
  switch (state) {
    case SourceState::kStarting:
      return "starting";
    case SourceState::kStreaming:
      return "streaming";
    case SourceState::kRetrying:
      return "retrying";
    case SourceState::kNeedsOperator:
      return "needs_operator";
    case SourceState::kGap:
      return "gap";
    case SourceState::kFailed:
      return "failed";
    case SourceState::kStopped:
      return "stopped";
  }
  return "unknown";
}

SourceReporter::SourceReporter(std::string name, std::string type, Metrics& metrics,
                               const Clock& clock)
    : type_(std::move(type)),
      metrics_(metrics),
      clock_(clock),
      transactions_total_(metrics.GetCounter("tailwater_source_transactions_total",
                                             "Transactions taken from the source.")),
      reconnects_total_(metrics.GetCounter("tailwater_source_reconnects_total",
                                           "Times that the source was started again.")),
      records_total_(metrics.GetCounter("tailwater_producer_records_total",
                                        "Records durable in the topic, control copies included.")),
      bytes_total_(metrics.GetCounter("tailwater_producer_bytes_total",
                                      "Bytes durable in the topic, before compression.")),
      open_transaction_bytes_(metrics.GetGauge(
          "tailwater_source_open_transaction_bytes",
          "Published bytes of a large transaction whose end has not been read yet.")),
      connected_(metrics.GetGauge("tailwater_source_connected",
                                  "1 while the source's session with its server streams.")),
      lag_seconds_(metrics.GetGauge("tailwater_source_lag_seconds",
                                    "Age of the oldest commit that is not durable in the topic; 0 "
                                    "only when proven caught up.")),
      checkpoint_timestamp_(metrics.GetGauge("tailwater_checkpoint_timestamp_seconds",
                                             "When the last durable checkpoint was made.")),
      publish_seconds_(
          metrics.GetHistogram("tailwater_producer_transaction_duration_seconds",
                               "From handing a batch to the topic until it is durable.")) {
  for (size_t i = 1; i < std::tuple_size_v<OperationCounts>; ++i) {
    const auto operation = static_cast<Operation>(i);
    if (operation == Operation::kSchema || operation == Operation::kFrontier) continue;
    events_total_[i] =
        &metrics.GetCounter("tailwater_source_events_total", "Changes taken from the source.",
                            {{"op", std::string(OperationName(operation))}});
  }
  for (size_t i = 0; i < kStates; ++i) {
    state_[i] =
        &metrics.GetGauge("tailwater_source_state", "1 for the state that the source is in.",
                          {{"state", std::string(SourceStateName(static_cast<SourceState>(i)))}});
  }
  MutexLock lock(mutex_);
  status_.name = std::move(name);
  status_.type = type_;
  status_.since_micros = clock_.UnixMicros();
}

void SourceReporter::Enter(SourceState state) {
  MutexLock lock(mutex_);
  if (status_.state == state && status_.code.empty()) return;
  status_.state = state;
  status_.since_micros = clock_.UnixMicros();
  status_.code.clear();
  status_.message.clear();
  status_.next_retry_micros.reset();
}

void SourceReporter::Enter(SourceState state, const Error& error,
                           std::optional<std::chrono::milliseconds> retry_in) {
  metrics_
      .GetCounter("tailwater_errors_total",
                  "Errors by component, code and what is done about them.",
                  {{"component", "source"},
                   {"code", std::string(error.code)},
                   {"disposition", std::string(DispositionName(error.disposition))}})
      .Add();
  MutexLock lock(mutex_);
  const int64_t now = clock_.UnixMicros();
  if (status_.state != state || status_.code != error.code) status_.since_micros = now;
  status_.state = state;
  status_.code = error.code;
  status_.message = error.message;
  status_.next_retry_micros.reset();
  if (retry_in) status_.next_retry_micros = now + retry_in->count() * 1000;
  proven_caught_up_.reset();
}

void SourceReporter::Restarted() {
  reconnects_total_.Add();
  MutexLock lock(mutex_);
  ++status_.reconnects;
}

void SourceReporter::GapFound(std::string_view code) {
  metrics_
      .GetCounter("tailwater_source_gaps_total",
                  "Times that the source's log no longer held what was needed, by code.",
                  {{"code", std::string(code)}})
      .Add();
}

void SourceReporter::Starting() {
  MutexLock lock(mutex_);
  status_.next_retry_micros.reset();
  if (status_.state != SourceState::kStopped) return;
  status_.state = SourceState::kStarting;
  status_.since_micros = clock_.UnixMicros();
}

void SourceReporter::BatchTaken(const Taken& taken, Clock::TimePoint now) {
  for (size_t i = 0; i < taken.events.size(); ++i) {
    if (taken.events[i] > 0 && events_total_[i] != nullptr) {
      events_total_[i]->Add(static_cast<double>(taken.events[i]));
    }
  }
  if (taken.transactions > 0) transactions_total_.Add(static_cast<double>(taken.transactions));
  MutexLock lock(mutex_);
  if (std::exchange(open_bytes_, taken.open_bytes) != taken.open_bytes) {
    open_transaction_bytes_.Set(static_cast<double>(taken.open_bytes));
  }
  for (size_t i = 0; i < events_.size(); ++i) events_[i] += taken.events[i];
  status_.transactions += taken.transactions;
  if (!taken.received.empty()) {
    if (!status_.received) status_.received.emplace();
    status_.received->text.assign(taken.received);
    if (taken.last_commit_micros != 0) status_.last_commit_micros = taken.last_commit_micros;
  }
  open_commit_micros_ = taken.open_commit_micros;
  in_flight_.push_back({taken.records, taken.bytes, taken.oldest_commit_micros, now});
  status_.in_flight_bytes += taken.bytes;
  if (taken.last_commit_micros != 0 &&
      clock_.UnixMicros() - taken.last_commit_micros < kFreshMicros) {
    proven_caught_up_ = now;
  }
}

void SourceReporter::ColumnsOmitted(std::string_view table, size_t columns) {
  metrics_
      .GetCounter("tailwater_source_omitted_columns_total",
                  "Columns left out of changes that were larger than the topic takes.",
                  {{"table", std::string(table)}})
      .Add(static_cast<double>(columns));
}

void SourceReporter::CaughtUp() {
  MutexLock lock(mutex_);
  proven_caught_up_ = clock_.Now();
}

void SourceReporter::BatchDurable() {
  InFlight batch;
  {
    MutexLock lock(mutex_);
    batch = in_flight_.front();
    in_flight_.pop_front();
    status_.in_flight_bytes -= batch.bytes;
    status_.records += batch.records;
  }
  records_total_.Add(static_cast<double>(batch.records));
  bytes_total_.Add(static_cast<double>(batch.bytes));
  publish_seconds_.Observe(std::chrono::duration<double>(clock_.Now() - batch.submitted).count());
}

void SourceReporter::ForgetInFlight() {
  open_transaction_bytes_.Set(0);
  MutexLock lock(mutex_);
  open_bytes_ = 0;
  in_flight_.clear();
  status_.in_flight_bytes = 0;
  open_commit_micros_ = 0;
}

std::optional<double> SourceReporter::LagSeconds() const {
  if (status_.state != SourceState::kStreaming) return std::nullopt;
  int64_t oldest = open_commit_micros_;
  for (const InFlight& batch : in_flight_) {
    if (batch.oldest_commit_micros == 0) continue;
    oldest =
        oldest == 0 ? batch.oldest_commit_micros : std::min(oldest, batch.oldest_commit_micros);
    break;  // they come in order
  }
  // The server's clock may be ahead of ours.
  if (oldest != 0) return std::max(0.0, static_cast<double>(clock_.UnixMicros() - oldest) / 1e6);
  if (in_flight_.empty() && proven_caught_up_ &&
      clock_.Now() - *proven_caught_up_ < kProofLifetime) {
    return 0;
  }
  return std::nullopt;
}

SourceStatus SourceReporter::GetStatus() const {
  MutexLock lock(mutex_);
  SourceStatus status = status_;
  status.lag_seconds = LagSeconds();
  for (size_t i = 0; i < events_.size(); ++i) {
    if (events_[i] > 0) {
      status.events[std::string(OperationName(static_cast<Operation>(i)))] = events_[i];
    }
  }
  return status;
}

void SourceReporter::UpdateGauges(int64_t checkpoint_saved_micros) {
  std::optional<double> lag;
  SourceState state;
  {
    MutexLock lock(mutex_);
    lag = LagSeconds();
    state = status_.state;
  }
  for (size_t i = 0; i < kStates; ++i) state_[i]->Set(static_cast<size_t>(state) == i ? 1.0 : 0.0);
  connected_.Set(state == SourceState::kStreaming ? 1.0 : 0.0);
  lag_seconds_.Set(lag);
  if (checkpoint_saved_micros > 0) {
    checkpoint_timestamp_.Set(static_cast<double>(checkpoint_saved_micros) / 1e6);
  }
}

}  // namespace tailwater
