// check, describe, watch, the end of the log, digest.
#include "connectors/mysql_live/live_fixture.h"

namespace tailwater::mysql {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Severity = tailwater::Finding::Severity;

class ToolsTest : public LiveTest {
 protected:
  std::vector<Finding> Check() {
    auto findings = MysqlTools(config_, Context()).Check();
    EXPECT_OK(findings);
    return findings ? *findings : std::vector<Finding>();
  }
  Finding Find(const std::vector<Finding>& findings, const std::string& code,
               const std::string& subject) {
    for (const Finding& finding : findings)
      if (finding.code == code && finding.subject == subject) return finding;
    std::string all;
    for (const Finding& finding : findings)
      all += finding.code + " " + finding.subject + ": " + finding.message + "\n";
    ADD_FAILURE() << "no " << code << " of " << subject << " among\n" << all;
    return {};
  }
};
INSTANTIATE_TEST_SUITE_P(Live, ToolsTest, BothFlavours(), FlavourName);

TEST_P(ToolsTest, CheckIsContentWithAReadyServer) {
  Run("create table t (id int unsigned primary key, total decimal(12,2), note text, twice int as "
      "(id "
      "* 2) stored)");
  Run("create table keyless (v int)");
  const auto findings = Check();
  for (const Finding& finding : findings)
    EXPECT_NE(finding.severity, Severity::kError) << finding.code << ": " << finding.message;
  EXPECT_THAT(Find(findings, "mysql_table", Table("t")).message, HasSubstr("key (id)"));
  EXPECT_THAT(Find(findings, "mysql_column", Table("t.total")).message, HasSubstr("-> decimal"));
  EXPECT_THAT(Find(findings, "mysql_column", Table("t.twice")).message, HasSubstr("generated"));
  EXPECT_EQ(Find(findings, "mysql_copy_whole", Table("keyless")).severity, Severity::kInfo);
  EXPECT_EQ(Find(findings, "mysql_privileges", "user").severity, Severity::kOk);
}

TEST_P(ToolsTest, PartsOfRowsAreWarnedOf) {
  Run("create table t (id int primary key, doc json)");
  Run("set global binlog_row_image = MINIMAL");
  if (!mariadb()) Run("set global binlog_row_value_options = PARTIAL_JSON");
  const auto findings = Check();
  Run("set global binlog_row_image = FULL");
  if (!mariadb()) Run("set global binlog_row_value_options = ''");
  const Finding image = Find(findings, "mysql_row_image", "binlog_row_image");
  EXPECT_EQ(image.severity, Severity::kWarning);
  EXPECT_THAT(image.remedy, HasSubstr("SET GLOBAL binlog_row_image = 'FULL';"));
  if (mariadb()) return;
  const Finding parts = Find(findings, "mysql_partial_json", "binlog_row_value_options");
  EXPECT_EQ(parts.severity, Severity::kWarning);
  EXPECT_THAT(parts.remedy, HasSubstr("SET GLOBAL binlog_row_value_options = '';"));
}

// To who may only SELECT, information_schema shows no foreign keys.
TEST_P(ToolsTest, CascadesThatAreNotLoggedAreNamed) {
  Run("create table parent (id int primary key)");
  Run("create table child (id int primary key, p int, foreign key (p) references parent (id) on "
      "delete cascade)");
  Run("create table stays (id int primary key, p int comment 'ON DELETE CASCADE', foreign key (p) "
      "references parent (id))");
  const std::string user = fmt::format("u{}", database_);
  Run("create user " + user + " identified by 'x'");
  Run("grant select on " + database_ + ".* to " + user);
  config_.user = user;
  config_.password = Secret("x");
  std::vector<std::string> named;
  for (const Finding& finding : Check())
    if (finding.code == "mysql_cascades") named.push_back(finding.subject);
  // MySQL 9.6 and later logs them.
  EXPECT_EQ(named, mariadb() ? std::vector{Table("child")} : std::vector<std::string>());
  Run("drop user " + user);
}

TEST_P(ToolsTest, AnUnreachableServerIsAFinding) {
  config_.port = 1;
  const auto findings = Check();
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].severity, Severity::kError);
  EXPECT_EQ(findings[0].code, "mysql_unreachable");
}

