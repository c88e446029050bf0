// The run loop: resuming, sessions that end, groups that are not for us, stops.
#include "connectors/mysql_live/live_fixture.h"

namespace tailwater::mysql {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

class StreamTest : public LiveTest {
 protected:
  void Begin() {
    Run("create table t (id int primary key, v varchar(100))");
    Start();
    ASSERT_TRUE(WaitForPlace());
  }
  std::string Inserted(int id) {
    return fmt::format("insert {} after{{id={}, v=x}}", Table("t"), id);
  }
  // The server ends the sessions that read its log.
  int KillReaders() {
    Sql admin(server_->Config());
    const Rows readers = admin.Run(
        "select id from information_schema.processlist where command like 'Binlog Dump%'");
    for (int i = 0; i < readers.size(); ++i) {
      static_cast<void>(admin.connection().Query("kill " + readers.String(i, 0)));
    }
    return readers.size();
  }
};
INSTANTIATE_TEST_SUITE_P(Live, StreamTest, BothFlavours(), FlavourName);

TEST_P(StreamTest, ResumesWhereItWas) {
  Begin();
  Run("insert into t values (1, 'x')");
  ASSERT_TRUE(writer_.WaitForChanges(1));
  EXPECT_OK(Stop());
  Run("insert into t values (2, 'x')");
  Run("flush binary logs");
  Run("insert into t values (3, 'x')");
  for (size_t rows = 3; rows < 6; ++rows) {
    Start();
    ASSERT_TRUE(writer_.WaitForChanges(rows));
    EXPECT_OK(Stop());
    Run(fmt::format("insert into t values ({}, 'x')", rows + 1));
  }
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(6));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(), ElementsAre(Inserted(1), Inserted(2), Inserted(3), Inserted(4),
                                             Inserted(5), Inserted(6)));
}

TEST_P(StreamTest, ATransactionIsOneAndItsRowsAreCounted) {
  Begin();
  Run("begin");
  for (int id = 1; id <= 5; ++id) Run(fmt::format("insert into t values ({}, 'x')", id));
  Run("update t set id = 10 where id = 5");
  Run("commit");
  ASSERT_TRUE(writer_.WaitForChanges(7));
  EXPECT_OK(Stop());
  const auto transactions = writer_.transactions();
  ASSERT_THAT(transactions, SizeIs(1));
  using Pair = std::pair<uint64_t, uint32_t>;
  EXPECT_THAT(transactions[0].ordinals, ElementsAre(Pair(0, 0), Pair(1, 0), Pair(2, 0), Pair(3, 0),
                                                    Pair(4, 0), Pair(5, 0), Pair(5, 1)));
}

TEST_P(StreamTest, ASessionThatTheServerEndsIsOpenedAnew) {
  Begin();
  for (int round = 1; round <= 3; ++round) {
    Run(fmt::format("insert into t values ({}, 'x')", round));
    ASSERT_TRUE(writer_.WaitForChanges(static_cast<size_t>(round)));
    ASSERT_GT(KillReaders(), 0);
    const Status ended = Join();
    ASSERT_FALSE(ended);
    EXPECT_EQ(ended.error().disposition, Disposition::kRetry) << ended.error().message;
    Start();
  }
  Run("insert into t values (4, 'x')");
  ASSERT_TRUE(writer_.WaitForChanges(4));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(), SizeIs(4));
}

TEST_P(StreamTest, GroupsThatAreNotForUsMoveThePlace) {
  Begin();
  const std::string other = database_ + "_other";
  Run("create database " + other);
  Run("create table " + other + ".t (id int primary key)");
  Run("insert into " + other + ".t values (1)");
  const std::string goal = Value(mariadb() ? "select @@gtid_binlog_pos" : "select @@gtid_executed");
  MysqlTools tools(config_, Context());
  EXPECT_TRUE(writer_.WaitUntil([&](RecordingWriter& self) {
    const auto frontier = self.resume().frontier;
    const auto reached = tools.HasReached(*frontier, Position{goal});
    return reached && *reached;
  })) << frontier()
      << " is not at " << goal;
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(), SizeIs(0));
  Run("drop database " + other);
}

TEST_P(StreamTest, AFullTopicStopsTheReading) {
  Begin();
  writer_.SetFull(true);
  for (int id = 1; id <= 200; ++id) Run(fmt::format("insert into t values ({}, 'x')", id));
  const int calls = writer_.room_calls();
  ASSERT_TRUE(
      writer_.WaitUntil([&](RecordingWriter& self) { return self.room_calls() > calls + 3; }));
  EXPECT_LT(writer_.changes().size(), 200u);
  // In front of a full topic it stops in time.
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_OK(Stop());
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
  writer_.SetFull(false);
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(200));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(), SizeIs(200));
}

TEST_P(StreamTest, ATableThatWeMayNotSeeHaltsWithItsGrant) {
  Begin();
  Run("create user if not exists seesnothing identified by 'x'");
  Run(fmt::format("grant replication slave, replication client on *.* to seesnothing"));
  Run("grant select on " + Table("t") + " to seesnothing");
  EXPECT_OK(Stop());
  config_.user = "seesnothing";
  config_.password = Secret("x");
  source_.reset();
  Start();
  Run("create table hidden (id int primary key)");
  Run("insert into hidden values (1)");
  const Status status = Join();
  ASSERT_THAT(status, IsErrorWith("mysql_privilege_missing"));
  EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(status.error().message,
              ::testing::HasSubstr("GRANT SELECT ON `" + database_ + "`.*"));
  Run("grant select on " + database_ + ".* to seesnothing");
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(1));
  EXPECT_OK(Stop());
  Run("drop user seesnothing");
}

}  // namespace
}  // namespace tailwater::mysql
