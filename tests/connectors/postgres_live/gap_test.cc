// Each way in which the server can lose what follows our checkpoint, by its name.
#include "connectors/postgres_live/live_fixture.h"

namespace tailwater::postgres {
namespace {

using ::testing::HasSubstr;

class GapTest : public LiveTest {
 protected:
  void Begin() {
    Run("create table t (id int primary key)");
    Start();
    ASSERT_TRUE(WaitForStreaming());
    Run("insert into t values (1)");
    ASSERT_TRUE(writer_.WaitForChanges(1));
    EXPECT_OK(Stop());
  }
  void ExpectGap(const std::string& code) {
    const size_t before = writer_.changes().size();
    const Status status = RunOnce();
    ASSERT_THAT(status, IsErrorWith(code));
    EXPECT_EQ(status.error().disposition, Disposition::kGap);
    EXPECT_EQ(writer_.changes().size(), before);
    message_ = status.error().message;
    EXPECT_THAT(message_, HasSubstr("on_gap: resnapshot"));
    EXPECT_THAT(message_, HasSubstr(writer_.resume().frontier->text));
  }
  // Both ends of what is missing; the server may have logged something of its own since then.
  void ExpectRangeUntil(const std::string& end) {
    const std::string begin = "changes between " + writer_.resume().frontier->text + " and ";
    const size_t at = message_.find(begin);
    ASSERT_NE(at, std::string::npos) << message_;
    const std::string rest = message_.substr(at + begin.size());
    const std::string told = rest.substr(0, rest.find(' '));
    ASSERT_TRUE(Lsn::Parse(told)) << message_;
    EXPECT_GT(*Lsn::Parse(told), *Lsn::Parse(writer_.resume().frontier->text));
    EXPECT_LE(*Lsn::Parse(told), *Lsn::Parse(end));
  }
  // As the engine does under `on_gap: resnapshot`.
  void BeginAnew() {
    ResumePoint resume;
    resume.after_gap = true;
    writer_.set_resume(resume);
    Start();
    ASSERT_TRUE(WaitForStreaming());
    const size_t before = writer_.changes().size();
    Run("insert into t select max(id) + 1 from t");
    ASSERT_TRUE(writer_.WaitForChanges(before + 1));
    EXPECT_OK(Stop());
  }
  std::string message_;
};

TEST_F(GapTest, SlotMissing) {
  Begin();
  Run("select pg_drop_replication_slot('" + slot() + "')");
  Run("insert into t values (2)");
  ExpectGap("pg_slot_missing");
  ExpectRangeUntil(Value("select pg_current_wal_flush_lsn()"));
  EXPECT_EQ(Value("select count(*) from pg_replication_slots where slot_name = '" + slot() + "'"),
            "0");
}

TEST_F(GapTest, SlotAheadOfTheCheckpoint) {
  Begin();
  Run("insert into t values (2)");
  Run("select pg_replication_slot_advance('" + slot() + "', pg_current_wal_flush_lsn())");
  ExpectGap("pg_slot_ahead_of_checkpoint");
  ExpectRangeUntil(Value(
      "select confirmed_flush_lsn from pg_replication_slots where slot_name = '" + slot() + "'"));
}

TEST_F(GapTest, SlotOfAnotherDatabaseUnderOurName) {
  Begin();
  Run("select pg_drop_replication_slot('" + slot() + "')");
  admin().Run("select pg_create_logical_replication_slot('" + slot() + "', 'pgoutput')");
  ExpectGap("pg_slot_missing");
  admin().Run("select pg_drop_replication_slot('" + slot() + "')");
}

TEST_F(GapTest, AnotherNameInTheFileIsNoGap) {
  Begin();
  config_.slot.name = "another";
  source_.reset();
  const Status status = RunOnce();
  ASSERT_THAT(status, IsErrorWith("pg_name_changed"));
  EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator);
}

TEST_F(GapTest, SlotCreatedAgain) {
  Begin();
  Run("insert into t values (2)");
  Run("select pg_drop_replication_slot('" + slot() + "')");
  Run("select pg_create_logical_replication_slot('" + slot() + "', 'pgoutput')");
  ExpectGap("pg_slot_ahead_of_checkpoint");
}

TEST_F(GapTest, OtherSystem) {
  Begin();
  ResumePoint resume = writer_.resume();
  resume.identity["system_identifier"] = "42";
  writer_.set_resume(resume);
  ExpectGap("pg_other_system");
}

TEST_F(GapTest, OtherDatabase) {
  Begin();
  ResumePoint resume = writer_.resume();
  resume.identity["database_oid"] = "42";
  writer_.set_resume(resume);
  ExpectGap("pg_other_database");
}

TEST_F(GapTest, ServerBehindTheCheckpoint) {
  Begin();
  ResumePoint resume = writer_.resume();
  resume.frontier = Position{"FFFF/0"};
  writer_.set_resume(resume);
  ExpectGap("pg_server_behind_checkpoint");
}

TEST_F(GapTest, PublicationReplaced) {
  Begin();
  Run("drop publication " + slot());
  ExpectGap("pg_publication_replaced");
  Run("create publication " + slot() + " for table t");
  ExpectGap("pg_publication_replaced");
}

TEST_F(GapTest, PublicationDroppedWhileStreaming) {
  Begin();
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("drop publication " + slot());
  Run("insert into t values (2)");
  const Status status = Join();
  ASSERT_THAT(status, IsErrorWith("pg_publication_replaced"));
  EXPECT_EQ(status.error().disposition, Disposition::kGap);
  EXPECT_THAT(status.error().message, HasSubstr("changes between "));
  EXPECT_EQ(writer_.changes().size(), 1u);
}

// Up to 17 the server refuses to decode, from 18 on it skips with a warning: the same gap.
TEST_F(GapTest, PublicationOlderThanNothingInTheLog) {
  Run("create table t (id int primary key)");
  Run("select pg_create_logical_replication_slot('" + slot() + "', 'pgoutput')");
  Run("insert into t values (1)");
  Run("create publication " + slot() + " for table t");
  config_.slot = {slot(), false, false};
  config_.publication = {slot(), false};
  const Status status = RunOnce();
  ASSERT_THAT(status, IsErrorWith("pg_publication_replaced"));
  EXPECT_EQ(status.error().disposition, Disposition::kGap);
  EXPECT_THAT(status.error().message, HasSubstr("changes between "));
  EXPECT_EQ(writer_.changes().size(), 0u);
}

TEST_F(GapTest, IdleSlot) {
  if (version() < 18) GTEST_SKIP() << "idle_replication_slot_timeout is from 18 on";
  Begin();
  Run("alter system set idle_replication_slot_timeout = '1s'");
  Run("select pg_reload_conf()");
  // Nobody can wait for another server's clock but by asking.
  ASSERT_TRUE(
      WaitForSql("select now() - inactive_since > '1.2s' from pg_replication_slots where "
                 "slot_name = '" +
                 slot() + "'"));
  Run("checkpoint");
  Run("alter system reset idle_replication_slot_timeout");
  Run("select pg_reload_conf()");
  ExpectGap("pg_slot_lost");
  EXPECT_THAT(message_, HasSubstr("idle_timeout"));
  BeginAnew();
}

TEST_F(GapTest, BeginsAnewWithASlotOfItsOwn) {
  Begin();
  const std::string oid = Value("select oid from pg_publication where pubname = '" + slot() + "'");
  Run("select pg_replication_slot_advance('" + slot() + "', pg_current_wal_flush_lsn())");
  Run("insert into t values (2)");
  Run("select pg_replication_slot_advance('" + slot() + "', pg_current_wal_flush_lsn())");
  ExpectGap("pg_slot_ahead_of_checkpoint");
  BeginAnew();
  EXPECT_EQ(Value("select oid from pg_publication where pubname = '" + slot() + "'"), oid);
  Run("drop publication " + slot());
  ExpectGap("pg_publication_replaced");
  BeginAnew();
}

TEST_F(GapTest, BeginsAnewAfterItWasCutShort) {
  Begin();
  ResumePoint resume;
  resume.after_gap = true;
  writer_.set_resume(resume);
  writer_.FailAt(2);  // the intent is stored, the slot exists, its frontier is lost
  ASSERT_THAT(RunOnce(), IsErrorWith("topic_failed"));
  resume.identity = writer_.resume().identity;
  ASSERT_FALSE(resume.identity.empty());
  writer_.set_resume(resume);
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("insert into t values (7)");
  ASSERT_TRUE(writer_.WaitForChanges(2));
  EXPECT_OK(Stop());
}

TEST_F(GapTest, LeavesTheSlotOfOthersAlone) {
  Begin();
  Run("select pg_drop_replication_slot('" + slot() + "')");
  Run("select pg_create_logical_replication_slot('" + slot() + "', 'test_decoding')");
  ResumePoint resume;
  resume.after_gap = true;
  writer_.set_resume(resume);
  const Status status = RunOnce();
  ASSERT_THAT(status, IsErrorWith("pg_slot_not_ours"));
  EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(status.error().message, HasSubstr("SELECT pg_drop_replication_slot('" + slot()));
  EXPECT_EQ(writer_.established().size(), 2u) << "no intent without leave to go on";
}

TEST_F(GapTest, SlotLost) {
  if (version() < 13) GTEST_SKIP() << "max_slot_wal_keep_size is from 13 on";
  Begin();
  Run("alter system set max_slot_wal_keep_size = '1MB'");
  Run("select pg_reload_conf()");
  for (int i = 0; i < 6; ++i) {
    Run("create table filler as select repeat('x', 1000) from generate_series(1, 2000)");
    Run("drop table filler; select pg_switch_wal()");
    Run("checkpoint");
  }
  ASSERT_TRUE(WaitForSql(
      "select wal_status from pg_replication_slots where slot_name = '" + slot() + "'", "lost"));
  Run("alter system reset max_slot_wal_keep_size");
  Run("select pg_reload_conf()");
  ExpectGap("pg_slot_lost");
  EXPECT_THAT(message_, HasSubstr("max_slot_wal_keep_size"));
  ExpectRangeUntil(Value("select pg_current_wal_flush_lsn()"));
  BeginAnew();
}

TEST_F(GapTest, SlotLostWhileStreaming) {
  if (version() < 13) GTEST_SKIP() << "max_slot_wal_keep_size is from 13 on";
  Begin();
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("alter system set max_slot_wal_keep_size = '1MB'");
  Run("select pg_reload_conf()");
  // Nothing is released, so the slot cannot follow; an active victim only sees a shutdown.
  for (int i = 0; i < 6; ++i) {
    Run("create table filler as select repeat('x', 1000) from generate_series(1, 2000)");
    Run("drop table filler; select pg_switch_wal()");
    Run("checkpoint");
  }
  const Status first = Join();
  ASSERT_FALSE(first.has_value());
  EXPECT_EQ(first.error().disposition, Disposition::kRetry) << DescribeResult(first);
  Run("alter system reset max_slot_wal_keep_size");
  Run("select pg_reload_conf()");
  ExpectGap("pg_slot_lost");
}

TEST_F(GapTest, TimelineDiverged) {
  Begin();
  const ResumePoint before = writer_.resume();
  EXPECT_EQ(before.identity.at("timeline"),
            Value("select timeline_id from pg_control_checkpoint()"));
  sql_.reset();
  server_.Command("promote");
  sql_ = std::make_unique<Sql>(config_);
  Run("insert into t values (2)");
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(2));  // nothing was lost, so it goes on
  EXPECT_OK(Stop());
  const ResumePoint after = writer_.resume();
  EXPECT_EQ(after.identity.at("timeline"),
            std::to_string(std::stoi(before.identity.at("timeline")) + 1));