TEST_P(ToolsTest, DescribesTablesAsTheStreamDoes) {
  Run("create table t (a bigint unsigned, b varchar(20), c enum('x','y'), d datetime(3), e json, f "
      "blob, g int as (1) stored, h bit(9), primary key (a))");
  SchemaPtr streamed;
  writer_.inspect = [&](const Change& change) {
    streamed = TableSchema::Make(change.schema->name(), change.schema->columns());
  };
  Start();
  ASSERT_TRUE(WaitForPlace());
  Run("insert into t (a, b, c) values (1, 'x', 'y')");
  ASSERT_TRUE(writer_.WaitForChanges(1));
  EXPECT_OK(Stop());
  const auto described = MysqlTools(config_, Context()).DescribeTables();
  ASSERT_OK(described);
  ASSERT_THAT(*described, SizeIs(1));
  EXPECT_TRUE((*described)[0].whole_before);
  EXPECT_EQ((*described)[0].schema->columns(), streamed->columns());
  EXPECT_EQ((*described)[0].schema->fingerprint(), streamed->fingerprint());
}

TEST_P(ToolsTest, WatchMeasuresFromOurPlace) {
  Run("create table t (id int primary key auto_increment, v longblob)");
  MysqlTools tools(config_, Context());
  auto health = tools.Watch();
  ASSERT_OK(health);
  EXPECT_TRUE(health->server_end);
  EXPECT_FALSE(health->headroom_bytes);

  Start();
  ASSERT_TRUE(WaitForPlace());
  Run("insert into t (v) values ('x')");
  ASSERT_TRUE(writer_.WaitForChanges(1));
  ASSERT_TRUE(writer_.WaitUntil([&](RecordingWriter& self) {
    const auto end = tools.LogEnd();
    const auto reached =
        end ? tools.HasReached(*self.resume().frontier, *end) : Result<bool>(false);
    return reached && *reached;
  }));
  const int64_t committed = writer_.transactions().back().commit_time_micros;
  tools.Follow(writer_.resume().frontier, committed);
  health = tools.Watch();
  ASSERT_OK(health);
  EXPECT_EQ(health->state, "reserved");
  EXPECT_EQ(health->confirmed_lag_bytes, 0u);
  EXPECT_TRUE(health->active.value_or(false));
  ASSERT_TRUE(health->headroom_bytes);
  EXPECT_GT(*health->headroom_bytes, 100u);
  ASSERT_TRUE(health->headroom_seconds);
  EXPECT_LT(*health->headroom_seconds, 86400);
  EXPECT_OK(Stop());

  // What comes now is not read: it is lag, also over the end of a file.
  Run("insert into t (v) values (repeat('x', 300000))");
  Run("flush binary logs");
  Run("insert into t (v) values (repeat('x', 300000))");
  health = tools.Watch();
  ASSERT_OK(health);
  EXPECT_GT(health->confirmed_lag_bytes.value_or(0), 300000u);
  EXPECT_LT(health->confirmed_lag_bytes.value_or(0), 1'200'000u);
  if (!mariadb()) {
    EXPECT_TRUE(health->safe_seconds) << "binlog_expire_logs_seconds is 30 days";
  }
  const auto end = tools.LogEnd();
  ASSERT_OK(end);
  const auto reached = tools.HasReached(*writer_.resume().frontier, *end);
  ASSERT_OK(reached);
  EXPECT_FALSE(*reached);
  EXPECT_THAT(*tools.ListOwned(), IsEmpty());
}

TEST_P(ToolsTest, EqualRowsHaveEqualDigests) {
  Run("create table a (id int primary key, f float, t text, b varbinary(20), d datetime(6), j "
      "json)");
  Run("insert into a values (1, 0.1, 'ä', x'00ff', '2024-02-29 12:00:00.5', '{\"a\": 1}'), (2, "
      "null, "
      "'', null, null, null)");
  MysqlTools tools(config_, Context());
  const auto first = tools.Digest(Table("a"));
  ASSERT_OK(first);
  EXPECT_EQ(first->rows, 2u);
  Run("update a set t = 'a' where id = 2");
  const auto changed = tools.Digest(Table("a"));
  ASSERT_OK(changed);
  EXPECT_NE(*changed, *first);
  Run("update a set t = '' where id = 2");
  EXPECT_EQ(*tools.Digest(Table("a")), *first);
  Run("update a set t = null where id = 2");
  EXPECT_NE(*tools.Digest(Table("a")), *first);
  EXPECT_THAT(tools.Digest(Table("nope")), IsErrorWith("mysql_table_missing"));
}

}  // namespace
}  // namespace tailwater::mysql
