#include "postgres/postgres_config.h"

#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "postgres/register.h"
#include "support/database_url.h"
#include "tailwater/registry.h"

namespace tailwater::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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

std::pair<PostgresConfig, std::vector<std::string>> Parse(const ConfigNode& section) {
  Registry registry;
  RegisterPostgres(registry);
  Problems problems;
  const ParsedConfig parsed = registry.FindSource("postgres")->parse(section, problems);
  std::vector<std::string> messages;
  for (const Problem& problem : problems.list()) messages.push_back(problem.message);
  return {*static_cast<const PostgresConfig*>(parsed.get()), messages};
}

TEST(PostgresConfigTest, ReadsAUrl) {
  const auto [config, problems] =
      Parse(Section({{"url", "postgres://tail%40water@db.internal:5433/sh%20op"}}));
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_EQ(config.host, "db.internal");
  EXPECT_EQ(config.port, 5433u);
  EXPECT_EQ(config.user, "tail@water");
  EXPECT_EQ(config.database, "sh op");
}

TEST(PostgresConfigTest, ReadsAUrlWithAnAddress) {
  const auto [config, problems] = Parse(Section({{"url", "postgresql://u@[::1]:6000/d"}}));
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_EQ(config.host, "::1");
  EXPECT_EQ(config.port, 6000u);
}

TEST(PostgresConfigTest, ReadsAUrlWithASocketFolder) {
  const auto [config, problems] =
      Parse(Section({{"url", "postgres://u@/d?host=/run/postgresql&port=5433"}}));
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_EQ(config.host, "/run/postgresql");
  EXPECT_EQ(config.port, 5433u);
}

TEST(PostgresConfigTest, ReadsNestedSections) {
  ConfigNode section = Section({{"url", "postgres://u@h/d"}});
  section = Nested(section, "slot", {{"name", "theirs"}, {"create", "false"}});
  section = Nested(section, "publication", {{"name", "Theirs"}, {"create", "false"}});
  section = Nested(section, "tls", {{"mode", "verify-ca"}, {"ca", "/ca.pem"}});
  const auto [config, problems] = Parse(section);
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_EQ(config.slot.name, "theirs");
  EXPECT_FALSE(config.slot.create);
  EXPECT_FALSE(config.publication.create);
  EXPECT_EQ(config.tls.mode, TlsMode::kVerifyCa);
}

TEST(PostgresConfigTest, RefusesAPasswordInTheUrlAndNeverRepeatsIt) {
  const auto [config, problems] = Parse(Section({{"url", "postgres://u:geheim@h/d"}}));
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_THAT(problems[0], HasSubstr("password: ${env:NAME}"));
  EXPECT_THAT(problems[0], Not(HasSubstr("geheim")));
  EXPECT_THAT(config.url, IsEmpty());
}

TEST(PostgresConfigTest, RefusesWhatTheUrlAlreadySays) {
  const auto [config, problems] =
      Parse(Section({{"url", "postgres://u@h/d"}, {"host", "other"}, {"user", "x"}}));
  EXPECT_THAT(problems, ElementsAre(HasSubstr("sources.shop.host: 'url' already says so"),
                                    HasSubstr("sources.shop.user: 'url' already says so")));
}

TEST(PostgresConfigTest, RefusesBrokenUrls) {
  for (const char* url : {"h/d", "mysql://u@h/d", "postgres://u@h", "postgres://u@h/",
                          "postgres://u@h:x/d", "postgres://u@h/d?sslmode=disable"}) {
    const auto [config, problems] = Parse(Section({{"url", url}}));
    EXPECT_GE(problems.size(), 1u) << url;
  }
}

TEST(PostgresConfigTest, NeedsDatabaseAndUser) {
  const auto [config, problems] = Parse(Section({{"host", "h"}}));
  EXPECT_THAT(problems, ElementsAre(HasSubstr("set 'database'"), HasSubstr("set 'user'")));
}

TEST(PostgresConfigTest, RefusesASlotOfNobody) {
  ConfigNode section = Section({{"url", "postgres://u@h/d"}});
  section = Nested(section, "slot", {{"create", "false"}});
  EXPECT_THAT(Parse(section).second, ElementsAre(HasSubstr("whose slot is it?")));
  section = Nested(Section({{"url", "postgres://u@h/d"}}), "slot", {{"name", "Upper-Case"}});
  EXPECT_THAT(Parse(section).second, ElementsAre(HasSubstr("only a-z, 0-9 and _")));
}

TEST(PostgresConfigTest, KnowsThisHost) {
  for (const char* host : {"localhost", "127.0.0.1", "127.8.8.8", "::1", "/run/postgresql"})
    EXPECT_TRUE(IsThisHost(host)) << host;
  for (const char* host : {"db.internal", "10.0.0.1", "localhost.example.com", "128.0.0.1"})
    EXPECT_FALSE(IsThisHost(host)) << host;
}

}  // namespace
}  // namespace tailwater::postgres
