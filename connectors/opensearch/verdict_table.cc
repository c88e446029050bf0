#include "opensearch/verdict_table.h"

#include <utility>

#include "opensearch/json_view.h"
#include "support/text.h"

namespace tailwater::opensearch {
namespace {

constexpr std::string_view kOverloaded = "opensearch_overloaded";
constexpr std::string_view kUnavailableCode = "opensearch_unavailable";
constexpr std::string_view kReadOnly = "opensearch_index_read_only";
constexpr std::string_view kRefused = "opensearch_document_refused";

constexpr std::string_view kSlower = "it asks for fewer documents at a time";
constexpr std::string_view kComesAgain = "it is tried again";
constexpr std::string_view kUnfit = "the index does not take the document";

constexpr Rule kRules[] = {
    {Action::kAny, 200, 299, "*", Outcome::kApplied, "", ""},
    {Action::kDelete, 404, 404, "", Outcome::kApplied, "", ""},  // it is gone already
    {Action::kAny, 409, 409, "version_conflict_engine_exception", Outcome::kSuperseded, "", ""},
    {Action::kAny, 0, 599, "rejected_execution_exception", Outcome::kThrottled, kOverloaded,
     kSlower},
    {Action::kAny, 0, 599, "es_rejected_execution_exception", Outcome::kThrottled, kOverloaded,
     kSlower},
    {Action::kAny, 0, 599, "circuit_breaking_exception", Outcome::kThrottled, kOverloaded, kSlower},
    {Action::kAny, 503, 503, "cluster_block_exception", Outcome::kUnavailable, kUnavailableCode,
     kComesAgain},
    // 403, and 429 where the disk's flood stage was reached.
    {Action::kAny, 0, 599, "cluster_block_exception", Outcome::kNeedsOperator, kReadOnly,
     "the index takes no writes: make room on the disks if they are full, and remove the block "
     "with PUT <index>/_settings {\"index.blocks.read_only_allow_delete\": null, "
     "\"index.blocks.read_only\": null, \"index.blocks.write\": null}"},
    {Action::kAny, 0, 599, "unavailable_shards_exception", Outcome::kUnavailable, kUnavailableCode,
     kComesAgain},
    {Action::kAny, 0, 599, "no_shard_available_action_exception", Outcome::kUnavailable,
     kUnavailableCode, kComesAgain},
    {Action::kAny, 0, 599, "index_not_found_exception", Outcome::kIndexMissing,
     "opensearch_index_missing",
     "the index is not there: create it, or let the sink do it with create: true"},
    {Action::kAny, 0, 599, "index_closed_exception", Outcome::kNeedsOperator,
     "opensearch_index_closed", "the index is closed: open it with POST <index>/_open"},
    {Action::kAny, 0, 599, "invalid_index_name_exception", Outcome::kNeedsOperator,
     "opensearch_index_name", "the server refuses the name of the index: choose another `index`"},
    {Action::kAny, 0, 599, "invalid_alias_name_exception", Outcome::kNeedsOperator,
     "opensearch_index_name", "the server refuses the name of the alias: choose another `alias`"},
    {Action::kAny, 400, 400, "mapper_parsing_exception", Outcome::kRejected, kRefused, kUnfit},
    {Action::kAny, 400, 400, "document_parsing_exception", Outcome::kRejected, kRefused, kUnfit},
    {Action::kAny, 400, 400, "strict_dynamic_mapping_exception", Outcome::kRejected, kRefused,
     kUnfit},
    {Action::kAny, 400, 400, "illegal_argument_exception", Outcome::kRejected, kRefused, kUnfit},
    {Action::kAny, 400, 400, "*", Outcome::kRejected, kRefused, kUnfit},
    {Action::kAny, 401, 401, "*", Outcome::kNeedsOperator, "opensearch_credentials_refused",
     "it does not accept the credentials: check username and password, api_key or bearer_token"},
    {Action::kAny, 403, 403, "*", Outcome::kNeedsOperator, "opensearch_permission_missing",
     "the user may not do this: grant it cluster:monitor/main, and read, write, create_index and "
     "manage on the indices of the sink"},
    {Action::kAny, 408, 408, "*", Outcome::kUnavailable, kUnavailableCode, kComesAgain},
    {Action::kAny, 413, 413, "*", Outcome::kTooLarge, "opensearch_document_too_large",
     "the document is larger than the server takes: raise http.max_content_length, or leave "
     "columns out with fields: {exclude: […]}"},
    {Action::kAny, 429, 429, "*", Outcome::kThrottled, kOverloaded, kSlower},
    {Action::kAny, 300, 499, "*", Outcome::kNeedsOperator, "opensearch_request_refused",
     "this is no answer of a search server: check what `url` leads to"},
    {Action::kAny, 500, 599, "*", Outcome::kUnavailable, kUnavailableCode, kComesAgain},
    {Action::kAny, 0, 999, "*", Outcome::kUnavailable, "opensearch_answer_unknown",
     "it is tried again"},
};

bool Fits(const Rule& rule, Action action, int status, std::string_view type) {
  return (rule.action == Action::kAny || rule.action == action) && status >= rule.least_status &&
         status <= rule.most_status && (rule.type == "*" || rule.type == type);
}

// What stands between the brackets behind `before`: names of fields and types only.
std::string_view Bracketed(std::string_view text, std::string_view before, char close) {
  const size_t at = text.find(before);
  if (at == text.npos) return {};
  text.remove_prefix(at + before.size());
  const size_t end = text.find(close);
  return end == text.npos || end > 300 ? std::string_view() : text.substr(0, end);
}

// The parts of the server's words that name the field, never the value.
std::string WhatFailed(std::string_view type, std::string_view reason) {
  std::string text(type);
  if (const auto field = Bracketed(reason, "field [", ']'); !field.empty()) {
    text += fmt::format(", field [{}]", field);
    if (const auto of = Bracketed(reason, "of type [", ']'); !of.empty()) {
      text += fmt::format(" of type [{}]", of);
    }
  } else if (const auto added = Bracketed(reason, "dynamic introduction of [", ']');
             !added.empty()) {
    text += fmt::format(", the mapping is strict and has no field [{}]", added);
  } else if (const auto object = Bracketed(reason, "object mapping for [", ']'); !object.empty()) {
    text += fmt::format(", field [{}] is an object in the mapping and a value here", object);
  } else if (const auto limit = Bracketed(reason, "Limit of total fields [", ']'); !limit.empty()) {
    text += fmt::format(", the index may have {} fields only", limit);
  } else if (const auto term = Bracketed(reason, "immense term in field=\"", '"'); !term.empty()) {
    text += fmt::format(", the value of field [{}] is too long for its type", term);
  }
  return text;
}

struct ServerError {
  std::string type;
  std::string reason;
};

ServerError ErrorOf(const HttpAnswer& answer) {
  const auto body = JsonView::Parse(answer.body);
  if (!body) return {};
  const auto error = body->Find("error");
  if (!error) return {};
  if (error->is_string()) return {"", error->Text()};
  const auto type = error->Find("type");
  const auto reason = error->Find("reason");
  return {type ? type->Text() : "", reason ? reason->Text() : ""};
}

Judgement NoReply(const HttpAnswer& answer) {
  Judgement judgement{Outcome::kUnavailable, answer.code, answer.failure, answer.retry_after};
  if (answer.code == "http_tls_failed" || answer.code == "http_certificate_unreadable" ||
      answer.code == "http_url_invalid" || answer.code == "http_header_invalid" ||
      answer.code == "http_address_refused") {
    judgement.outcome = Outcome::kNeedsOperator;
  }
  return judgement;
}

Judgement Judge(const HttpAnswer& answer, std::string_view label, bool quote) {
  if (!answer.code.empty()) return NoReply(answer);
  if (answer.body_cut) {
    return {Outcome::kUnavailable,
            "opensearch_answer_cut",
            fmt::format("{} sent an answer that is too long; it is tried again", label),
            {}};
  }
  const bool success = answer.status >= 200 && answer.status < 300;
  const ServerError error = success ? ServerError() : ErrorOf(answer);
  const Rule& rule = FindRule(Action::kAny, answer.status, error.type);
  if (rule.outcome == Outcome::kApplied) return {};
  std::string what = quote && !error.reason.empty()
                         ? fmt::format("{} ({})", error.type, error.reason.substr(0, 500))
                         : WhatFailed(error.type, error.reason);
  return {rule.outcome, rule.code,
          fmt::format("{} answered {}{}{}: {}", label, answer.status, what.empty() ? "" : " ", what,
                      rule.advice),
          answer.retry_after};
}

}  // namespace

std::span<const Rule> Rules() { return kRules; }

const Rule& FindRule(Action action, int status, std::string_view type) {
  for (const Rule& rule : kRules) {
    if (Fits(rule, action, status, type)) return rule;
  }
  return kRules[std::size(kRules) - 1];
}

Judgement JudgeItem(Action action, int status, std::string_view type, std::string_view reason) {
  const Rule& rule = FindRule(action, status, type);
  if (rule.code.empty()) return {rule.outcome, {}, {}, {}};
  return {rule.outcome,
          rule.code,
          fmt::format("{}: {} {}", rule.advice, status, WhatFailed(type, reason)),
          {}};
}

Judgement JudgeAnswer(const HttpAnswer& answer, std::string_view label) {
  return Judge(answer, label, false);
}

Judgement JudgeAdministration(const HttpAnswer& answer, std::string_view label) {
  Judgement judgement = Judge(answer, label, true);
  if (judgement.outcome == Outcome::kRejected || judgement.outcome == Outcome::kTooLarge) {
    judgement.outcome = Outcome::kNeedsOperator;
    judgement.code = "opensearch_index_refused";
  }
  return judgement;
}

Error ToError(const Judgement& judgement) {
  const bool operator_needed =
      judgement.outcome == Outcome::kNeedsOperator || judgement.outcome == Outcome::kIndexMissing;
  return {operator_needed ? Disposition::kNeedsOperator : Disposition::kRetry, judgement.code,
          judgement.reason};
}

Verdict ToVerdict(const Judgement& judgement) {
  switch (judgement.outcome) {
    case Outcome::kApplied:
      return Verdict::Applied();
    case Outcome::kSuperseded:
      return Verdict::Superseded();
    case Outcome::kRejected:
    case Outcome::kTooLarge:
      return Verdict::Rejected(judgement.code, judgement.reason);
    case Outcome::kThrottled:
    case Outcome::kUnavailable:
    case Outcome::kIndexMissing:
    case Outcome::kNeedsOperator:
      break;
  }
  return Verdict::Unavailable(
      judgement.code, judgement.reason,
      judgement.retry_after.value_or(std::chrono::milliseconds(0)),
      judgement.outcome == Outcome::kNeedsOperator || judgement.outcome == Outcome::kIndexMissing);
}

}  // namespace tailwater::opensearch
