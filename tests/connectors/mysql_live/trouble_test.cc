// What stands against reading: settings, grants, other readers. Each is named with what to run, and
// heals.
#include "connectors/mysql_live/live_fixture.h"

namespace tailwater::mysql {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TroubleTest : public LiveTest {
 protected:
  void ExpectOperator(const Status& status, const std::string& code, const std::string& remedy) {
    ASSERT_THAT(status, IsErrorWith(code));
    EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator);
    EXPECT_THAT(status.error().message, HasSubstr(remedy));
  }
};
INSTANTIATE_TEST_SUITE_P(Live, TroubleTest, BothFlavours(), FlavourName);

TEST_P(TroubleTest, SettingsThatForbidReading) {
  Run("create table t (id int primary key)");
  struct Case {
    const char* setting;
    const char* value;
    const char* good;
    const char* code;
  };
  for (const Case& one :
       {Case{"binlog_format", "STATEMENT", "ROW", "mysql_statement_format"},
        Case{"binlog_format", "MIXED", "ROW", "mysql_statement_format"},
        Case{"binlog_row_metadata", "MINIMAL", "FULL", "mysql_metadata_missing"}}) {
    Run(fmt::format("set global {} = {}", one.setting, one.value));
    ExpectOperator(RunOnce(), one.code, fmt::format("SET GLOBAL {} = '{}'", one.setting, one.good));
    EXPECT_THAT(writer_.established(), IsEmpty());
    Run(fmt::format("set global {} = {}", one.setting, one.good));
  }
  Start();
  ASSERT_TRUE(WaitForPlace());
  EXPECT_OK(Stop());
}

TEST_P(TroubleTest, MetadataThatGoesMissingUnderTheStreamHaltsInFrontOfIt) {
  Run("create table t (id int primary key)");
  Start();
  ASSERT_TRUE(WaitForPlace());
  Run("set global binlog_row_metadata = MINIMAL");
  Run("insert into t values (1)");
  const Status status = Join();
  Run("set global binlog_row_metadata = FULL");
  ASSERT_THAT(status, IsErrorWith("mysql_metadata_missing"));
  EXPECT_THAT(status.error().message, HasSubstr("SET GLOBAL binlog_row_metadata"));
  EXPECT_THAT(writer_.changes(), IsEmpty());
}

TEST_P(TroubleTest, GrantsThatAreMissingAreNamed) {
  Run("create table t (id int primary key)");
  const std::string client = mariadb() ? "binlog monitor" : "replication client";
  const std::vector<std::string> all = {"replication slave on *.*", client + " on *.*",
                                        "select on " + database_ + ".*"};
  const std::string user = fmt::format("u{}", database_);
  config_.user = user;
  config_.password = Secret("x");
  for (size_t missing = 0; missing <= all.size(); ++missing) {
    Run("drop user if exists " + user);
    Run("create user " + user + " identified by 'x'");
    for (size_t i = 0; i < all.size(); ++i)
      if (i != missing) Run("grant " + all[i] + " to " + user);
    source_.reset();
    writer_.set_resume({});
    if (missing == all.size()) {
      Start();
      ASSERT_TRUE(WaitForPlace());
      EXPECT_OK(Stop());
    } else {
      const Status status = RunOnce();
      ASSERT_FALSE(status) << all[missing];
      EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator) << status.error().message;
      EXPECT_THAT(std::string(status.error().code),
                  missing == 2 ? "mysql_table_missing" : "mysql_privilege_missing");
    }
    // What `check` prints is enough.
    MysqlTools tools(config_, Context());
    const auto findings = tools.Check();
    ASSERT_OK(findings);
    std::string remedies;
    for (const Finding& finding : *findings) {
      if (finding.severity == Finding::Severity::kError) remedies += finding.remedy + "\n";
    }
    if (missing == all.size()) {
      EXPECT_EQ(remedies, "");
    } else {
      EXPECT_THAT(remedies, AllOf(HasSubstr("GRANT "),
                                  HasSubstr(missing == 0   ? "REPLICATION SLAVE"
                                            : missing == 2 ? "SELECT"
                                            : mariadb()    ? "BINLOG MONITOR"
                                                           : "REPLICATION CLIENT"),
                                  HasSubstr(user)));
    }
  }
  Run("drop user " + user);
}

TEST_P(TroubleTest, AnotherReaderUnderOurIdIsNamed) {
  Run("create table t (id int primary key)");
  config_.server_id = 4711;
  Start();
  ASSERT_TRUE(WaitForPlace());
  Run("insert into t values (1)");
  ASSERT_TRUE(writer_.WaitForChanges(1));
  // As the same reader, which is how MySQL tells them apart.
  MysqlSource second(config_, Context());
  RecordingWriter other;
  other.set_resume(writer_.resume());
  std::stop_source stop;
  auto run = std::async(std::launch::async,
                        [&] { return second.Run(other.resume(), other, stop.get_token()); });
  const Status status = Join();
  stop.request_stop();
  EXPECT_OK(run.get());
  ASSERT_THAT(status, IsErrorWith("mysql_server_id_taken"));
  EXPECT_THAT(status.error().message, HasSubstr("server_id"));
}

}  // namespace
}  // namespace tailwater::mysql
