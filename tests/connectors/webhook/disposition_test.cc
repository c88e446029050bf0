#include "webhook/disposition.h"

#include <gmock/gmock.h>

namespace tailwater::webhook {
namespace {

using namespace std::chrono_literals;
using Kind = Judgement::Kind;

HttpAnswer Status(int status, std::optional<std::chrono::milliseconds> retry_after = {}) {
  HttpAnswer answer;
  answer.status = status;
  answer.retry_after = retry_after;
  return answer;
}

TEST(DispositionTest, FollowsTheTable) {
  const struct {
    int status;
    Kind kind;
    std::string_view code;
    bool needs_operator = false;
  } kCases[] = {
      {200, Kind::kTaken, ""},
      {202, Kind::kTaken, ""},
      {204, Kind::kTaken, ""},
      {301, Kind::kDown, "webhook_redirect", true},
      {307, Kind::kDown, "webhook_redirect", true},
      {400, Kind::kRefused, "webhook_rejected_400"},
      {401, Kind::kDown, "webhook_unauthorized", true},
      {402, Kind::kRefused, "webhook_rejected"},
      {403, Kind::kDown, "webhook_unauthorized", true},
      {404, Kind::kDown, "webhook_not_found", true},
      {405, Kind::kDown, "webhook_not_found", true},
      {407, Kind::kDown, "webhook_unauthorized", true},
      {408, Kind::kFailed, "webhook_status_408"},
      {409, Kind::kRefused, "webhook_rejected_409"},
      {410, Kind::kDown, "webhook_gone", true},
      {413, Kind::kRefused, "webhook_rejected_413"},
      {415, Kind::kRefused, "webhook_rejected_415"},
      {418, Kind::kRefused, "webhook_rejected"},
      {422, Kind::kRefused, "webhook_rejected_422"},
      {425, Kind::kFailed, "webhook_status_425"},
      {429, Kind::kFailed, "webhook_throttled"},
      {500, Kind::kFailed, "webhook_server_error"},
      {501, Kind::kFailed, "webhook_server_error"},
      {502, Kind::kFailed, "webhook_server_error"},
      {503, Kind::kFailed, "webhook_server_error"},
      {504, Kind::kFailed, "webhook_server_error"},
      {599, Kind::kFailed, "webhook_server_error"},
  };
  for (const auto& one : kCases) {
    const Judgement judgement = Judge(Status(one.status), {}, "agent:443");
    EXPECT_EQ(judgement.kind, one.kind) << one.status;
    EXPECT_EQ(judgement.code, one.code) << one.status;
    EXPECT_EQ(judgement.needs_operator, one.needs_operator) << one.status;
    if (one.kind != Kind::kTaken) {
      EXPECT_THAT(judgement.reason,
                  ::testing::StartsWith("agent:443 answered " + std::to_string(one.status)));
    }
  }
}

TEST(DispositionTest, HonoursRetryAfterOf429And503Alone) {
  for (const int status : {429, 503}) {
    const Judgement judgement = Judge(Status(status, 7s), {}, "agent:443");
    EXPECT_EQ(judgement.kind, Kind::kThrottled);
    EXPECT_EQ(judgement.after, 7s);
  }
  EXPECT_EQ(Judge(Status(500, 7s), {}, "agent:443").kind, Kind::kFailed);
  EXPECT_EQ(Judge(Status(400, 7s), {}, "agent:443").kind, Kind::kRefused);
  EXPECT_EQ(Judge(Status(200, 7s), {}, "agent:443").kind, Kind::kTaken);
}

TEST(DispositionTest, TheListsOfTheConfigurationGoFirst) {
  const StatusRules rules{.reject = {404, 500}, .retry = {400, 401}};
  EXPECT_EQ(Judge(Status(404), rules, "a:1").kind, Kind::kRefused);
  EXPECT_EQ(Judge(Status(500), rules, "a:1").kind, Kind::kRefused);
  EXPECT_EQ(Judge(Status(400), rules, "a:1").kind, Kind::kFailed);
  EXPECT_EQ(Judge(Status(401), rules, "a:1").kind, Kind::kFailed);
  EXPECT_EQ(Judge(Status(422), rules, "a:1").kind, Kind::kRefused);
}

TEST(DispositionTest, WithoutAReplyTheCodeDecides) {
  const struct {
    std::string_view code;
    Kind kind;
    bool needs_operator;
  } kCases[] = {
      {"http_timeout", Kind::kFailed, false},
      {"http_reset", Kind::kFailed, false},
      {"http_reply_malformed", Kind::kFailed, false},
      {"http_connect_failed", Kind::kDown, false},
      {"http_name_unknown", Kind::kDown, false},
      {"http_address_refused", Kind::kDown, true},
      {"http_tls_failed", Kind::kDown, true},
      {"http_certificate_unreadable", Kind::kDown, true},
      {"http_header_invalid", Kind::kDown, true},
  };
  for (const auto& one : kCases) {
    HttpAnswer answer;
    answer.code = one.code;
    answer.failure = "words";
    // What had come of a reply does not make it one.
    for (const int status : {0, 200}) {
      answer.status = status;
      const Judgement judgement = Judge(answer, {}, "agent:443");
      EXPECT_EQ(judgement.kind, one.kind) << one.code;
      EXPECT_EQ(judgement.code, one.code);
      EXPECT_EQ(judgement.needs_operator, one.needs_operator) << one.code;
      EXPECT_FALSE(judgement.maybe_the_change);
      EXPECT_EQ(StatusClass(answer), "none");
    }
  }
  EXPECT_EQ(StatusClass(Status(204)), "2xx");
  EXPECT_EQ(StatusClass(Status(999)), "none");
}

}  // namespace
}  // namespace tailwater::webhook
