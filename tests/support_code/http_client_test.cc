#include "support/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <latch>

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

TEST(HttpClientTest, PassesOverTheAddressesThatAreRefused) {
  ScriptedHttpServer server(ScriptedHttpServer::Always(200));
  HttpClientOptions options = LoopbackOptions();
  options.resolve = [](std::string_view host) -> std::vector<std::string> {
    EXPECT_EQ(host, "agents.test");
    return {"127.0.0.2", "::1", "127.0.0.1"};
  };
  HttpClient client(options);
  const HttpAnswer answer = Call(client, {.url = server.Url("/", "agents.test")});
  EXPECT_EQ(answer.status, 200) << answer.failure;
}

TEST(HttpClientTest, JudgesTheAddressOfEachConnectionAnew) {
  // The name leads to the allowed address when somebody looks, and elsewhere from then on.
  ScriptedHttpServer server([](Connection& connection) {
    connection.Read();
    connection.Reply(200, "", "Connection: close\r\n");
  });
  int asked = 0;
  HttpClientOptions options = LoopbackOptions();
  options.resolve = [&](std::string_view) -> std::vector<std::string> {
    return {asked++ == 0 ? "127.0.0.1" : "127.0.0.2"};
  };
  HttpClient client(options);
  EXPECT_EQ(Call(client, {.url = server.Url("/", "agents.test")}).status, 200);
  const HttpAnswer answer = Call(client, {.url = server.Url("/", "agents.test")});
  EXPECT_EQ(answer.code, "http_address_refused") << answer.failure;
  EXPECT_THAT(answer.failure, HasSubstr("127.0.0.2 is in 127.0.0.0/8"));
  EXPECT_EQ(server.connections(), 1);
}

TEST(HttpClientTest, SaysThatANameIsUnknown) {
  HttpClient client(LoopbackOptions());
  // Too long a label: no resolver asks anybody for it.
  const HttpAnswer answer = Call(client, {.url = "http://" + std::string(70, 'a') + ".test/"});
  EXPECT_EQ(answer.code, "http_name_unknown") << answer.failure;
  EXPECT_THAT(answer.failure, HasSubstr("check the URL"));
}

TEST(HttpClientTest, FollowsNoRedirect) {
  ScriptedHttpServer elsewhere(ScriptedHttpServer::Always(200));
  ScriptedHttpServer server(
      ScriptedHttpServer::Always(302, "", "Location: " + elsewhere.Url() + "\r\n"));
  ScriptedHttpServer to_metadata(ScriptedHttpServer::Always(
      307, "", "Location: http://169.254.169.254/latest/meta-data/\r\n"));
  HttpClient client(LoopbackOptions());
  const HttpAnswer answer = Call(client, {.url = server.Url()});
  EXPECT_EQ(answer.status, 302);
  EXPECT_EQ(answer.code, "");
  EXPECT_EQ(elsewhere.connections(), 0);
  EXPECT_EQ(Call(client, {.url = to_metadata.Url()}).status, 307);
}

TEST(HttpClientTest, TakesNoProxyFromTheEnvironment) {
  ScriptedHttpServer server(ScriptedHttpServer::Always(200));
  ScriptedHttpServer proxy(ScriptedHttpServer::Always(200));
  const std::vector<const char*> names = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                          "ALL_PROXY"};
  for (const char* const name : names) setenv(name, proxy.Url().c_str(), 1);
  {
    HttpClient client(LoopbackOptions());
    EXPECT_EQ(Call(client, {.url = server.Url()}).status, 200);
  }
  for (const char* const name : names) unsetenv(name);
  EXPECT_EQ(proxy.connections(), 0);
  EXPECT_EQ(server.connections(), 1);
}

TEST(HttpClientTest, KeepsNoCookie) {
  std::optional<Request> second;
  ScriptedHttpServer server([&](Connection& connection) {
    connection.Read();
    connection.Reply(200, "", "Set-Cookie: session=1; Path=/\r\n");
    second = connection.Read();
    connection.Reply(200);
  });
  HttpClient client(LoopbackOptions());
  Call(client, {.url = server.Url()});
  Call(client, {.url = server.Url()});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->Header("Cookie"), std::nullopt);
}

