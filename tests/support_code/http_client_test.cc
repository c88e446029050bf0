#include "support/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/http_calls.h"
#include "support/scripted_http_server.h"
#include "support/text.h"

namespace tailwater {
namespace {

using Connection = ScriptedHttpServer::Connection;
using Request = ScriptedHttpServer::Request;
using ::testing::HasSubstr;

TEST(HttpClientTest, SendsWhatItIsGivenAndAnswersWithTheReply) {
  std::optional<Request> seen;
  ScriptedHttpServer server([&](Connection& connection) {
    seen = connection.Read();
    connection.Reply(201, "created");
  });
  HttpClient client(LoopbackOptions());
  const HttpAnswer answer = Call(client, {.method = "PUT",
                                          .url = server.Url("/hook?a=b"),
                                          .headers = {{"webhook-id", "msg_1"}, {"x-empty", ""}},
                                          .body = std::string("b\0dy", 4)});
  EXPECT_EQ(answer.status, 201) << answer.failure;
  EXPECT_EQ(answer.body, "created");
  EXPECT_EQ(answer.code, "");
  EXPECT_GT(answer.duration.count(), 0);
  ASSERT_TRUE(seen);
  EXPECT_THAT(seen->head, testing::StartsWith("PUT /hook?a=b HTTP/1.1\r\n"));
  EXPECT_EQ(seen->Header("webhook-id"), "msg_1");
  EXPECT_EQ(seen->Header("x-empty"), "");
  EXPECT_EQ(seen->Header("Content-Type"), std::nullopt);
  EXPECT_EQ(seen->Header("Expect"), std::nullopt);
  EXPECT_EQ(seen->Header("Accept-Encoding"), std::nullopt);
  EXPECT_EQ(seen->body, std::string("b\0dy", 4));
}

TEST(HttpClientTest, KeepsConnectionsAlive) {
  ScriptedHttpServer server(ScriptedHttpServer::Always(200, "ok"));
  HttpClient client(LoopbackOptions());
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Call(client, {.url = server.Url(), .body = "x"}).status, 200);
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST(HttpClientTest, SaysThatNobodyListens) {
  HttpClient client(LoopbackOptions());
  const HttpAnswer answer = Call(client, {.url = fmt::format("http://127.0.0.1:{}", ClosedPort())});
  EXPECT_EQ(answer.status, 0);
  EXPECT_EQ(answer.code, "http_connect_failed");
  EXPECT_THAT(answer.failure, HasSubstr("check that the server runs"));
}

TEST(HttpClientTest, ConnectsToNoAddressThatTheGuardRefuses) {
  ScriptedHttpServer server(ScriptedHttpServer::Always(200));
  HttpClient client({});
  for (const std::string_view host : {"127.0.0.1", "localhost", "127.1", "0x7f000001"}) {
    const HttpAnswer answer = Call(client, {.url = server.Url("/", host)});
    EXPECT_EQ(answer.status, 0);
    EXPECT_EQ(answer.code, "http_address_refused") << host << ": " << answer.failure;
    EXPECT_THAT(answer.failure, HasSubstr("allow_addresses: ["));
  }
  EXPECT_EQ(server.connections(), 0);
}

}  // namespace
}  // namespace tailwater
