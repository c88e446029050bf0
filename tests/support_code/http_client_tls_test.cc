// TLS as an HttpClient does it: whom it trusts, how it shows itself, and HTTP/2.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <latch>
#include <set>

#include "support/http_calls.h"
#include "support/http_client.h"
#include "support/scripted_http_server.h"
#include "support/temporary_folder.h"
#include "support/test_certificates.h"

namespace tailwater {
namespace {

using Connection = ScriptedHttpServer::Connection;
using ::testing::HasSubstr;

class HttpClientTlsTest : public testing::Test {
 protected:
  static ScriptedHttpServerTls Serving(const TestCertificate& certificate) {
    return {.certificate_file = certificate.certificate_file, .key_file = certificate.key_file};
  }
  HttpClientOptions Trusting(const TestAuthority& authority) const {
    HttpClientOptions options = LoopbackOptions();
    options.ca_file = authority.ca_file();
    return options;
  }
  // Of a new client, and so on a new connection.
  HttpAnswer AnswerOf(const ScriptedHttpServerTls& tls, const HttpClientOptions& options,
                      std::string_view host = "127.0.0.1") const {
    ScriptedHttpServer server(ScriptedHttpServer::Always(200, "ok"), tls);
    HttpClient client(options);
    return Call(client, {.url = server.Url("/", host), .body = "x"});
  }