TEST(HttpClientTest, RefusesHeadersThatWouldBeMoreThanThat) {
  ScriptedHttpServer server(ScriptedHttpServer::Always(200));
  HttpClient client(LoopbackOptions());
  const std::vector<std::pair<std::string, std::string>> headers = {
      {"x-row", "a\r\nx-admin: 1"},
      {"x-row", "a\nb"},
      {"x-row", "a\rb"},
      {"x-row", std::string("a\0b", 3)},
      {"x-row", "a\x7f"},
      {"x-row", "a\tb"},
      {"x-row: 1\r\nx-admin", "1"},
      {"x row", "1"},
      {"x-row:", "1"},
      {"", "1"},
      {"Content-Length", "0"},
      {"transfer-encoding", "chunked"},
      {"Connection", "close"}};
  for (const auto& header : headers) {
    const HttpAnswer answer = Call(client, {.url = server.Url(), .headers = {header}});
    EXPECT_EQ(answer.code, "http_header_invalid") << header.first << ": " << header.second;
    EXPECT_EQ(answer.status, 0);
  }
  for (const std::string method : {"", "PO ST", "GET / HTTP/1.1\r\nx: y\r\n"}) {
    const HttpAnswer answer = Call(client, {.method = method, .url = server.Url()});
    EXPECT_EQ(answer.code, "http_header_invalid") << method;
  }
  EXPECT_EQ(server.connections(), 0);
}

TEST(HttpClientTest, RefusesWhatIsNoHttpUrl) {
  HttpClient client(LoopbackOptions());
  for (const std::string url :
       {"", "/", "//127.0.0.1/", "127.0.0.1", "ftp://127.0.0.1/", "file:///etc/passwd", "http://",
        "http:///x", "gopher://127.0.0.1:6379/_x", "http://127.0.0.1:99999/",
        "http://127.0.0.1/a b", "http://127.0.0.1/\r\nx: y", "https//127.0.0.1"}) {
    const HttpAnswer answer = Call(client, {.url = url});
    EXPECT_EQ(answer.code, "http_url_invalid") << url << ": " << answer.failure;
  }
  EXPECT_EQ(Call(client, {.url = std::string("http://127.0.0.1\0.example.com/", 29)}).code,
            "http_url_invalid");
}

TEST(HttpClientTest, TellsNoSecretOfTheUrl) {
  HttpClient client(LoopbackOptions());
  const HttpAnswer answer = Call(
      client, {.url = fmt::format("http://me:hidden@127.0.0.1:{}/hidden?hidden", ClosedPort())});
  EXPECT_EQ(answer.code, "http_connect_failed");
  EXPECT_THAT(answer.failure, Not(HasSubstr("hidden")));
}

TEST(HttpClientTest, SendsEachMethodAsItIs) {
  std::vector<std::string> lines;
  ScriptedHttpServer server([&](Connection& connection) {
    while (const std::optional<Request> request = connection.Read()) {
      lines.push_back(request->head.substr(0, request->head.find(' ')) + " " +
                      request->Header("Content-Length").value_or("none") + " " + request->body);
      // The reply to HEAD has no body, whatever its headers say.
      if (lines.back().starts_with("HEAD")) {
        connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
      } else {
        connection.Reply(200, "reply");
      }
    }
  });
  HttpClient client(LoopbackOptions());
  for (const HttpCall& call : std::vector<HttpCall>{{.method = "HEAD"},
                                                    {.method = "POST", .body = "x"},
                                                    {.method = "GET"},
                                                    {.method = "POST"},
                                                    {.method = "DELETE"},
                                                    {.method = "PATCH", .body = "y"},
                                                    {.method = "OPTIONS"},
                                                    {.method = "GET", .body = "z"}}) {
    HttpCall sent = call;
    sent.url = server.Url();
    const HttpAnswer answer = Call(client, sent);
    EXPECT_EQ(answer.status, 200) << call.method << answer.failure;
    EXPECT_EQ(answer.body, call.method == "HEAD" ? "" : "reply");
  }
  EXPECT_THAT(lines, testing::ElementsAre("HEAD none ", "POST 1 x", "GET none ", "POST 0 ",
                                          "DELETE none ", "PATCH 1 y", "OPTIONS none ", "GET 1 z"));
}

