// What servers do that should not: an HttpClient answers each with its code and keeps working.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>

#include "support/http_calls.h"
#include "support/http_client.h"
#include "support/scripted_http_server.h"
#include "support/text.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using Connection = ScriptedHttpServer::Connection;
using ::testing::HasSubstr;

// After the request, sends `bytes` and then ends the connection.
ScriptedHttpServer::Script Replies(std::string bytes) {
  return [=](Connection& connection) {
    connection.Read();
    connection.Write(bytes);
  };
}

// After the request, sends `begin` and then `rest` again and again until the client closes.
ScriptedHttpServer::Script Floods(std::string begin, std::string rest) {
  while (rest.size() < 16'384) rest += rest;
  return [=](Connection& connection) {
    connection.Read();
    bool open = connection.Write(begin);
    while (open) open = connection.Write(rest);
  };
}

// The same, slowly.
ScriptedHttpServer::Script Drips(std::string begin, std::string rest) {
  return [=](Connection& connection) {
    connection.Read();
    bool open = connection.Write(begin);
    while (open) open = connection.Pause(20ms) && connection.Write(rest);
  };
}

HttpAnswer AnswerOf(ScriptedHttpServer::Script script,
                    const HttpClientOptions& options = LoopbackOptions()) {
  ScriptedHttpServer server(std::move(script));
  HttpClient client(options);
  return Call(client, {.url = server.Url(), .body = "x"});
}

TEST(HttpClientHostileTest, CutsABodyThatDoesNotEnd) {
  for (const std::string head :
       {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"}) {
    std::promise<void> closed;
    HttpClientOptions options = LoopbackOptions();
    options.max_reply_bytes = 1'000;
    ScriptedHttpServer server([&](Connection& connection) {
      Floods(head, "x")(connection);
      closed.set_value();
    });
    HttpClient client(options);
    const HttpAnswer answer = Call(client, {.url = server.Url()});
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, std::string(1'000, 'x'));
    EXPECT_TRUE(answer.body_cut);
    EXPECT_EQ(answer.code, "");
    closed.get_future().wait();
  }
  const HttpAnswer chunked =
      AnswerOf(Floods("HTTP/1.1 500 Sorry\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nxx\r\n"));
  EXPECT_EQ(chunked.status, 500);
  EXPECT_EQ(chunked.body.size(), HttpClientOptions().max_reply_bytes);
  EXPECT_TRUE(chunked.body_cut);
}

TEST(HttpClientHostileTest, TakesABodyOfExactlyTheLimit) {
  HttpClientOptions options = LoopbackOptions();
  options.max_reply_bytes = 5;
  const HttpAnswer answer = AnswerOf(ScriptedHttpServer::Always(200, "12345"), options);
  EXPECT_EQ(answer.body, "12345");
  EXPECT_FALSE(answer.body_cut);
}

TEST(HttpClientHostileTest, WaitsOnlySoLongForAConnection) {
  const FullListenQueue full;
  HttpClientOptions options = LoopbackOptions();
  options.connect_timeout = 100ms;
  HttpClient client(options);
  const HttpAnswer answer = Call(client, {.url = fmt::format("http://127.0.0.1:{}", full.port())});
  EXPECT_EQ(answer.code, "http_timeout");
  EXPECT_THAT(answer.failure, HasSubstr("did not take the connection within 100 ms"));
}

TEST(HttpClientHostileTest, WaitsOnlySoLongForTheReplyToBegin) {
  HttpClientOptions options = LoopbackOptions();
  options.first_byte_timeout = 100ms;
  const std::vector<ScriptedHttpServer::Script> scripts = {
      [](Connection& connection) { connection.WaitUntilClosed(); },
      Drips("HTTP/1.1 200 ", "O"),
      Drips("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
      Drips("HTTP/1.1 100 Continue\r\n", "x: y\r\n"),
  };
  for (const auto& script : scripts) {
    const HttpAnswer answer = AnswerOf(script, options);
    EXPECT_EQ(answer.status, 0);
    EXPECT_EQ(answer.code, "http_timeout");
    EXPECT_THAT(answer.failure, HasSubstr("did not begin its reply within 100 ms"));
  }
}

TEST(HttpClientHostileTest, WaitsOnlySoLongForTheWholeReply) {
  HttpClientOptions options = LoopbackOptions();
  options.timeout = 300ms;
  for (const auto& script :
       {Drips("HTTP/1.1 200 OK\r\n\r\n", "x"), Drips("HTTP/1.1 200 OK\r\n", "x: y\r\n"),
        Drips("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "0")}) {
    const HttpAnswer answer = AnswerOf(script, options);
    EXPECT_EQ(answer.code, "http_timeout");
    EXPECT_THAT(answer.failure, HasSubstr("300 ms"));
  }
}

TEST(HttpClientHostileTest, CountsTheFirstBytesTimeFromTheRequestsEnd) {
  // The server never takes the request whole: only the limit on all of it may end the call.
  ScriptedHttpServer server([](Connection& connection) { connection.WaitWithoutReading(); });
  HttpClientOptions options = LoopbackOptions();
  options.first_byte_timeout = 20ms;
  options.timeout = 500ms;
  HttpClient client(options);
  const HttpAnswer answer = Call(client, {.url = server.Url(), .body = std::string(32 << 20, 'x')});
  EXPECT_EQ(answer.code, "http_timeout");
  EXPECT_THAT(answer.failure, HasSubstr("when the whole call had taken 500 ms"));
}

TEST(HttpClientHostileTest, EndsHeadersThatDoNotEnd) {
  const std::vector<ScriptedHttpServer::Script> scripts = {
      Floods("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
      Floods("", "HTTP/1.1 100 Continue\r\nx: y\r\n\r\n"),
      Floods("HTTP/1.1 200 OK\r\n", "x: y\r\n"),
      Floods("HTTP/1.1 200 OK\r\nx: ", "y"),
      Floods("HTTP/1.1 200 ", "O"),
      Floods("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "x: y\r\n"),
  };
  for (size_t i = 0; i < scripts.size(); ++i) {
    const HttpAnswer answer = AnswerOf(scripts[i]);
    EXPECT_EQ(answer.code, "http_reply_malformed") << i << ": " << answer.failure;
  }
}

TEST(HttpClientHostileTest, SaysThatWhatCameIsNotHttp) {
  for (const std::string garbage :
       {"SSH-2.0-OpenSSH_9.2\r\n", "220 mail.test ESMTP\r\n", "hello", "\r\n\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "\x15\x03\x01\x02\x02\x16",
        "<html>no status line</html>\r\n"}) {
    const HttpAnswer answer = AnswerOf(Replies(garbage));
    EXPECT_EQ(answer.code, "http_reply_malformed") << garbage << answer.failure;
  }
}

TEST(HttpClientHostileTest, SaysThatTheConnectionEndedEarly) {
  struct Case {
    std::string sent;
    int status;
    std::string body;
  };
  const std::vector<Case> cases = {
      {"", 0, ""},
      {"HTTP/1.1 100 Continue\r\n\r\n", 0, ""},
      {"HTTP/1.1 200 OK\r\nx: ", 200, ""},
      {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", 200, "12345"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", 200, "12345"},
  };
  for (const Case& one : cases) {
    const HttpAnswer closed = AnswerOf(Replies(one.sent));
    EXPECT_EQ(closed.code, "http_reset") << one.sent << closed.failure;
    EXPECT_EQ(closed.status, one.status) << one.sent;
    EXPECT_EQ(closed.body, one.body) << one.sent;
    const HttpAnswer reset = AnswerOf([&](Connection& connection) {
      Replies(one.sent)(connection);
      connection.Reset();
    });
    EXPECT_EQ(reset.code, "http_reset") << one.sent << reset.failure;
  }
}

TEST(HttpClientHostileTest, PassesOverInterimReplies) {
  const HttpAnswer answer = AnswerOf(
      Replies("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
              "HTTP/1.1 204 Done\r\n\r\n"));
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(answer.code, "") << answer.failure;
  EXPECT_EQ(answer.retry_after, std::nullopt);
}

TEST(HttpClientHostileTest, KeepsOtherCallsGoing) {
  ScriptedHttpServer good(ScriptedHttpServer::Always(200));
  ScriptedHttpServer garbage(Replies("garbage"));
  ScriptedHttpServer flood(Floods("HTTP/1.1 200 OK\r\n\r\n", "x"));
  ScriptedHttpServer silent([](Connection& connection) { connection.WaitUntilClosed(); });
  HttpClient client(LoopbackOptions());
  std::atomic<int> silent_done = 0;
  for (int i = 0; i < 20; ++i) {
    client.Send({.url = silent.Url()}, [&](HttpAnswer) { ++silent_done; });
    auto malformed = StartCall(client, {.url = garbage.Url()});
    auto cut = StartCall(client, {.url = flood.Url()});
    EXPECT_EQ(Call(client, {.url = good.Url()}).status, 200);
    EXPECT_EQ(malformed.get().code, "http_reply_malformed");
    EXPECT_TRUE(cut.get().body_cut);
  }
  EXPECT_EQ(silent_done, 0);
}

}  // namespace
}  // namespace tailwater