  // What was read of the old timeline behind its end is not in the new one.
  writer_.set_resume({before.identity, after.frontier, {}});
  ExpectGap("pg_timeline_diverged");
}

TEST_F(GapTest, NoneWhenTheServerRestartsAndNothingHoldsItUp) {
  Begin();
  for (const bool full : {false, true}) {
    Start();
    ASSERT_TRUE(WaitForStreaming());
    writer_.SetFull(full);
    Run("insert into t select coalesce(max(id), 0) + 1 from t");  // read or not, never released
    sql_.reset();
    // A shutdown waits until each reader of the log has confirmed all of it, or is gone.
    const auto begin = std::chrono::steady_clock::now();
    server_.Command("restart");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8));
    const Status status = Join();
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().disposition, Disposition::kRetry) << DescribeResult(status);
    writer_.SetFull(false);
    sql_ = std::make_unique<Sql>(config_);
  }
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(3));
  EXPECT_OK(Stop());
}

TEST_F(GapTest, AllOthersComeBackAfterARestartOfTheServer) {
  Begin();
  Start();
  ASSERT_TRUE(WaitForStreaming());
  sql_.reset();
  server_.Command("crash");
  const Status status = Join();
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().disposition, Disposition::kRetry) << DescribeResult(status);
  const Status down = RunOnce();
  ASSERT_THAT(down, IsErrorWith("pg_unreachable"));
  EXPECT_EQ(down.error().disposition, Disposition::kRetry);
  server_.Command("start");
  sql_ = std::make_unique<Sql>(config_);
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("insert into t values (2)");
  ASSERT_TRUE(writer_.WaitForChanges(2));
  EXPECT_OK(Stop());
}

}  // namespace
}  // namespace tailwater::postgres