TEST(HttpClientTest, ReadsRetryAfterOfBothForms) {
  std::string value;
  ScriptedHttpServer server([&](Connection& connection) {
    while (connection.Read()) connection.Reply(503, "", "Retry-After: " + value + "\r\n");
  });
  HttpClient client(LoopbackOptions());
  const auto retry_after = [&](std::string text) {
    value = std::move(text);
    return Call(client, {.url = server.Url()}).retry_after;
  };
  const auto date = [](std::time_t time) {
    char text[64];
    std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", std::gmtime(&time));
    return std::string(text);
  };
  using namespace std::chrono_literals;
  EXPECT_EQ(retry_after("7"), 7s);
  EXPECT_EQ(retry_after("0"), 0s);
  EXPECT_EQ(retry_after("86401"), 24h);
  EXPECT_EQ(retry_after("99999999999999999999999"), 24h);
  const auto in_ten_hours = retry_after(date(std::time(nullptr) + 36'000));
  ASSERT_TRUE(in_ten_hours);
  EXPECT_GT(*in_ten_hours, 9h);
  EXPECT_LE(*in_ten_hours, 10h);
  EXPECT_EQ(retry_after(date(std::time(nullptr) + 40 * 86'400)), 24h);
  EXPECT_EQ(retry_after("Fri, 31 Dec 1999 23:59:59 GMT"), 0s);
  for (const char* const text : {"", "-1", "1.5", "soon", "7 s", "0x10", "Xyz, 99 Foo 2026"}) {
    EXPECT_EQ(retry_after(text), std::nullopt) << text;
  }
}

TEST(HttpClientTest, LeavesBodiesEncoded) {
  std::optional<Request> seen;
  ScriptedHttpServer server([&](Connection& connection) {
    seen = connection.Read();
    connection.Reply(200, "not really gzip", "Content-Encoding: gzip\r\n");
  });
  HttpClient client(LoopbackOptions());
  const HttpAnswer answer = Call(client, {.url = server.Url()});
  EXPECT_EQ(answer.body, "not really gzip") << answer.failure;
  EXPECT_EQ(answer.code, "");
}

TEST(HttpClientTest, HoldsTwoHundredAndFiftySixCallsInFlight) {
  constexpr int kCalls = 256;
  std::latch all_here(kCalls);
  ScriptedHttpServer server([&](Connection& connection) {
    connection.Read();
    all_here.arrive_and_wait();
    connection.Reply(200);
    connection.WaitUntilClosed();
  });
  HttpClient client(LoopbackOptions());
  std::vector<std::future<HttpAnswer>> answers;
  for (int i = 0; i < kCalls; ++i) answers.push_back(StartCall(client, {.url = server.Url()}));
  for (auto& answer : answers) EXPECT_EQ(answer.get().status, 200);
  EXPECT_EQ(server.connections(), kCalls);
}

TEST(HttpClientTest, LetsCallsBeyondItsConnectionsWait) {
  ScriptedHttpServer server(ScriptedHttpServer::Always(200));
  HttpClientOptions options = LoopbackOptions();
  options.max_connections = 3;
  HttpClient client(options);
  std::vector<std::future<HttpAnswer>> answers;
  for (int i = 0; i < 100; ++i) answers.push_back(StartCall(client, {.url = server.Url()}));
  for (auto& answer : answers) EXPECT_EQ(answer.get().status, 200);
  EXPECT_LE(server.connections(), 3);
}

TEST(HttpClientTest, ConnectsAnewWhereTheServerHasClosed) {
  ScriptedHttpServer server([](Connection& connection) {
    connection.Read();
    connection.Reply(200);
  });
  HttpClient client(LoopbackOptions());
  for (int i = 0; i < 20; ++i) {
    const HttpAnswer answer = Call(client, {.url = server.Url(), .body = "x"});
    EXPECT_EQ(answer.status, 200) << answer.failure;
  }
  EXPECT_EQ(server.connections(), 20);
}

// Answers /held never, and everything else at once; `held` counts.
class HoldingServer {
 public:
  explicit HoldingServer(int count) : all_held_(count) {}
  ScriptedHttpServer& server() { return server_; }
  void WaitUntilAllAreHeld() { all_held_.wait(); }

 private:
  std::latch all_held_;
  ScriptedHttpServer server_{[this](Connection& connection) {
    while (const std::optional<Request> request = connection.Read()) {
      if (request->head.find(" /held ") == std::string::npos) {
        connection.Reply(200);
      } else {
        all_held_.count_down();
        connection.WaitUntilClosed();
      }
    }
  }};
};

TEST(HttpClientTest, CancelsWhatIsInFlightAndWhatWaits) {
  HoldingServer holding(4);
  HttpClientOptions options = LoopbackOptions();
  options.max_connections = 4;
  HttpClient client(options);
  std::atomic<int> cancelled_done = 0;
  for (int i = 0; i < 20; ++i) {
    client.Send({.url = holding.server().Url("/held")}, [&](HttpAnswer) { ++cancelled_done; });
  }
  holding.WaitUntilAllAreHeld();
  client.CancelAll();
  EXPECT_EQ(Call(client, {.url = holding.server().Url("/next")}).status, 200);
  EXPECT_EQ(cancelled_done, 0);
}

TEST(HttpClientTest, MayBeCancelledFromDone) {
  HoldingServer holding(2);
  HttpClient client(LoopbackOptions());
  std::atomic<int> cancelled_done = 0;
  for (int i = 0; i < 2; ++i) {
    client.Send({.url = holding.server().Url("/held")}, [&](HttpAnswer) { ++cancelled_done; });
  }
  holding.WaitUntilAllAreHeld();
  std::promise<HttpAnswer> after;
  client.Send({.url = holding.server().Url()}, [&](HttpAnswer) {
    client.CancelAll();
    client.Send({.url = holding.server().Url()},
                [&](HttpAnswer answer) { after.set_value(std::move(answer)); });
  });
  EXPECT_EQ(after.get_future().get().status, 200);
  EXPECT_EQ(cancelled_done, 0);
}

TEST(HttpClientTest, SurvivesCancellingWhileAnswersComeIn) {
  ScriptedHttpServer server(ScriptedHttpServer::Always(200));
  HttpClientOptions options = LoopbackOptions();
  options.max_connections = 8;
  HttpClient client(options);
  std::mutex mutex;  // as a caller has it, held while it cancels and taken by `done`
  int answered = 0;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 16; ++i) {
      client.Send({.url = server.Url()}, [&](HttpAnswer answer) {
        const std::lock_guard lock(mutex);
        EXPECT_EQ(answer.status, 200) << answer.failure;
        ++answered;
      });
    }
    if (round % 2 == 0) Call(client, {.url = server.Url()});
    const std::lock_guard lock(mutex);
    client.CancelAll();
  }
  EXPECT_EQ(Call(client, {.url = server.Url()}).status, 200);
  const std::lock_guard lock(mutex);
  EXPECT_GT(answered, 0);
}

TEST(HttpClientTest, EndsWithCallsInFlight) {
  HoldingServer holding(4);
  std::atomic<int> done = 0;
  {
    HttpClientOptions options = LoopbackOptions();
    options.max_connections = 4;
    HttpClient client(options);
    for (int i = 0; i < 20; ++i) {
      client.Send({.url = holding.server().Url("/held")}, [&](HttpAnswer) { ++done; });
    }
    holding.WaitUntilAllAreHeld();
  }
  EXPECT_EQ(done, 0);
}

}  // namespace
}  // namespace tailwater
