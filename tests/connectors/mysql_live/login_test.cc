// Who gets the password, and who does not; and that waits end.
#include <gmock/gmock.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "connectors/mysql_live/live_server.h"
#include "connectors/mysql_live/tcp_proxy.h"
#include "mysql/connection.h"
#include "support/temporary_folder.h"
#include "support/test_certificates.h"

namespace tailwater::mysql {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr const char* kPassword = "correct-horse-battery";

LiveServer& TlsServer(Flavour flavour) {
  if (flavour == Flavour::kMariadb) {
    static LiveServer server(Flavour::kMariadb, {"--tls"});
    return server;
  }
  static LiveServer server(Flavour::kMysql, {"--tls"});
  return server;
}

class LoginTest : public ::testing::TestWithParam<Flavour> {
 protected:
  LoginTest() : server_(TlsServer(GetParam())), root_(server_.Config()) {
    root_.Run("create user if not exists cdc@'%' identified by '" + std::string(kPassword) + "'");
    ForgetLogins();
  }
  // MySQL: the next login of everybody needs the password itself.
  void ForgetLogins() { root_.Run("flush privileges"); }
  MysqlConfig Config(TlsMode mode) {
    MysqlConfig config = server_.Config();
    config.user = "cdc";
    config.password = Secret(kPassword);
    config.tls.mode = mode;
    return config;
  }
  static std::string CodeOf(const MysqlConfig& config) {
    const auto opened = Connection::Open(config, "login_test", {});
    return opened ? "ok" : std::string(opened.error().code);
  }

  LiveServer& server_;
  Sql root_;
};

INSTANTIATE_TEST_SUITE_P(Live, LoginTest, BothFlavours(), FlavourName);

TEST_P(LoginTest, UsesTlsAndVerifiesAsTold) {
  MysqlConfig config = Config(TlsMode::kRequire);
  const auto opened = Connection::Open(config, "login_test", {});
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_TRUE((*opened)->uses_tls());
  EXPECT_TRUE((*opened)->uses_tcp());

  config.tls.mode = TlsMode::kVerifyFull;
  config.tls.ca = server_.ca();
  EXPECT_EQ(CodeOf(config), "ok");
  config.host = "localhost";  // the certificate names it
  EXPECT_EQ(CodeOf(config), "ok");
  config.host = "127.0.0.2";  // and not this
  const std::string by_another_name = CodeOf(config);
  EXPECT_TRUE(by_another_name == "mysql_tls_failed" || by_another_name == "mysql_unreachable")
      << by_another_name;
}

TEST_P(LoginTest, RefusesACertificateOfAnotherAuthority) {
  TemporaryFolder folder;
  const TestAuthority other(folder.path(), "other");
  for (const TlsMode mode : {TlsMode::kVerifyCa, TlsMode::kVerifyFull}) {
    MysqlConfig config = Config(mode);
    config.tls.ca = other.ca_file();
    const auto opened = Connection::Open(config, "login_test", {});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, "mysql_tls_failed");
    EXPECT_EQ(opened.error().disposition, Disposition::kNeedsOperator);
    EXPECT_THAT(opened.error().message, HasSubstr("tls.ca"));
    config.tls.ca = folder / "missing";
    EXPECT_EQ(CodeOf(config), "mysql_tls_failed");
  }
}

#ifndef TAILWATER_LIBMYSQLCLIENT
// What `openssl x509 -fingerprint` prints behind the "=".
std::string Fingerprint(const std::string& certificate, const std::string& digest) {
  const std::string command =
      "openssl x509 -noout -fingerprint -" + digest + " -in '" + certificate + "'";
  FILE* pipe = popen(command.c_str(), "r");
  char line[256] = "";
  [[maybe_unused]] const char* got = fgets(line, sizeof line, pipe);
  pclose(pipe);
  const std::string text = line;
  const size_t equals = text.find('=');
  return text.substr(equals + 1, text.find_last_not_of('\n') - equals);
}

