#include "webhook/disposition.h"

#include <algorithm>

#include "support/text.h"

namespace tailwater::webhook {
namespace {

using Kind = Judgement::Kind;

bool Contains(const std::vector<int>& list, int status) {
  return std::find(list.begin(), list.end(), status) != list.end();
}

std::string_view RefusedCode(int status) {
  switch (status) {
    case 400:
      return "webhook_rejected_400";
    case 409:
      return "webhook_rejected_409";
    case 413:
      return "webhook_rejected_413";
    case 415:
      return "webhook_rejected_415";
    case 422:
      return "webhook_rejected_422";
    default:
      return "webhook_rejected";
  }
}

Judgement Refused(int status, std::string_view label) {
  return {Kind::kRefused, RefusedCode(status),
          fmt::format("{} answered {}: it will not take this change; replay it once the receiver "
                      "was mended",
                      label, status)};
}

Judgement Failed(int status, std::string_view label) {
  std::string_view code = "webhook_server_error";
  if (status == 408) code = "webhook_status_408";
  if (status == 425) code = "webhook_status_425";
  if (status == 429) code = "webhook_throttled";
  if (status < 500 && code == "webhook_server_error") code = "webhook_status_retried";
  return {Kind::kFailed, code, fmt::format("{} answered {}", label, status)};
}

// What a person has to look at.
Judgement NeedsOperator(int status, std::string_view label) {
  Judgement judgement{Kind::kDown, "webhook_not_found", {}, {}, true, true};
  std::string_view advice = "check the path of the url";
  if (status >= 300 && status < 400) {
    judgement.code = "webhook_redirect";
    judgement.maybe_the_change = false;
    advice = "redirects are never followed; write the url that it redirects to";
  } else if (status == 401 || status == 403 || status == 407) {
    judgement.code = "webhook_unauthorized";
    advice = "check secret, bearer_token, headers and what the receiver expects of them";
  } else if (status == 405) {
    advice = "the url takes no POST; check its path";
  } else if (status == 410) {
    judgement.code = "webhook_gone";
    advice = "the endpoint says that it is gone for good; change the url, or remove the sink";
  }
  judgement.reason = fmt::format("{} answered {}: {}", label, status, advice);
  return judgement;
}

Judgement NoReply(const HttpAnswer& answer) {
  Judgement judgement{Kind::kFailed, answer.code, answer.failure};
  if (answer.code == "http_timeout" || answer.code == "http_reset" ||
      answer.code == "http_reply_malformed") {
    return judgement;
  }
  judgement.kind = Kind::kDown;
  judgement.needs_operator =
      answer.code != "http_connect_failed" && answer.code != "http_name_unknown";
  return judgement;
}

}  // namespace

Judgement Judge(const HttpAnswer& answer, const StatusRules& rules, std::string_view label) {
  if (!answer.code.empty()) return NoReply(answer);
  const int status = answer.status;
  if (status >= 200 && status < 300) return {};
  if (Contains(rules.reject, status)) return Refused(status, label);
  const bool may_throttle = status == 429 || status == 503;
  if (may_throttle && answer.retry_after) {
    return {Kind::kThrottled, "webhook_throttled",
            fmt::format("{} answered {} and asks to wait {} s", label, status,
                        std::chrono::ceil<std::chrono::seconds>(*answer.retry_after).count()),
            answer.retry_after};
  }
  if (Contains(rules.retry, status)) return Failed(status, label);
  switch (status) {
    case 408:
    case 425:
    case 429:
      return Failed(status, label);
    case 401:
    case 403:
    case 404:
    case 405:
    case 407:
    case 410:
      return NeedsOperator(status, label);
    default:
      break;
  }
  if (status >= 300 && status < 400) return NeedsOperator(status, label);
  if (status >= 400 && status < 500) return Refused(status, label);
  return Failed(status, label);
}

std::string_view StatusClass(const HttpAnswer& answer) {
  if (!answer.code.empty()) return "none";
  constexpr std::string_view kClasses[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
  const int index = answer.status / 100;
  return index >= 1 && index <= 5 ? kClasses[index] : "none";
}

}  // namespace tailwater::webhook
