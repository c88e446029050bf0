#include "http/http_server.h"

#include <curl/curl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http/listen_address.h"
#include "support/matchers.h"

namespace tailwater {
namespace {

using ::testing::HasSubstr;

struct Answer {
  long status = 0;
  std::string body;
};

size_t Collect(char* data, size_t size, size_t count, void* out) {
  static_cast<std::string*>(out)->append(data, size * count);
  return size * count;
}

Answer Get(const HttpServer& server, const std::string& path,
           const std::vector<std::string>& headers = {}) {
  Answer answer;
  CURL* curl = curl_easy_init();
  curl_slist* list = nullptr;
  for (const std::string& header : headers) list = curl_slist_append(list, header.c_str());
  curl_easy_setopt(curl, CURLOPT_URL, ("http://" + server.address() + path).c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, Collect);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer.body);
  if (curl_easy_perform(curl) == CURLE_OK)
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
  curl_slist_free_all(list);
  curl_easy_cleanup(curl);
  return answer;
}

void AddPages(HttpServer& server) {
  server.Handle("GET", "/page", [](const HttpRequest&) {
    return HttpResponse{200, "text/plain", "here"};
  });
  server.Handle(
      "GET", "/livez",
      [](const HttpRequest&) {
        return HttpResponse{200, "text/plain", "ok"};
      },
      HttpServer::Access::kOpen);
}

TEST(ListenAddress, ReadsHostAndPort) {
  EXPECT_EQ(ParseListenAddress("127.0.0.1:4680")->ToString(), "127.0.0.1:4680");
  EXPECT_EQ(ParseListenAddress("[::1]:1")->ToString(), "[::1]:1");
  EXPECT_EQ(ParseListenAddress(":80")->ToString(), "0.0.0.0:80");
  EXPECT_EQ(ParseListenAddress("db.internal:0")->port, 0);
  for (const char* wrong : {"", "4680", "127.0.0.1", "127.0.0.1:", "h:70000", "h:-1", "h:1x",
                            "::1:4680", "[::1:4680", "[x]:1", "http://h:1"}) {
    EXPECT_THAT(ParseListenAddress(wrong), IsErrorWith("listen_invalid")) << wrong;
  }
}

TEST(ListenAddress, OnlyTheMachineItselfIsLoopback) {
  EXPECT_TRUE(ParseListenAddress("127.3.2.1:1")->loopback);
  EXPECT_TRUE(ParseListenAddress("[::1]:1")->loopback);
  EXPECT_TRUE(ParseListenAddress("localhost:1")->loopback);
  EXPECT_FALSE(ParseListenAddress(":1")->loopback);
  EXPECT_FALSE(ParseListenAddress("10.0.0.1:1")->loopback);
  EXPECT_FALSE(ParseListenAddress("[::]:1")->loopback);
  EXPECT_FALSE(ParseListenAddress("localhost.example.com:1")->loopback);
}

TEST(HttpServer, AnswersOnLoopbackWithoutAToken) {
  HttpServer server({.listen = "127.0.0.1:0", .token = {}});
  AddPages(server);
  ASSERT_OK(server.Start());
  const Answer answer = Get(server, "/page");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "here");
  EXPECT_EQ(Get(server, "/nowhere").status, 404);
  EXPECT_THAT(Get(server, "/nowhere").body, HasSubstr("not_found"));
}

TEST(HttpServer, RefusesOtherAddressesWithoutAToken) {
  HttpServer server({.listen = "0.0.0.0:0", .token = {}});
  EXPECT_THAT(server.Start(), IsErrorWith("http_token_missing"));
}

TEST(HttpServer, AsksForTheTokenEverywhereButOnProbes) {
  HttpServer server({.listen = "127.0.0.1:0", .token = Secret("sesame")});
  AddPages(server);
  ASSERT_OK(server.Start());
  EXPECT_EQ(Get(server, "/page").status, 401);
  EXPECT_EQ(Get(server, "/page", {"Authorization: Bearer sesamE"}).status, 401);
  EXPECT_EQ(Get(server, "/page", {"Authorization: sesame"}).status, 401);
  EXPECT_EQ(Get(server, "/page", {"Authorization: Bearer sesame"}).status, 200);
  EXPECT_EQ(Get(server, "/livez").status, 200);
}

TEST(HttpServer, RefusesAnEmptyToken) {
  HttpServer server({.listen = "127.0.0.1:0", .token = Secret("${env:TW_TEST_UNSET_TOKEN}")});
  EXPECT_THAT(server.Start(), IsErrorWith("secret_unreadable"));
}

TEST(HttpServer, RefusesRequestsThatCameUnderAForeignName) {
  HttpServer server({.listen = "127.0.0.1:0", .token = {}});
  AddPages(server);
  ASSERT_OK(server.Start());
  EXPECT_EQ(Get(server, "/page", {"Host: evil.example.com"}).status, 403);
  EXPECT_EQ(Get(server, "/page", {"Host: localhost:1"}).status, 200);
}

TEST(HttpServer, SaysThatThePortIsTaken) {
  HttpServer first({.listen = "127.0.0.1:0", .token = {}});
  ASSERT_OK(first.Start());
  HttpServer second({.listen = first.address(), .token = {}});
  EXPECT_THAT(second.Start(), IsErrorWith("listen_address_in_use"));
}

TEST(HttpServer, AHandlerThatThrowsIsAnAnswer) {
  HttpServer server({.listen = "127.0.0.1:0", .token = {}});
  server.Handle("GET", "/bad",
                [](const HttpRequest&) -> HttpResponse { throw std::runtime_error("broken"); });
  ASSERT_OK(server.Start());
  EXPECT_EQ(Get(server, "/bad").status, 500);
}

TEST(HttpServer, StopsTwiceAndBeforeStart) {
  HttpServer server({.listen = "127.0.0.1:0", .token = {}});
  server.Stop();
  ASSERT_OK(server.Start());
  server.Stop();
  server.Stop();
}

}  // namespace
}  // namespace tailwater
