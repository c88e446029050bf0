// What an answer means for the change that was sent, and for the endpoint.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/http_client.h"

namespace tailwater::webhook {

struct Judgement {
  enum class Kind : uint8_t {
    kTaken,      // 2xx
    kRefused,    // the change can never succeed: a dead letter
    kFailed,     // this call failed; the next may not
    kThrottled,  // the endpoint asks for time: nothing goes there before `after`
    kDown,       // nothing would succeed there now
  };
  Kind kind = Kind::kTaken;
  std::string_view code;  // static
  std::string reason;     // for people: host and port, status; never path, query, header or body
  std::optional<std::chrono::milliseconds> after;  // kThrottled
  bool needs_operator = false;                     // kDown
  // kDown: the answer may be about this change alone, for all that one can see from here.
  bool maybe_the_change = false;
};

// Lists of `statuses:`.
struct StatusRules {
  std::vector<int> reject;
  std::vector<int> retry;
};

//   2xx                        taken
//   408, 425, 429, 5xx         failed; with Retry-After (429, 503) throttled
//   3xx                        down: redirects are never followed
//   401, 403, 404, 405, 407,
//   410                        down: somebody must look at it
//   other 4xx                  refused
//   no reply: reset, timeout
//   after the connection,
//   not HTTP                   failed
//   no connection, no name,
//   no TLS, address refused    down
// `label` is the endpoint's host:port.
Judgement Judge(const HttpAnswer& answer, const StatusRules& rules, std::string_view label);

// "2xx" to "5xx", or "none": the metric label.
std::string_view StatusClass(const HttpAnswer& answer);

}  // namespace tailwater::webhook
