// What an answer of the server means for a document, or for a request as a whole: one table, read
// from the top; the kind of error decides before the status does.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "support/http_client.h"
#include "tailwater/result.h"
#include "tailwater/sink.h"

namespace tailwater::opensearch {

enum class Outcome : uint8_t {
  kApplied,
  kSuperseded,     // the index holds something newer
  kRejected,       // this document can never be taken
  kTooLarge,       // send less at a time
  kThrottled,      // send less, and later
  kUnavailable,    // down, or nobody knows whether it was applied: the same again is harmless
  kIndexMissing,   // make it, or have it made
  kNeedsOperator,  // it will not heal alone
};

enum class Action : uint8_t { kAny, kIndex, kDelete };

struct Rule {
  Action action;
  int least_status;
  int most_status;
  std::string_view type;  // of the error; "*": any or none, "": none
  Outcome outcome;
  std::string_view code;    // empty if it is no trouble
  std::string_view advice;  // what it means, and what to do
};
// The last one fits everything.
std::span<const Rule> Rules();
const Rule& FindRule(Action action, int status, std::string_view type);

struct Judgement {
  Outcome outcome = Outcome::kApplied;
  std::string_view code;
  std::string reason;  // for people; without row values
  std::optional<std::chrono::milliseconds> retry_after;
  bool good() const { return outcome == Outcome::kApplied; }
};

// `reason` is the server's; it may quote row values and is not passed on whole.
Judgement JudgeItem(Action action, int status, std::string_view type, std::string_view reason);
// Of a request as a whole. `label` is the node that answered.
Judgement JudgeAnswer(const HttpAnswer& answer, std::string_view label);
// Of a request about indices, whose errors quote no rows: `reason` holds the server's own words.
Judgement JudgeAdministration(const HttpAnswer& answer, std::string_view label);

// Of what is no success: for the target as a whole.
Error ToError(const Judgement& judgement);
Verdict ToVerdict(const Judgement& judgement);

}  // namespace tailwater::opensearch
