#include "mysql/server_facts.h"

#include <gmock/gmock.h>

#include <string>

namespace tailwater::mysql {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

ServerFacts Ready() {
  ServerFacts facts;
  facts.version = 90704;
  facts.log_bin = true;
  facts.binlog_format = "ROW";
  facts.row_image = "FULL";
  facts.row_metadata = "FULL";
  return facts;
}

ServerFacts At(Provider provider) {
  ServerFacts facts = Ready();
  facts.provider = provider;
  facts.row_metadata = "MINIMAL";
  return facts;
}

std::string Remedy(const ServerFacts& facts) {
  const auto problems = FindSettingProblems(facts);
  EXPECT_THAT(problems, SizeIs(1));
  return problems.empty() ? std::string() : problems.front().remedy;
}

TEST(ServerFactsTest, AReadyServerHasNoProblems) {
  EXPECT_THAT(FindSettingProblems(Ready()), IsEmpty());
}

TEST(ServerFactsTest, ASettingIsChangedWhereItsProviderKeepsIt) {
  EXPECT_THAT(Remedy(At(Provider::kSelf)), HasSubstr("SET GLOBAL binlog_row_metadata = 'FULL';"));
  EXPECT_THAT(Remedy(At(Provider::kRds)),
              HasSubstr("modify-db-parameter-group --db-parameter-group-name GROUP --parameters "
                        "ParameterName=binlog_row_metadata,ParameterValue=FULL"));
  EXPECT_THAT(Remedy(At(Provider::kAurora)), HasSubstr("modify-db-cluster-parameter-group"));
  EXPECT_THAT(Remedy(At(Provider::kCloudSql)),
              HasSubstr("--database-flags=binlog_row_metadata=FULL"));
  EXPECT_THAT(Remedy(At(Provider::kAzure)), HasSubstr("--name binlog_row_metadata --value FULL"));
  EXPECT_THAT(SettingRemedy(Ready(), "binlog_row_value_options", ""),
              HasSubstr("SET GLOBAL binlog_row_value_options = '';  -- and take"));
}

// MariaDB comes with all three of them wrong.
TEST(ServerFactsTest, ALogThatIsOffIsSwitchedOnByOneRestart) {
  ServerFacts facts = Ready();
  facts.flavour = Flavour::kMariadb;
  facts.version = 101119;
  facts.log_bin = false;
  EXPECT_THAT(Remedy(facts), Not(HasSubstr("binlog_format")));
  facts.binlog_format = "MIXED";
  facts.row_metadata = "NO_LOG";
  EXPECT_THAT(Remedy(facts), HasSubstr("log_bin = binlog, binlog_format = ROW, "
                                       "binlog_row_metadata = FULL and server_id = 1"));
}

TEST(ServerFactsTest, ALogThatIsOffIsSwitchedOnByItsProvider) {
  ServerFacts facts = Ready();
  facts.log_bin = false;
  facts.provider = Provider::kRds;
  EXPECT_THAT(Remedy(facts), HasSubstr("--backup-retention-period"));
  facts.provider = Provider::kCloudSql;
  EXPECT_THAT(Remedy(facts), HasSubstr("--enable-bin-log"));
  facts.provider = Provider::kAurora;
  facts.binlog_format = "STATEMENT";
  EXPECT_THAT(Remedy(facts), HasSubstr("ParameterName=binlog_format,ParameterValue=ROW"));
}

}  // namespace
}  // namespace tailwater::mysql
