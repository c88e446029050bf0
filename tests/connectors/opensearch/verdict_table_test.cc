#include "opensearch/verdict_table.h"

#include <gmock/gmock.h>

#include <set>

#include "opensearch/bulk_writer.h"

namespace tailwater::opensearch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Case {
  Action action;
  int status;
  std::string type;
  Outcome outcome;
  std::string_view code;
};

// One for each row of the table, in its order.
const std::vector<Case>& Cases() {
  static const std::vector<Case> kCases = {
      {Action::kIndex, 201, "", Outcome::kApplied, ""},
      {Action::kDelete, 404, "", Outcome::kApplied, ""},
      {Action::kIndex, 409, "version_conflict_engine_exception", Outcome::kSuperseded, ""},
      {Action::kIndex, 429, "rejected_execution_exception", Outcome::kThrottled,
       "opensearch_overloaded"},
      {Action::kIndex, 429, "es_rejected_execution_exception", Outcome::kThrottled,
       "opensearch_overloaded"},
      {Action::kIndex, 500, "circuit_breaking_exception", Outcome::kThrottled,
       "opensearch_overloaded"},
      {Action::kIndex, 503, "cluster_block_exception", Outcome::kUnavailable,
       "opensearch_unavailable"},
      {Action::kDelete, 429, "cluster_block_exception", Outcome::kNeedsOperator,
       "opensearch_index_read_only"},
      {Action::kIndex, 503, "unavailable_shards_exception", Outcome::kUnavailable,
       "opensearch_unavailable"},
      {Action::kIndex, 503, "no_shard_available_action_exception", Outcome::kUnavailable,
       "opensearch_unavailable"},
      {Action::kIndex, 404, "index_not_found_exception", Outcome::kIndexMissing,
       "opensearch_index_missing"},
      {Action::kIndex, 400, "index_closed_exception", Outcome::kNeedsOperator,
       "opensearch_index_closed"},
      {Action::kIndex, 400, "invalid_index_name_exception", Outcome::kNeedsOperator,
       "opensearch_index_name"},
      {Action::kIndex, 400, "invalid_alias_name_exception", Outcome::kNeedsOperator,
       "opensearch_index_name"},
      {Action::kIndex, 400, "mapper_parsing_exception", Outcome::kRejected,
       "opensearch_document_refused"},
      {Action::kIndex, 400, "document_parsing_exception", Outcome::kRejected,
       "opensearch_document_refused"},
      {Action::kIndex, 400, "strict_dynamic_mapping_exception", Outcome::kRejected,
       "opensearch_document_refused"},
      {Action::kIndex, 400, "illegal_argument_exception", Outcome::kRejected,
       "opensearch_document_refused"},
      {Action::kIndex, 400, "something_new_exception", Outcome::kRejected,
       "opensearch_document_refused"},
      {Action::kIndex, 401, "security_exception", Outcome::kNeedsOperator,
       "opensearch_credentials_refused"},
      {Action::kIndex, 403, "security_exception", Outcome::kNeedsOperator,
       "opensearch_permission_missing"},
      {Action::kIndex, 408, "", Outcome::kUnavailable, "opensearch_unavailable"},
      {Action::kIndex, 413, "", Outcome::kTooLarge, "opensearch_document_too_large"},
      {Action::kIndex, 429, "", Outcome::kThrottled, "opensearch_overloaded"},
      {Action::kIndex, 404, "", Outcome::kNeedsOperator, "opensearch_request_refused"},
      {Action::kIndex, 502, "whatever_exception", Outcome::kUnavailable, "opensearch_unavailable"},
      {Action::kIndex, 0, "", Outcome::kUnavailable, "opensearch_answer_unknown"}};
  return kCases;
}

TEST(VerdictTableTest, EveryRowIsMet) {
  const auto rules = Rules();
  ASSERT_EQ(Cases().size(), rules.size());
  for (size_t i = 0; i < Cases().size(); ++i) {
    const Case& one = Cases()[i];
    const Rule& rule = FindRule(one.action, one.status, one.type);
    EXPECT_EQ(&rule, &rules[i]) << one.status << ' ' << one.type;
    EXPECT_EQ(rule.outcome, one.outcome) << one.status << ' ' << one.type;
    EXPECT_EQ(rule.code, one.code) << one.status << ' ' << one.type;
    EXPECT_EQ(rule.advice.empty(), rule.code.empty());
  }
}

TEST(VerdictTableTest, ADeleteThatFindsNoIndexIsNoSuccess) {
  EXPECT_EQ(FindRule(Action::kDelete, 404, "index_not_found_exception").outcome,
            Outcome::kIndexMissing);
}