  TemporaryFolder folder_;
  TestAuthority authority_{folder_.path(), "authority"};
  TestAuthority stranger_{folder_.path(), "stranger"};
  TestCertificate certificate_ = authority_.Issue("server");
};

// Each connection takes one request.
const ScriptedHttpServer::Script kOneRequestEach = [](Connection& connection) {
  if (connection.Read()) connection.Reply(200, "", "Connection: close\r\n");
};

TEST_F(HttpClientTlsTest, TalksToAServerThatItTrusts) {
  const HttpAnswer answer = AnswerOf(Serving(certificate_), Trusting(authority_));
  EXPECT_EQ(answer.status, 200) << answer.failure;
  EXPECT_EQ(answer.body, "ok");
}

TEST_F(HttpClientTlsTest, KeepsConnectionsAlive) {
  ScriptedHttpServer server(ScriptedHttpServer::Always(200), Serving(certificate_));
  HttpClient client(Trusting(authority_));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Call(client, {.url = server.Url()}).status, 200);
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(HttpClientTlsTest, SaysWhatIsWrongWithTheServersCertificate) {
  const TestCertificate expired =
      authority_.Issue("expired", "IP:127.0.0.1", TestAuthority::Validity::kExpired);
  const TestCertificate other = authority_.Issue("other", "DNS:other.test,IP:127.0.0.9");
  struct Case {
    TestCertificate certificate;
    std::string_view what;
    std::string_view advice;
  };
  for (const Case& one : std::vector<Case>{
           {expired, "expired", "renew the server's certificate"},
           {authority_.SelfSigned("self_signed"), "self-signed", "certificate authority file"},
           {stranger_.Issue("strange"), "issuer", "certificate authority file"},
           {other, "127.0.0.1", "use the name that the certificate was issued for"}}) {
    const HttpAnswer answer = AnswerOf(Serving(one.certificate), Trusting(authority_));
    EXPECT_EQ(answer.status, 0);
    EXPECT_EQ(answer.code, "http_tls_failed");
    EXPECT_THAT(answer.failure, HasSubstr(one.what));
    EXPECT_THAT(answer.failure, HasSubstr(one.advice));
  }
}

TEST_F(HttpClientTlsTest, ComparesTheNameOfTheUrl) {
  HttpClientOptions options = Trusting(authority_);
  options.resolve = [](std::string_view) { return std::vector<std::string>{"127.0.0.1"}; };
  const ScriptedHttpServerTls tls = Serving(authority_.Issue("named", "DNS:agents.test"));
  EXPECT_EQ(AnswerOf(tls, options, "agents.test").status, 200);
  const HttpAnswer answer = AnswerOf(tls, options, "evil.test");
  EXPECT_EQ(answer.code, "http_tls_failed");
  EXPECT_THAT(answer.failure, HasSubstr("evil.test"));
}

TEST_F(HttpClientTlsTest, TrustsTheSystemsAuthoritiesByDefaultAndOnlyItsOwnOtherwise) {
  EXPECT_EQ(AnswerOf(Serving(certificate_), LoopbackOptions()).code, "http_tls_failed");
  EXPECT_EQ(AnswerOf(Serving(certificate_), Trusting(stranger_)).code, "http_tls_failed");
}

TEST_F(HttpClientTlsTest, RefusesOldVersionsOfTls) {
  ScriptedHttpServerTls tls = Serving(certificate_);
  tls.newest_version = TLS1_2_VERSION;
  EXPECT_EQ(AnswerOf(tls, Trusting(authority_)).status, 200);
  tls.newest_version = TLS1_1_VERSION;
  const HttpAnswer answer = AnswerOf(tls, Trusting(authority_));
  EXPECT_EQ(answer.code, "http_tls_failed") << answer.failure;
}

TEST_F(HttpClientTlsTest, SaysThatThePortSpeaksNoTls) {
  ScriptedHttpServer server(
      [](Connection& connection) { connection.Write("HTTP/1.1 400 Bad Request\r\n\r\n"); });
  HttpClient client(Trusting(authority_));
  const HttpAnswer answer = Call(client, {.url = "https" + server.Url().substr(4)});
  EXPECT_EQ(answer.code, "http_tls_failed");
  EXPECT_THAT(answer.failure, HasSubstr("write http://"));
}

TEST_F(HttpClientTlsTest, NamesTheFileThatCannotBeRead) {
  HttpClientOptions options = LoopbackOptions();
  options.ca_file = folder_ / "missing.pem";
  HttpAnswer answer = AnswerOf(Serving(certificate_), options);
  EXPECT_EQ(answer.code, "http_certificate_unreadable");
  EXPECT_THAT(answer.failure, HasSubstr(options.ca_file));

  options = Trusting(authority_);
  options.certificate_file = folder_ / "missing.crt";
  options.key_file = certificate_.key_file;
  answer = AnswerOf(Serving(certificate_), options);
  EXPECT_EQ(answer.code, "http_certificate_unreadable") << answer.failure;
  EXPECT_THAT(answer.failure, HasSubstr(options.certificate_file));

  options.certificate_file = certificate_.certificate_file;
  options.key_file = folder_ / "missing.key";
  answer = AnswerOf(Serving(certificate_), options);
  EXPECT_EQ(answer.code, "http_certificate_unreadable") << answer.failure;
  EXPECT_THAT(answer.failure, HasSubstr(options.key_file));

  options.key_file = authority_.Issue("unrelated").key_file;
  answer = AnswerOf(Serving(certificate_), options);
  EXPECT_EQ(answer.code, "http_certificate_unreadable") << answer.failure;
}

TEST_F(HttpClientTlsTest, ShowsItsCertificate) {
  ScriptedHttpServerTls tls = Serving(certificate_);
  tls.client_ca_file = authority_.ca_file();
  const TestCertificate mine = authority_.Issue("client");

  HttpClientOptions options = Trusting(authority_);
  options.certificate_file = mine.certificate_file;
  options.key_file = mine.key_file;
  const HttpAnswer accepted = AnswerOf(tls, options);
  EXPECT_EQ(accepted.status, 200) << accepted.failure;

  const HttpAnswer absent = AnswerOf(tls, Trusting(authority_));
  EXPECT_EQ(absent.status, 0);
  EXPECT_EQ(absent.code, "http_tls_failed") << absent.failure;
  EXPECT_THAT(absent.failure, HasSubstr("the client's certificate and key"));

  const TestCertificate strange = stranger_.Issue("strange_client");
  options.certificate_file = strange.certificate_file;
  options.key_file = strange.key_file;
  EXPECT_EQ(AnswerOf(tls, options).code, "http_tls_failed");
}

TEST_F(HttpClientTlsTest, ReadsItsFilesAtEachNewConnection) {
  const auto copy = [&](const std::string& from, const std::string& to) {
    std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
  };
  HttpClientOptions options = LoopbackOptions();
  options.ca_file = folder_ / "rotating_authority.crt";
  options.certificate_file = folder_ / "rotating.crt";
  options.key_file = folder_ / "rotating.key";
  const auto rotate = [&](const TestCertificate& certificate) {
    copy(certificate.certificate_file, options.certificate_file);
    copy(certificate.key_file, options.key_file);
  };
  copy(authority_.ca_file(), options.ca_file);
  ScriptedHttpServerTls tls = Serving(certificate_);
  tls.client_ca_file = authority_.ca_file();
  ScriptedHttpServer server(kOneRequestEach, tls);
  HttpClient client(options);
  const auto code = [&] { return Call(client, {.url = server.Url()}).code; };

  rotate(authority_.Issue("client_1"));
  EXPECT_EQ(code(), "");
  rotate(stranger_.Issue("client_2"));
  EXPECT_EQ(code(), "http_tls_failed");
  rotate(authority_.Issue("client_3"));
  EXPECT_EQ(code(), "");
  copy(stranger_.ca_file(), options.ca_file);
  EXPECT_EQ(code(), "http_tls_failed");
  copy(authority_.ca_file(), options.ca_file);
  EXPECT_EQ(code(), "");
}

// Speaks as much HTTP/2 as it takes to answer requests whose stream the client has ended: 200, no
// body, in batches of `at_a_time`.
ScriptedHttpServer::Script Http2(size_t at_a_time) {
  return [=](Connection& connection) {
    constexpr char kData = 0, kHeaders = 1, kSettings = 4, kPing = 6;
    constexpr uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4;
    const auto frame = [&](char type, uint8_t flags, std::string_view stream,
                           std::string_view payload) {
      std::string bytes{0, 0, static_cast<char>(payload.size()), type, static_cast<char>(flags)};
      connection.Write(bytes.append(stream).append(payload));
    };
    const std::string kConnection(4, '\0');
    connection.ReadBytes(24);  // the preface
    frame(kSettings, 0, kConnection, "");
    std::vector<std::string> unanswered;
    while (true) {
      const std::string head = connection.ReadBytes(9);
      if (head.size() < 9) return;
      const auto byte = [&](size_t i) {
        return static_cast<size_t>(static_cast<uint8_t>(head[i]));
      };
      const std::string payload = connection.ReadBytes(byte(0) << 16 | byte(1) << 8 | byte(2));
      const auto flags = static_cast<uint8_t>(head[4]);
      if (head[3] == kSettings && (flags & kAck) == 0) frame(kSettings, kAck, kConnection, "");
      if (head[3] == kPing && (flags & kAck) == 0) frame(kPing, kAck, kConnection, payload);
      if ((head[3] == kHeaders || head[3] == kData) && (flags & kEndStream) != 0) {
        unanswered.push_back(head.substr(5));
      }
      if (unanswered.size() < at_a_time) continue;
      for (const std::string& stream : unanswered) {
        frame(kHeaders, kEndHeaders | kEndStream, stream, "\x88");  // HPACK: :status 200
      }
      unanswered.clear();
    }
  };
}

TEST_F(HttpClientTlsTest, SharesOneConnectionOverHttp2) {
  constexpr size_t kCalls = 64;
  ScriptedHttpServerTls tls = Serving(certificate_);
  tls.http2 = true;
  // No reply comes before all requests are there: they cannot have come one after another.
  ScriptedHttpServer server(Http2(kCalls), tls);
  HttpClient client(Trusting(authority_));
  std::vector<std::future<HttpAnswer>> answers;
  for (size_t i = 0; i < kCalls; ++i) {
    answers.push_back(StartCall(client, {.url = server.Url(), .body = std::string(i, 'x')}));
  }
  for (auto& answer : answers) {
    const HttpAnswer got = answer.get();
    EXPECT_EQ(got.status, 200) << got.failure;
    EXPECT_EQ(got.code, "");
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(HttpClientTlsTest, StaysWithHttp1WhereHttp2IsOffOrUnknown) {
  ScriptedHttpServerTls tls = Serving(certificate_);
  HttpClientOptions options = Trusting(authority_);
  EXPECT_EQ(AnswerOf(tls, options).status, 200);
  tls.http2 = true;  // agrees if asked, but cannot speak it
  options.http2 = false;
  EXPECT_EQ(AnswerOf(tls, options).status, 200);
}

TEST_F(HttpClientTlsTest, TellsAllCallsThatWaitForOneConnectionWhyThereIsNone) {
  constexpr int kCalls = 32;
  ScriptedHttpServer server(ScriptedHttpServer::Always(200), Serving(stranger_.Issue("strange")));
  HttpClient client(Trusting(authority_));
  std::vector<std::future<HttpAnswer>> answers;
  for (int i = 0; i < kCalls; ++i) answers.push_back(StartCall(client, {.url = server.Url()}));
  for (auto& answer : answers) EXPECT_EQ(answer.get().code, "http_tls_failed");
}

TEST_F(HttpClientTlsTest, TimesAllCallsOutThatWaitForOneConnection) {
  const FullListenQueue full;
  HttpClientOptions options = Trusting(authority_);
  // One after another they would take longer than any test may.
  constexpr size_t kCalls = 1'000;
  options.connect_timeout = std::chrono::milliseconds(300);
  options.max_connections = kCalls;
  HttpClient client(options);
  std::vector<std::future<HttpAnswer>> answers;
  for (size_t i = 0; i < kCalls; ++i) {
    answers.push_back(
        StartCall(client, {.url = "https://127.0.0.1:" + std::to_string(full.port())}));
  }
  for (auto& answer : answers) EXPECT_EQ(answer.get().code, "http_timeout");
}

TEST_F(HttpClientTlsTest, HoldsManyCallsInFlightOverHttp1) {
  constexpr int kCalls = 64;
  std::latch all_here(kCalls);
  ScriptedHttpServer server(
      [&](Connection& connection) {
        if (!connection.Read()) return;
        all_here.arrive_and_wait();
        connection.Reply(200);
        connection.WaitUntilClosed();
      },
      Serving(certificate_));
  HttpClient client(Trusting(authority_));
  std::vector<std::future<HttpAnswer>> answers;
  for (int i = 0; i < kCalls; ++i) answers.push_back(StartCall(client, {.url = server.Url()}));
  for (auto& answer : answers) EXPECT_EQ(answer.get().status, 200);
}

}  // namespace
}  // namespace tailwater
