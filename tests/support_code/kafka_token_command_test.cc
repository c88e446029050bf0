#include <gtest/gtest.h>

#include "support/kafka/token_command.h"
#include "support/matchers.h"

namespace tailwater::kafka {
namespace {

using namespace std::chrono_literals;

Result<Token> RunShell(const std::string& script, std::chrono::milliseconds timeout = 30s) {
  return RunTokenCommand({"sh", "-c", script}, timeout, {});
}

TEST(KafkaTokenCommand, ReadsAToken) {
  const auto token =
      RunShell(R"(echo '{"access_token": "abc", "expires_in": 300, "principal": "tailwater"}')");
  ASSERT_OK(token);
  EXPECT_EQ(token->value, "abc");
  EXPECT_EQ(token->expires_in, 300s);
  EXPECT_EQ(token->principal, "tailwater");
}

TEST(KafkaTokenCommand, TakesThePrincipalFromAJsonWebToken) {
  // {"alg":"none"} . {"sub":"shop-cdc","exp":1}
  const auto token = ParseToken(
      R"({"access_token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzaG9wLWNkYyIsImV4cCI6MX0.", "expires_in": 60.5})");
  ASSERT_OK(token);
  EXPECT_EQ(token->principal, "shop-cdc");
  EXPECT_EQ(token->expires_in, 60s);
}

TEST(KafkaTokenCommand, SaysWhatIsMissing) {
  EXPECT_THAT(ParseToken("hello"), IsErrorWith("kafka_token_command_failed"));
  EXPECT_THAT(ParseToken("[]"), IsErrorWith("kafka_token_command_failed"));
  EXPECT_THAT(ParseToken(R"({"access_token": "a"})"), IsErrorWith("kafka_token_command_failed"));
  EXPECT_THAT(ParseToken(R"({"access_token": "a", "expires_in": 0, "principal": "p"})"),
              IsErrorWith("kafka_token_command_failed"));
  EXPECT_THAT(ParseToken(R"({"access_token": "a.b.c", "expires_in": 9})"),
              IsErrorWith("kafka_token_command_failed"));
}

TEST(KafkaTokenCommand, IsKilledWithWhatItStartedOnceItTakesTooLong) {
  const auto begin = std::chrono::steady_clock::now();
  const auto token = RunShell("sleep 300 & sleep 300", 100ms);
  EXPECT_THAT(token, IsErrorWith("kafka_token_command_failed"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 60s);
}

TEST(KafkaTokenCommand, DoesNotWaitForWhatAProgramLeftBehind) {
  const auto begin = std::chrono::steady_clock::now();
  const auto token = RunShell(
      R"(sleep 300 & echo '{"access_token": "abc", "expires_in": 300, "principal": "p"}')");
  EXPECT_OK(token);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 60s);
}

TEST(KafkaTokenCommand, NamesAProgramThatIsNotThere) {
  const auto token = RunTokenCommand({"/no/such/program"}, 10s, {});
  ASSERT_THAT(token, IsErrorWith("kafka_token_command_failed"));
  EXPECT_NE(token.error().message.find("/no/such/program"), std::string::npos);
}

TEST(KafkaTokenCommand, StopsWhenAsked) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THAT(RunTokenCommand({"sleep", "300"}, 30s, stop.get_token()), IsErrorWith("cancelled"));
}

}  // namespace
}  // namespace tailwater::kafka
