// One receiver as the sink sees it: whether calls may go there, and what becomes of a change whose
// call came back.
//
// A circuit breaker: so many failures in a row, or one answer that says that nothing would succeed,
// open it; then nothing goes until a wait is over; then one call tries, and its success closes it.
// A call whose message failed before, while others were taken since, is that message's own trouble
// and says nothing about the endpoint. The same message does not try twice running while others
// wait, so one that always fails cannot keep the endpoint closed to the rest. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "tailwater/log.h"
#include "tailwater/metrics.h"
#include "tailwater/sink.h"
#include "webhook/clock.h"
#include "webhook/disposition.h"
#include "webhook/endpoint_url.h"
#include "webhook/retry_ledger.h"

namespace tailwater::webhook {

struct EndpointOptions {
  uint32_t failures = 5;                    // in a row, that open it
  std::chrono::milliseconds pause{30'000};  // longest wait before a call tries
  RetryLedger::Waits waits{std::chrono::seconds(1), std::chrono::minutes(5)};
  std::function<double()> random;  // uniform in [0, 1)
};

class Endpoint {
 public:
  // `label` names it in metrics and reasons.
  Endpoint(EndpointUrl url, std::string label, EndpointOptions options, Metrics& metrics,
           Logger logger);

  const std::string& url() const { return url_.text; }
  const std::string& label() const { return label_; }

  // Whether the message may be sent now; if not, the verdict for its change.
  std::optional<Verdict> Refuse(std::string_view id, TimePoint now);
  // The verdict for the change of a message that was sent.
  Verdict Settle(std::string_view id, const Judgement& judgement, TimePoint now);
  // A call tries whether the endpoint is back; there is no room for another.
  bool probing() const { return open_ && !probe_.empty(); }
  // What was sent will not come back.
  void CancelAll() { probe_.clear(); }

  void Count(const HttpAnswer& answer);

 private:
  // Why it is open.
  struct Trouble {
    std::string_view code;
    std::string reason;
    bool needs_operator = false;
  };
  void Open(Trouble trouble, TimePoint now);
  void Close();
  Verdict Unavailable(TimePoint now) const;
  Verdict Retry(const Judgement& judgement, uint32_t failures);

  const EndpointUrl url_;
  const std::string label_;
  const EndpointOptions options_;
  const Logger logger_;
  RetryLedger ledger_;

  bool open_ = false;
  TimePoint open_until_{};
  Trouble trouble_;
  uint32_t openings_ = 0;  // since it last took something
  std::string probe_;      // the message that tries; empty: none is under way
  std::string last_probe_;
  uint32_t turns_ = 0;  // that last_probe_ was passed over
  bool others_wait_ = false;
  std::optional<TimePoint> throttled_until_;
  uint32_t failures_ = 0;  // in a row
  uint64_t taken_ = 0;

  Gauge& circuit_open_;
  Counter* deliveries_[6];
  Histogram& duration_;
};

}  // namespace tailwater::webhook
