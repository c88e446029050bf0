#include "mysql/mysql_config.h"

#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

namespace tailwater::mysql {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Entries = std::vector<std::pair<std::string, std::string>>;

ConfigNode Section(const Entries& entries) {
  ConfigNode node;
  node.kind = ConfigNode::Kind::kMap;
  node.path = "sources.shop";
  for (const auto& [key, value] : entries) {
    ConfigNode scalar;
    scalar.kind = ConfigNode::Kind::kScalar;
    scalar.path = node.path + "." + key;
    scalar.scalar = value;
    node.entries.push_back({key, {}, scalar});
  }
  return node;
}

ConfigNode Nested(ConfigNode node, const std::string& key, const Entries& entries) {
  ConfigNode inner = Section(entries);
  inner.path = node.path + "." + key;
  node.entries.push_back({key, {}, inner});
  return node;
}

std::pair<MysqlConfig, std::vector<std::string>> Parse(const ConfigNode& section) {
  MysqlConfig config;
  Problems problems;
  ParseOptions(MysqlOptions(), section, {}, &config, problems);
  ValidateMysql(config, section, problems);
  std::vector<std::string> messages;
  for (const Problem& problem : problems.list()) messages.push_back(problem.message);
  return {config, messages};
}

TEST(MysqlConfigTest, ReadsAUrl) {
  const auto [config, problems] =
      Parse(Section({{"url", "mysql://tail%40water@db.internal:3307/sh%20op"}}));
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_EQ(config.host, "db.internal");
  EXPECT_EQ(config.port, 3307u);
  EXPECT_EQ(config.user, "tail@water");
  EXPECT_EQ(config.database, "sh op");
}

TEST(MysqlConfigTest, ReadsAUrlWithoutADatabase) {
  for (const char* url : {"mariadb://u@[::1]", "mysql://u@[::1]/"}) {
    const auto [config, problems] = Parse(Section({{"url", url}}));
    EXPECT_THAT(problems, IsEmpty());
    EXPECT_EQ(config.host, "::1");
    EXPECT_EQ(config.port, 3306u);
    EXPECT_EQ(config.database, "");
  }
}

TEST(MysqlConfigTest, ReadsAUrlWithASocket) {
  const auto [config, problems] =
      Parse(Section({{"url", "mysql://u@/shop?socket=/run/mysqld/mysqld.sock"}}));
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_EQ(config.host, "/run/mysqld/mysqld.sock");
  EXPECT_EQ(config.database, "shop");
  EXPECT_EQ(EffectiveTlsMode(config), TlsMode::kDisable);
}

TEST(MysqlConfigTest, ReadsNestedSectionsAndChoices) {
  ConfigNode section = Section({{"url", "mysql://u@h/d"},
                                {"zero_dates", "as_null"},
                                {"invalid_text", "replace"},
                                {"server_id", "4294967295"}});
  section = Nested(section, "tls", {{"mode", "verify-ca"}, {"ca", "/ca.pem"}});
  const auto [config, problems] = Parse(section);
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_EQ(config.tls.mode, TlsMode::kVerifyCa);
  EXPECT_EQ(config.zero_dates, ZeroDates::kNull);
  EXPECT_EQ(config.invalid_text, InvalidText::kReplace);
  EXPECT_EQ(config.server_id, 4294967295u);
}

TEST(MysqlConfigTest, RefusesAPasswordInTheUrlAndNeverRepeatsIt) {
  const auto [config, problems] = Parse(Section({{"url", "mysql://u:geheim@h/d"}}));
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_THAT(problems[0], HasSubstr("password: ${env:NAME}"));
  EXPECT_THAT(problems[0], Not(HasSubstr("geheim")));
  EXPECT_THAT(config.url, IsEmpty());
}

TEST(MysqlConfigTest, RefusesWhatTheUrlAlreadySays) {
  const auto [config, problems] =
      Parse(Section({{"url", "mysql://u@h/d"}, {"host", "other"}, {"user", "x"}}));
  EXPECT_THAT(problems, ElementsAre(HasSubstr("sources.shop.host: 'url' already says so"),
                                    HasSubstr("sources.shop.user: 'url' already says so")));
}

TEST(MysqlConfigTest, RefusesBrokenUrls) {
  for (const char* url : {"h/d", "postgres://u@h/d", "mysql://u@h:x/d", "mysql://u@h/d?ssl=0",
                          "mysql://u@h/d?socket=", "mysql://u@a,b/d", "mysql://h/d",
                          "mysql://u@h:0/d", "mysql://u@[::1/d", "mysql://%zz@h/d"}) {
    const auto [config, problems] = Parse(Section({{"url", url}}));
    EXPECT_EQ(problems.size(), 1u) << url;
  }
}

TEST(MysqlConfigTest, NeedsAUser) {
  const auto [config, problems] = Parse(Section({{"host", "h"}}));
  EXPECT_THAT(problems, ElementsAre(HasSubstr("set 'user'")));
}

TEST(MysqlConfigTest, RefusesMoreThanOneHost) {
  for (const char* host : {"a,b", "mariadb://h"}) {
    const auto [config, problems] = Parse(Section({{"host", host}, {"user", "u"}}));
    EXPECT_THAT(problems, ElementsAre(HasSubstr("sources.shop.host: one host"))) << host;
  }
}

TEST(MysqlConfigTest, RefusesFingerprintsThatAreNone) {
  const ConfigNode section = Section({{"url", "mysql://u@h/d"}});
  for (const char* fingerprint : {"12:34", "zz", "5F0E5F0E5F0E5F0E5F0E5F0E5F0E5F0E5F0E5F0"}) {
    EXPECT_THAT(Parse(Nested(section, "tls", {{"fingerprint", fingerprint}})).second,
                ElementsAre(HasSubstr("64 hexadecimal digits")))
        << fingerprint;
  }
  const std::string sha1(40, 'A');
  const auto [config, problems] = Parse(Nested(section, "tls", {{"fingerprint", sha1}}));
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_EQ(EffectiveTlsMode(config), TlsMode::kRequire);
  EXPECT_EQ(FingerprintDigits(config.tls.fingerprint), std::string(40, 'a'));
  EXPECT_EQ(FingerprintDigits("AB:cd" + std::string(60, '0')), "abcd" + std::string(60, '0'));
}

TEST(MysqlConfigTest, RefusesAFingerprintThatNobodyLooksAt) {
  const ConfigNode section = Section({{"url", "mysql://u@h/d"}});
  const std::string sha1(40, 'a');
  EXPECT_THAT(Parse(Nested(section, "tls", {{"fingerprint", sha1}, {"mode", "prefer"}})).second,
              ElementsAre(HasSubstr("leave out `mode`")));
  EXPECT_THAT(Parse(Nested(section, "tls", {{"fingerprint", sha1}, {"ca", "/ca"}})).second,
              ElementsAre(HasSubstr("keep one of them")));
}

TEST(MysqlConfigTest, RefusesTlsOverASocketAndHalfACertificate) {
  const ConfigNode section = Section({{"host", "/run/s"}, {"user", "u"}});
  EXPECT_THAT(Parse(Nested(section, "tls", {{"mode", "verify-full"}})).second,
              ElementsAre(HasSubstr("a Unix socket needs no TLS")));
  EXPECT_THAT(Parse(Nested(section, "tls", {{"cert", "/c"}})).second,
              ElementsAre(HasSubstr("cert and key go together")));
}

TEST(MysqlConfigTest, RefusesTimesThatAreTooShort) {
  const auto [config, problems] = Parse(Section({{"url", "mysql://u@h/d"},
                                                 {"silence_timeout", "1s"},
                                                 {"connect_timeout", "10ms"},
                                                 {"copy_timeout", "10ms"}}));
  EXPECT_THAT(problems, ElementsAre(HasSubstr("copy_timeout: must be at least 1s"),
                                    HasSubstr("connect_timeout: must be at least 1s"),
                                    HasSubstr("silence_timeout: must be at least 5s")));
}

TEST(MysqlConfigTest, VerifiesTowardsAnotherHostAlone) {
  MysqlConfig config;
  for (const char* host : {"localhost", "127.0.0.1", "::1"}) {
    config.host = host;
    EXPECT_EQ(EffectiveTlsMode(config), TlsMode::kPrefer) << host;
  }
  for (const char* host : {"db1", "10.0.0.1", "localhost.example.com"}) {
    config.host = host;
    EXPECT_EQ(EffectiveTlsMode(config), TlsMode::kVerifyFull) << host;
  }
}

}  // namespace
}  // namespace tailwater::mysql