TEST_P(LoginTest, PinsAFingerprint) {
  const std::string certificate =
      std::filesystem::path(server_.ca()).parent_path() / "server-cert.pem";
  MysqlConfig config = Config(TlsMode::kAuto);
  for (const char* digest : {"sha256", "sha1"}) {
    config.tls.fingerprint = Fingerprint(certificate, digest);
    EXPECT_EQ(CodeOf(config), "ok") << config.tls.fingerprint;
  }
  config.tls.fingerprint = std::string(64, 'a');
  ForgetLogins();
  TcpProxy proxy(server_.port());
  config.port = static_cast<uint32_t>(proxy.port());
  const auto opened = Connection::Open(config, "login_test", {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "mysql_tls_failed");
  EXPECT_THAT(opened.error().message, HasSubstr("not that of tls.fingerprint"));
}
#endif

TEST_P(LoginTest, SaysThatThePasswordIsWrong) {
  MysqlConfig config = Config(TlsMode::kRequire);
  config.password = Secret("wrong");
  const auto opened = Connection::Open(config, "login_test", {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "mysql_login_failed");
  EXPECT_EQ(opened.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(opened.error().message, HasSubstr("as 'cdc'"));
  EXPECT_THAT(opened.error().message, Not(HasSubstr("wrong")));
}

TEST_P(LoginTest, TellsAnAccountThatNeedsTls) {
  root_.Run("create user if not exists tls_only@'%' identified by '" + std::string(kPassword) +
            "' require ssl");
  MysqlConfig config = Config(TlsMode::kDisable);
  config.user = "tls_only";
  EXPECT_NE(CodeOf(config), "ok");
  config.tls.mode = TlsMode::kRequire;
  EXPECT_EQ(CodeOf(config), "ok");
}

TEST_P(LoginTest, TakesASocketForSafe) {
  MysqlConfig config = Config(TlsMode::kAuto);
  root_.Run("create user if not exists cdc@localhost identified by '" + std::string(kPassword) +
            "'");
  ForgetLogins();
  config.host = server_.socket();
  const auto opened = Connection::Open(config, "login_test", {});
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_FALSE((*opened)->uses_tls());
  EXPECT_FALSE((*opened)->uses_tcp());
}

// A server, or somebody in between, that says it has no TLS.
TEST_P(LoginTest, SendsNothingToAServerWithoutTlsWhereTlsIsAsked) {
  for (const TlsMode mode : {TlsMode::kRequire, TlsMode::kVerifyCa, TlsMode::kVerifyFull}) {
    TcpProxy each(server_.port(), [first = true](std::string& bytes) mutable {
      if (!std::exchange(first, false)) return;
      const size_t capabilities = bytes.find('\0', 5) + 1 + 4 + 8 + 1;
      bytes[capabilities + 1] = static_cast<char>(bytes[capabilities + 1] & ~0x08);
    });
    MysqlConfig config = Config(mode);
    config.tls.ca = server_.ca();
    config.port = static_cast<uint32_t>(each.port());
    EXPECT_EQ(CodeOf(config), "mysql_tls_failed");
    EXPECT_THAT(each.from_clients(), Not(HasSubstr("cdc")));
  }
}

class PlainLoginTest : public LoginTest {};
INSTANTIATE_TEST_SUITE_P(Live, PlainLoginTest, ::testing::Values(Flavour::kMysql), FlavourName);

TEST_P(PlainLoginTest, NeedsAPinnedKeyOrTheServersCache) {
  const std::string key = server_.data() + "/public_key.pem";
  const auto plain = [&] { return Config(TlsMode::kDisable); };
  {
    const auto opened = Connection::Open(plain(), "login_test", {});
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().message, HasSubstr("server_public_key"));
    EXPECT_EQ(opened.error().disposition, Disposition::kNeedsOperator);
#ifndef TAILWATER_LIBMYSQLCLIENT
    EXPECT_EQ(opened.error().code, "mysql_insecure_login");
#endif
  }
  MysqlConfig pinned = plain();
  pinned.server_public_key = key;
  EXPECT_EQ(CodeOf(pinned), "ok");
  EXPECT_EQ(CodeOf(plain()), "ok");  // from the cache: no password goes out
  ForgetLogins();
  EXPECT_NE(CodeOf(plain()), "ok");

  TemporaryFolder folder;
  const std::string other = folder / "other.pem";
  ASSERT_EQ(std::system(("openssl genrsa 2048 2>/dev/null | openssl rsa -pubout -out '" + other +
                         "' 2>/dev/null")
                            .c_str()),
            0);
  pinned.server_public_key = other;
  EXPECT_EQ(CodeOf(pinned), "mysql_login_failed");
  pinned.server_public_key = folder / "missing.pem";
  EXPECT_EQ(CodeOf(pinned), "mysql_public_key");
}

TEST_P(PlainLoginTest, NeverAsksForTheServersKey) {
  TcpProxy proxy(server_.port());
  MysqlConfig config = Config(TlsMode::kDisable);
  config.port = static_cast<uint32_t>(proxy.port());
  EXPECT_NE(CodeOf(config), "ok");
  const std::string sent = proxy.from_clients();
  // Packets: length in three bytes, number, body. The request for the key is a body of 2.
  for (size_t at = 0; at + 4 < sent.size();) {
    const size_t size = static_cast<unsigned char>(sent[at]) |
                        static_cast<size_t>(static_cast<unsigned char>(sent[at + 1])) << 8;
    EXPECT_FALSE(size == 1 && (sent[at + 4] == 2 || sent[at + 4] == 1)) << "at " << at;
    at += 4 + size;
  }
  EXPECT_THAT(sent, HasSubstr("cdc"));
}

// Somebody in between turns the request for the account's way of login into another one.
TEST_P(PlainLoginTest, SendsNoPasswordToWhoeverAsks) {
  for (const std::string plugin : {"mysql_clear_password", "dialog", "sha256_password"}) {
    TcpProxy proxy(server_.port(), [plugin](std::string& bytes) {
      const size_t at = bytes.find(std::string("\xfe") + "caching_sha2_password");
      if (at == std::string::npos) return;
      std::string body =
          "\xfe" + plugin + std::string(1, '\0') + std::string(20, 'x') + std::string(1, '\0');
      const std::string head = {static_cast<char>(body.size()), 0, 0, bytes[3]};
      bytes = head + body;
    });
    MysqlConfig config = Config(TlsMode::kDisable);
    config.port = static_cast<uint32_t>(proxy.port());
    config.connect_timeout = 2s;
    EXPECT_NE(CodeOf(config), "ok") << plugin;
    EXPECT_THAT(proxy.from_clients(), Not(HasSubstr(kPassword))) << plugin;
  }
}

class WaitTest : public ::testing::TestWithParam<Flavour> {
 protected:
  LiveServer& server_ = LiveServer::Shared(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Live, WaitTest, BothFlavours(), FlavourName);

TEST_P(WaitTest, EndsAQueryAtItsTimeout) {
  auto opened = Connection::Open(server_.Config(), "wait_test", {});
  ASSERT_TRUE(opened) << opened.error().message;
  Connection::Wait wait;
  wait.timeout = 300ms;
  const auto rows = (*opened)->Query("select sleep(30)", wait);
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, "mysql_timeout");
  EXPECT_TRUE((*opened)->broken());
  EXPECT_EQ((*opened)->Query("select 1").error().code, "mysql_connection_lost");
}

TEST_P(WaitTest, EndsAQueryAtAStop) {
  std::stop_source stop;
  auto opened = Connection::Open(server_.Config(), "wait_test", {stop.get_token(), nullptr});
  ASSERT_TRUE(opened) << opened.error().message;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(200ms);
    stop.request_stop();
  });
  const auto begin = Clock::now();
  const auto rows = (*opened)->Query("select sleep(30)");
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().disposition, Disposition::kCancelled);
  EXPECT_LT(Clock::now() - begin, 3s);
}

