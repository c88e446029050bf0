#include "clickhouse/verdict_table.h"

#include <gmock/gmock.h>

#include <set>

namespace tailwater::clickhouse {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

HttpAnswer Answer(int status, std::string body) {
  HttpAnswer answer;
  answer.status = status;
  answer.body = std::move(body);
  return answer;
}

Judgement Of(int status, std::string body) { return Judge(Answer(status, body), "ch:8123", false); }

TEST(VerdictTableTest, NumbersStandOnceAndEachSaysWhatToDo) {
  std::set<int> numbers;
  for (const Rule& rule : Rules()) {
    EXPECT_TRUE(numbers.insert(rule.number).second) << rule.number;
    EXPECT_FALSE(rule.code.empty());
    EXPECT_FALSE(rule.advice.empty());
  }
}

TEST(VerdictTableTest, TheNumberIsFoundInEitherForm) {
  EXPECT_EQ(ErrorNumber("Code: 60. DB::Exception: Table default.t does not exist."), 60);
  EXPECT_EQ(ErrorNumber("Code: 252, e.displayText() = DB::Exception: Too many parts"), 252);
  EXPECT_EQ(ErrorNumber("\"Code: 241. DB::Exception: Memory\""), 241);
  EXPECT_EQ(ErrorNumber("nginx: Code: red"), 0);
  EXPECT_EQ(ErrorNumber(""), 0);
}

TEST(VerdictTableTest, TheServersCodeDecidesBeforeTheStatus) {
  EXPECT_EQ(Of(200, "").outcome, Outcome::kDone);
  EXPECT_EQ(Of(500, "Code: 252. DB::Exception: Too many parts (300).").outcome, Outcome::kRetry);
  EXPECT_GT(Of(500, "Code: 252. DB::Exception: Too many parts (300).").after.count(), 0);
  EXPECT_EQ(Of(404, "Code: 60. DB::Exception: x").outcome, Outcome::kChanged);
  EXPECT_EQ(Of(404, "Code: 81. DB::Exception: x").code, "clickhouse_database_missing");
  EXPECT_EQ(Of(500, "Code: 243. DB::Exception: x").outcome, Outcome::kNeedsOperator);
  EXPECT_EQ(Of(500, "Code: 469. DB::Exception: x").outcome, Outcome::kRow);
  EXPECT_EQ(Of(403, "Code: 516. DB::Exception: x").code, "clickhouse_credentials_refused");
}

TEST(VerdictTableTest, WhatIsNotKnownWaitsForAPersonWithItsName) {
  const Judgement judgement =
      Of(500, "Code: 9999. DB::Exception: Oh no. (NEW_TROUBLE) (version 30.1.1)");
  EXPECT_EQ(judgement.outcome, Outcome::kNeedsOperator);
  EXPECT_EQ(judgement.code, "clickhouse_error");
  EXPECT_THAT(judgement.reason, HasSubstr("9999 NEW_TROUBLE"));
}

TEST(VerdictTableTest, AnInsertIsDoneWhereTheServerSaysNothingAndIsClickHouse) {
  const auto of = [](int status, std::string body) {
    return JudgeInsert(Answer(status, std::move(body)), "ch:8123", false);
  };
  EXPECT_TRUE(of(200, "").good());
  const Judgement page = of(200, "<html>We are back soon</html>");
  EXPECT_EQ(page.outcome, Outcome::kNeedsOperator);
  EXPECT_EQ(page.code, "clickhouse_wrong_server");
  EXPECT_TRUE(page.unknown) << "it is the same insert again";
  EXPECT_THAT(page.reason, Not(HasSubstr("back soon")));
  EXPECT_EQ(of(204, "").code, "clickhouse_wrong_server");
  const Judgement late = of(200, "Code: 241. DB::Exception: Memory limit exceeded");
  EXPECT_EQ(late.outcome, Outcome::kRetry);
  EXPECT_EQ(late.number, 241);
  EXPECT_EQ(of(503, "try later").outcome, Outcome::kRetry);
}

TEST(VerdictTableTest, AnswersOfOthersGoByStatus) {
  EXPECT_EQ(Of(503, "try later").outcome, Outcome::kRetry);
  EXPECT_TRUE(Of(502, "").unknown);
  EXPECT_EQ(Of(429, "").outcome, Outcome::kRetry);
  EXPECT_EQ(Of(401, "").code, "clickhouse_credentials_refused");
  EXPECT_EQ(Of(413, "").code, "clickhouse_request_too_large");
  EXPECT_EQ(Of(301, "").code, "clickhouse_wrong_server");
}

TEST(VerdictTableTest, WithoutAnAnswerTheOutcomeMayBeUnknown) {
  HttpAnswer answer;
  answer.code = "http_timeout";
  EXPECT_TRUE(Judge(answer, "ch", false).unknown);
  EXPECT_EQ(Judge(answer, "ch", false).outcome, Outcome::kRetry);
  answer.code = "http_connect_failed";
  EXPECT_FALSE(Judge(answer, "ch", false).unknown);
  answer.code = "http_tls_failed";
  EXPECT_EQ(Judge(answer, "ch", false).outcome, Outcome::kNeedsOperator);
}

TEST(VerdictTableTest, RowValuesAreNotRepeated) {
  const std::string body = "Code: 117. DB::Exception: cannot read 'secret'";
  EXPECT_THAT(Of(400, body).reason, Not(HasSubstr("secret")));
  EXPECT_THAT(Judge(Answer(400, body), "ch", true).reason, HasSubstr("secret"));
}

}  // namespace
}  // namespace tailwater::clickhouse
