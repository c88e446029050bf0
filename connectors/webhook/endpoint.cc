#include "webhook/endpoint.h"

#include <algorithm>

#include "support/text.h"

namespace tailwater::webhook {
namespace {

using std::chrono::milliseconds;

// While a call tries, others ask again soon: it may come back at any moment.
constexpr milliseconds kWhileProbing{250};
// The same message is passed over so often at most; then it tries, whoever else waits.
constexpr uint32_t kTurns = 3;
constexpr milliseconds kLongestThrottle = std::chrono::hours(1);

constexpr std::string_view kClasses[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

milliseconds Until(TimePoint time, TimePoint now) {
  return std::max(milliseconds(1), std::chrono::ceil<milliseconds>(time - now));
}

}  // namespace

Endpoint::Endpoint(EndpointUrl url, std::string label, EndpointOptions options, Metrics& metrics,
                   Logger logger)
    : url_(std::move(url)),
      label_(std::move(label)),
      options_(std::move(options)),
      logger_(std::move(logger)),
      ledger_(options_.waits, options_.random),
      circuit_open_(metrics.GetGauge("tailwater_sink_circuit_open",
                                     "1 while nothing but a trial call goes to the endpoint.",
                                     {{"endpoint", label_}})),
      duration_(metrics.GetHistogram("tailwater_webhook_request_duration_seconds",
                                     "Time from a call's begin to the end of its reply.",
                                     {{"endpoint", label_}})) {
  circuit_open_.Set(0);
  for (size_t i = 0; i < std::size(kClasses); ++i) {
    deliveries_[i] = &metrics.GetCounter(
        "tailwater_webhook_deliveries_total", "Calls made, by class of the answer's status.",
        {{"endpoint", label_}, {"status_class", std::string(kClasses[i])}});
  }
}

void Endpoint::Count(const HttpAnswer& answer) {
  const auto* const found =
      std::find(std::begin(kClasses), std::end(kClasses), StatusClass(answer));
  deliveries_[found - std::begin(kClasses)]->Add();
  duration_.Observe(std::chrono::duration<double>(answer.duration).count());
}

Verdict Endpoint::Unavailable(TimePoint now) const {
  const milliseconds after = now < open_until_ ? Until(open_until_, now) : kWhileProbing;
  return Verdict::Unavailable(trouble_.code, trouble_.reason, after, trouble_.needs_operator);
}

std::optional<Verdict> Endpoint::Refuse(std::string_view id, TimePoint now) {
  if (throttled_until_ && now < *throttled_until_) {
    return Verdict::Unavailable("webhook_throttled",
                                fmt::format("{} asked to wait before the next call", label_),
                                Until(*throttled_until_, now));
  }
  throttled_until_.reset();
  if (!open_) return std::nullopt;
  if (now < open_until_ || !probe_.empty()) {
    if (id != last_probe_) others_wait_ = true;
    return Unavailable(now);
  }
  if (id == last_probe_ && others_wait_ && turns_ < kTurns) {
    ++turns_;
    return Unavailable(now);
  }
  probe_ = last_probe_ = id;
  turns_ = 0;
  others_wait_ = false;
  return std::nullopt;
}

void Endpoint::Open(Trouble trouble, TimePoint now) {
  const auto growth = std::min(openings_, 20u);
  milliseconds wait = std::min(options_.pause, options_.waits.initial * (1u << growth));
  if (trouble.needs_operator) wait = options_.pause;
  open_until_ = now + wait;
  open_ = true;
  if (++openings_ == 1) {
    logger_.Warn("endpoint is left alone",
                 {{"endpoint", label_}, {"code", trouble.code}, {"reason", trouble.reason}});
  }
  trouble_ = std::move(trouble);
  circuit_open_.Set(1);
}

void Endpoint::Close() {
  if (open_) logger_.Info("endpoint answers again", {{"endpoint", label_}});
  open_ = false;
  openings_ = 0;
  failures_ = 0;
  probe_.clear();
  last_probe_.clear();
  others_wait_ = false;
  circuit_open_.Set(0);
}

Verdict Endpoint::Retry(const Judgement& judgement, uint32_t failures) {
  return Verdict::Retry(judgement.code, judgement.reason, ledger_.Wait(failures));
}

Verdict Endpoint::Settle(std::string_view id, const Judgement& judgement, TimePoint now) {
  using Kind = Judgement::Kind;
  const bool was_probe = !probe_.empty() && probe_ == id;
  if (was_probe) probe_.clear();
  if (judgement.kind == Kind::kTaken || judgement.kind == Kind::kRefused) {
    if (judgement.kind == Kind::kTaken) ++taken_;
    ledger_.Forget(id);
    Close();
    if (judgement.kind == Kind::kTaken) return Verdict::Applied();
    return Verdict::Rejected(judgement.code, judgement.reason);
  }
  if (judgement.kind == Kind::kThrottled) {
    // "Now" is no time to wait, and would be answered with the next refusal.
    const milliseconds after =
        std::min(std::max(*judgement.after, options_.waits.initial), kLongestThrottle);
    throttled_until_ = now + after;
    if (was_probe) Close();
    return Verdict::Unavailable(judgement.code, judgement.reason, after);
  }
  const bool about_the_message = judgement.kind == Kind::kFailed || judgement.maybe_the_change;
  const RetryLedger::Entry entry =
      about_the_message ? ledger_.Fail(id, taken_) : RetryLedger::Entry{1, taken_};
  if (taken_ > entry.taken_before) return Retry(judgement, entry.failures);

  const bool opens = judgement.kind == Kind::kDown || ++failures_ >= options_.failures || was_probe;
  if (opens && (!open_ || was_probe)) {
    Open({judgement.code, judgement.reason, judgement.needs_operator}, now);
  }
  return open_ ? Unavailable(now) : Retry(judgement, entry.failures);
}

}  // namespace tailwater::webhook