TEST_P(WaitTest, TellsThatASessionWasKilled) {
  auto opened = Connection::Open(server_.Config(), "wait_test", {});
  ASSERT_TRUE(opened);
  Sql root(server_.Config());
  root.Run("kill " + std::to_string((*opened)->session_id()));
  const auto rows = (*opened)->Query("select 1");
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().disposition, Disposition::kRetry);
  EXPECT_TRUE((*opened)->broken());
}

TEST_P(WaitTest, GoesOnAfterAnErrorOfTheServer) {
  auto opened = Connection::Open(server_.Config(), "wait_test", {});
  ASSERT_TRUE(opened);
  EXPECT_EQ((*opened)->Query("select * from public.missing").error().code, "mysql_table_missing");
  EXPECT_FALSE((*opened)->broken());
  const auto rows = (*opened)->Query("select 1 as One, null, 'a\\'b\\\\'");
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->MaybeNumber(0, rows->Column("ONE")), 1);
  EXPECT_TRUE(rows->IsNull(0, 1));
  const std::string odd = std::string("'\\\"\0\n\x1a`", 7) + "ä";
  EXPECT_EQ((*opened)->Query("select " + (*opened)->QuoteLiteral(odd))->String(0, 0), odd);
}

TEST_P(WaitTest, PinsWhatShapesTextOfASession) {
  Sql root(server_.Config());
  EXPECT_EQ(root.Value("select @@session.time_zone"), "+00:00");
  EXPECT_EQ(root.Value("select @@session.sql_mode"), "STRICT_TRANS_TABLES");
  EXPECT_EQ(root.Value("select @@session.character_set_results"), "utf8mb4");
  EXPECT_EQ(root.Value("select @@session.net_write_timeout"), "3600");
  EXPECT_EQ(root.connection().flavour(), GetParam());
  EXPECT_GE(root.connection().server_version(), 80001);
}