TEST(VerdictTableTest, ReasonsNameFieldsAndNoValues) {
  const auto reason = [](std::string_view type, std::string_view text) {
    return JudgeItem(Action::kIndex, 400, type, text).reason;
  };
  const std::string parsing = reason("mapper_parsing_exception",
                                     "failed to parse field [price] of type [long] in document "
                                     "with id 'shop:t:secret'. Preview of "
                                     "field's value: 'secret'");
  EXPECT_THAT(parsing, HasSubstr("field [price] of type [long]"));
  EXPECT_THAT(parsing, Not(HasSubstr("secret")));
  EXPECT_THAT(reason("strict_dynamic_mapping_exception",
                     "mapping set to strict, dynamic introduction of [colour] within [_doc] is not "
                     "allowed"),
              HasSubstr("has no field [colour]"));
  const std::string term = reason("illegal_argument_exception",
                                  "Document contains at least one immense term in field=\"note\" "
                                  "(whose UTF8 encoding …) the prefix is: '[115, 101, 99]'");
  EXPECT_THAT(term, HasSubstr("field [note] is too long"));
  EXPECT_THAT(term, Not(HasSubstr("115")));
}

TEST(VerdictTableTest, AnswersOfTheRequestAsAWhole) {
  HttpAnswer answer;
  answer.status = 401;
  answer.body = "Unauthorized";  // the security plugin's own words
  EXPECT_EQ(JudgeAnswer(answer, "node:9200").code, "opensearch_credentials_refused");
  EXPECT_THAT(JudgeAnswer(answer, "node:9200").reason, HasSubstr("node:9200 answered 401"));
  answer.status = 200;
  EXPECT_TRUE(JudgeAnswer(answer, "node").good());
  answer.body_cut = true;
  EXPECT_EQ(JudgeAnswer(answer, "node").outcome, Outcome::kUnavailable);
  for (const auto& [code, outcome] : {std::pair{"http_timeout", Outcome::kUnavailable},
                                      {"http_reset", Outcome::kUnavailable},
                                      {"http_connect_failed", Outcome::kUnavailable},
                                      {"http_reply_malformed", Outcome::kUnavailable},
                                      {"http_tls_failed", Outcome::kNeedsOperator},
                                      {"http_certificate_unreadable", Outcome::kNeedsOperator}}) {
    HttpAnswer none;
    none.code = code;
    none.failure = "why";
    EXPECT_EQ(JudgeAnswer(none, "node").outcome, outcome) << code;
    EXPECT_EQ(JudgeAnswer(none, "node").code, code);
  }
  answer = {};
  answer.status = 400;
  answer.body = R"({"error":{"type":"illegal_argument_exception","reason":"unknown setting [x]"}})";
  const Judgement refused = JudgeAdministration(answer, "node");
  EXPECT_EQ(refused.outcome, Outcome::kNeedsOperator);
  EXPECT_THAT(refused.reason, HasSubstr("unknown setting [x]"));
}

TEST(BulkAnswerTest, IsReadItemByItemWhateverErrorsSays) {
  const BulkOperation index{Action::kIndex, ""}, gone{Action::kDelete, ""};
  const std::vector<const BulkOperation*> sent = {&index, &gone, &index, &index};
  const auto judged = ReadBulkAnswer(
      R"({"took":3,"errors":false,"items":[{"index":{"_id":"1","status":201}},)"
      R"({"delete":{"status":404,"result":"not_found"}},)"
      R"({"index":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"x"}}},)"
      R"({"index":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed"}}}]})",
      sent);
  ASSERT_TRUE(judged.has_value());
  std::vector<Outcome> outcomes;
  for (const Judgement& judgement : *judged) outcomes.push_back(judgement.outcome);
  EXPECT_THAT(outcomes, ::testing::ElementsAre(Outcome::kApplied, Outcome::kApplied,
                                               Outcome::kSuperseded, Outcome::kRejected));
}

TEST(BulkAnswerTest, AnAnswerAboutSomethingElseIsNone) {
  const BulkOperation index{Action::kIndex, ""};
  const std::vector<const BulkOperation*> sent = {&index};
  for (const std::string body :
       {"", "{}", "[]", R"({"items":[]})", R"({"items":[{"index":{"status":201}})",
        R"({"items":[{"index":{}}]})", R"({"items":{"index":{"status":201}}})",
        R"({"items":[{"index":{"status":201}},{"index":{"status":201}}]})",
        R"({"items":[{"index":{"status":"ok"}}]})"}) {
    EXPECT_FALSE(ReadBulkAnswer(body, sent).has_value()) << body;
  }
}

}  // namespace
}  // namespace tailwater::opensearch
