// Where a first start begins, what it remembers, and what it refuses before it leaves a trace.
#include "connectors/mysql_live/live_fixture.h"

namespace tailwater::mysql {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FirstStartTest : public LiveTest {};
INSTANTIATE_TEST_SUITE_P(Live, FirstStartTest, BothFlavours(), FlavourName);

TEST_P(FirstStartTest, StreamsFromNowAndRemembersTheServer) {
  Run("create table t (id int primary key, v varchar(10))");
  Run("insert into t values (1, 'before')");
  Start();
  ASSERT_TRUE(WaitForPlace());
  Run("insert into t values (2, 'after')");
  Run("update t set v = 'more' where id = 1");
  Run("delete from t where id = 2");
  ASSERT_TRUE(writer_.WaitForChanges(3));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(),
              ElementsAre("insert " + Table("t") + " after{id=2, v=after}",
                          "update " + Table("t") + " before{id=1, v=before} after{id=1, v=more}",
                          "delete " + Table("t") + " before{id=2, v=after}"));

  const auto established = writer_.established();
  ASSERT_THAT(established, SizeIs(2));
  EXPECT_FALSE(established[0].second);  // the intent
  EXPECT_TRUE(established[1].second);
  const SourceIdentity& identity = established[1].first;
  EXPECT_EQ(identity.at("flavour"), mariadb() ? "mariadb" : "mysql");
  EXPECT_EQ(identity.at("positions"), "gtid");
  EXPECT_EQ(identity.at("server_uuid"),
            Value(mariadb() ? "select @@server_uid" : "select @@server_uuid"));
  EXPECT_THAT(metrics_.Value("tailwater_source_received_bytes_total"), ::testing::Gt(100));
  // A transaction's position is its own name, and its commit time is the server's.
  const auto transactions = writer_.transactions();
  ASSERT_THAT(transactions, SizeIs(3));
  EXPECT_NE(transactions[0].position, transactions[1].position);
  EXPECT_GT(transactions[0].commit_time_micros, 1'600'000'000'000'000);
}

TEST_P(FirstStartTest, RefusesWhatItCannotCaptureAndLeavesNoTrace) {
  tables_ = Tables({Table("nope")});
  const Status missing = RunOnce();
  ASSERT_THAT(missing, IsErrorWith("mysql_table_missing"));
  EXPECT_EQ(missing.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(missing.error().message, AllOf(HasSubstr(Table("nope")), HasSubstr("GRANT SELECT"),
                                             HasSubstr("runbook.md#mysql_table_missing")));
  source_.reset();
  tables_ = Tables({Table("*")});
  EXPECT_THAT(RunOnce(), IsErrorWith("mysql_table_missing"));
  EXPECT_THAT(writer_.established(), IsEmpty());
}

TEST_P(FirstStartTest, AStartThatWasCutShortGoesOn) {
  Run("create table t (id int primary key)");
  writer_.FailAt(2);  // the frontier is not stored
  EXPECT_THAT(RunOnce(), IsErrorWith("topic_failed"));
  ASSERT_FALSE(writer_.resume().frontier);
  Start();
  ASSERT_TRUE(WaitForPlace());
  Run("insert into t values (1)");
  ASSERT_TRUE(writer_.WaitForChanges(1));
  EXPECT_OK(Stop());

  ResumePoint other;
  other.identity = writer_.resume().identity;
  other.identity["server_uuid"] = "another";
  writer_.set_resume(other);
  const Status status = RunOnce();
  ASSERT_THAT(status, IsErrorWith("mysql_other_server"));
  EXPECT_EQ(status.error().disposition, Disposition::kGap);
}

// Its rows lie in front of the first place; a table that was copied already lacks them.
TEST_P(FirstStartTest, AnXaTransactionThatWasPreparedBeforeHasItsTablesCopiedAgain) {
  Run("create table t (id int primary key)");
  Sql other(server_->Config(database_));
  other.Run("xa start 'before','b''r',7");
  other.Run("insert into t values (1)");
  other.Run("xa end 'before','b''r',7");
  other.Run("xa prepare 'before','b''r',7");
  Start();
  ASSERT_TRUE(WaitForPlace());
  other.Run("xa commit 'before','b''r',7");
  Run("insert into t values (2)");
  ASSERT_TRUE(writer_.WaitForChanges(1));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(), ElementsAre("insert " + Table("t") + " after{id=2}"));
  EXPECT_THAT(writer_.replaced(), ElementsAre(Table("t")));
}

}  // namespace
}  // namespace tailwater::mysql