TEST_P(WaitTest, StreamsRowsAndStopsInTheMiddle) {
  auto opened = Connection::Open(server_.Config(), "wait_test", {});
  ASSERT_TRUE(opened);
  const std::string numbers =
      "with recursive n as (select 1 i union all select i + 1 from n where i < 900) "
      "select i, if(i = 2, null, repeat('x', 1000)) from n";
  int rows = 0;
  auto all = (*opened)->Stream(numbers, {}, [&](Connection::Cells cells) -> Result<bool> {
    ++rows;
    EXPECT_EQ(cells[0], std::to_string(rows));
    EXPECT_EQ(cells[1].data() == nullptr, rows == 2);
    return true;
  });
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_TRUE(*all);
  EXPECT_EQ(rows, 900);
  auto some = (*opened)->Stream(numbers, {},
                                [&](Connection::Cells) -> Result<bool> { return --rows > 880; });
  ASSERT_TRUE(some);
  EXPECT_FALSE(*some);
  EXPECT_TRUE((*opened)->broken());
}

// A port where nobody answers.
TEST(ConnectTest, GivesUpAtItsTimeoutAndAtAStop) {
  int port = 0;
  const int listener = TcpProxy::Listen(port);
  MysqlConfig config;
  config.host = "127.0.0.1";
  config.port = static_cast<uint32_t>(port);
  config.user = "cdc";
  config.connect_timeout = 1s;
  auto begin = Clock::now();
  const auto late = Connection::Open(config, "wait_test", {});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().disposition, Disposition::kRetry) << late.error().message;
  EXPECT_LT(Clock::now() - begin, 4s);

#ifndef TAILWATER_LIBMYSQLCLIENT
  config.connect_timeout = 30s;
  std::stop_source stop;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(200ms);
    stop.request_stop();
  });
  begin = Clock::now();
  const auto stopped = Connection::Open(config, "wait_test", {stop.get_token(), nullptr});
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().disposition, Disposition::kCancelled) << stopped.error().message;
  EXPECT_LT(Clock::now() - begin, 3s);
#endif
  close(listener);
}

}  // namespace
}  // namespace tailwater::mysql
