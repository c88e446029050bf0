// What the first start creates, what it refuses, and what later starts add.
#include "connectors/postgres_live/live_fixture.h"

namespace tailwater::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FirstStartTest : public LiveTest {
 protected:
  std::string Count(const std::string& what) { return Value("select count(*) from " + what); }
  void ExpectNoTrace() {
    EXPECT_EQ(Count("pg_publication"), "0");
    EXPECT_EQ(Count("pg_replication_slots where database = current_database()"), "0");
    EXPECT_TRUE(writer_.established().empty());
  }
  void StreamOneRow(const std::string& table = "t") {
    Start();
    ASSERT_TRUE(WaitForStreaming());
    const size_t before = writer_.changes().size();
    Run("insert into " + table + " select coalesce(max(id), 0) + 1 from " + table);
    ASSERT_TRUE(writer_.WaitForChanges(before + 1));
    EXPECT_OK(Stop());
  }
};

TEST_F(FirstStartTest, StoresIntentThenCreatesThenStoresTheFrontier) {
  Run("create table t (id int primary key)");
  StreamOneRow();
  const auto established = writer_.established();
  ASSERT_EQ(established.size(), 2u);
  EXPECT_FALSE(established[0].second.has_value());
  EXPECT_EQ(established[0].first.at("slot"), slot());
  EXPECT_EQ(established[0].first.count("publication_oid"), 0u);
  ASSERT_TRUE(established[1].second.has_value());
  EXPECT_EQ(established[1].first.at("publication_oid"),
            Value("select oid from pg_publication where pubname = '" + slot() + "'"));
  EXPECT_EQ(established[1].first.at("system_identifier"),
            Value("select system_identifier from pg_control_system()"));
  EXPECT_EQ(established[1].first.at("plugin"), "pgoutput");
  EXPECT_EQ(Value("select obj_description(oid, 'pg_publication') from pg_publication"),
            "tailwater pipeline=" + pipeline_ + " source=shop");
  EXPECT_EQ(Value("select puballtables from pg_publication"), "f");
  if (version() >= 13) {
    EXPECT_EQ(Value("select pubviaroot from pg_publication"), "t");
  }
  if (version() >= 17) {
    EXPECT_EQ(Value("select failover from pg_replication_slots where slot_name = '" + slot() + "'"),
              "t");
  }
}

TEST_F(FirstStartTest, PublishesOnlyTheSelectedTables) {
  Run("create table t (id int primary key); create table u (id int primary key); create schema s; "
      "create table s.t (id int primary key)");
  tables_ = Tables({"public.t", "s.*"});
  StreamOneRow();
  EXPECT_EQ(Value("select string_agg(prrelid::regclass::text, ',' order by prrelid) from "
                  "pg_publication_rel"),
            "t,s.t");
}

TEST_F(FirstStartTest, RefusesATableWithoutIdentityAndLeavesNoTrace) {
  Run("create table keyless (id int); create table t (id int primary key)");
  const Status status = RunOnce();
  ASSERT_THAT(status, IsErrorWith("pg_table_identity"));
  EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(status.error().message,
              HasSubstr("ALTER TABLE public.keyless REPLICA IDENTITY FULL"));
  ExpectNoTrace();
  Run("alter table keyless replica identity full");
  StreamOneRow();
}

TEST_F(FirstStartTest, RefusesADeferrableKeyWithoutFull) {
  Run("create table t (id int primary key deferrable)");
  EXPECT_THAT(RunOnce(), IsErrorWith("pg_table_identity"));
  ExpectNoTrace();
}

TEST_F(FirstStartTest, RefusesATableThatDoesNotExist) {
  Run("create table t (id int primary key)");
  tables_ = Tables({"public.t", "public.nope"});
  const Status status = RunOnce();
  ASSERT_THAT(status, IsErrorWith("pg_table_missing"));
  EXPECT_THAT(status.error().message, HasSubstr("public.nope"));
  ExpectNoTrace();
}

TEST_F(FirstStartTest, RefusesALeafWithoutIdentity) {
  if (version() < 13) GTEST_SKIP();
  Run("create table p (id int, r text) partition by list (r)");
  Run("create table p_a partition of p for values in ('a')");
  const Status status = RunOnce();
  ASSERT_THAT(status, IsErrorWith("pg_table_identity"));
  EXPECT_THAT(status.error().message, HasSubstr("public.p_a"));
  ExpectNoTrace();
}

TEST_F(FirstStartTest, NeedsTheRightToPublish) {
  Run("create role guest login replication");
  Run("create table t (id int primary key)");
  config_.user = "guest";
  const Status status = RunOnce();
  EXPECT_THAT(status, IsErrorWith("pg_privilege_missing"));
  EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator);
  Run("drop role guest");
}

TEST_F(FirstStartTest, NeedsTheReplicationRole) {
  Run("create role nobody_at_all login");
  Run("create table t (id int primary key)");
  config_.user = "nobody_at_all";
  const Status status = RunOnce();
  EXPECT_FALSE(status.has_value());
  EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator) << DescribeResult(status);
  Run("drop role nobody_at_all");
}

TEST_F(FirstStartTest, GoesOnWithTheSlotOfAStartThatWasCutShort) {
  Run("create table t (id int primary key)");
  writer_.FailAt(2);  // slot and publication exist, the frontier was not stored
  ASSERT_THAT(RunOnce(), IsErrorWith("topic_failed"));
  ASSERT_FALSE(writer_.resume().frontier.has_value());
  Run("insert into t values (1)");
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(1));
  EXPECT_OK(Stop());
  EXPECT_EQ(Count("pg_replication_slots where database = current_database()"), "1");
}

TEST_F(FirstStartTest, CreatesWhatACutStartHadNotCreated) {
  Run("create table t (id int primary key)");
  writer_.FailAt(2);
  ASSERT_THAT(RunOnce(), IsErrorWith("topic_failed"));
  Run("select pg_drop_replication_slot('" + slot() + "')");
  StreamOneRow();
}

TEST_F(FirstStartTest, TakesASlotThatNobodyRemembersForLostState) {
  Run("create table t (id int primary key)");
  StreamOneRow();
  writer_.set_resume({});
  const Status status = RunOnce();
  ASSERT_THAT(status, IsErrorWith("state_lost"));
  EXPECT_EQ(status.error().disposition, Disposition::kGap);
  EXPECT_EQ(Count("pg_replication_slots where database = current_database()"), "1");
}

TEST_F(FirstStartTest, UsesASlotAndAPublicationOfTheAdministrator) {
  Run("create table t (id int primary key)");
  config_.slot = {"dba_" + database_, false, true};
  config_.publication = {"their \"own\"", false};
  ASSERT_THAT(RunOnce(), IsErrorWith("pg_slot_missing"));
  ExpectNoTrace();
  Run("select pg_create_logical_replication_slot('dba_" + database_ + "', 'pgoutput')");
  const Status status = RunOnce();
  ASSERT_THAT(status, IsErrorWith("pg_publication_missing"));
  EXPECT_THAT(status.error().message,
              HasSubstr("CREATE PUBLICATION \"their \"\"own\"\"\" FOR TABLE public.t"));
  Run("select pg_drop_replication_slot('dba_" + database_ + "')");
  Run("create publication \"their \"\"own\"\"\" for all tables");
  Run("select pg_create_logical_replication_slot('dba_" + database_ + "', 'pgoutput')");
  Run("insert into t values (1)");  // behind the slot's start: ours
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(1));
  EXPECT_OK(Stop());
}

TEST_F(FirstStartTest, RefusesAnAdministratorsPublicationThatLacksATable) {
  Run("create table t (id int primary key); create table u (id int primary key)");
  tables_ = Tables({"public.t", "public.u"});
  Run("create publication theirs for table t");
  config_.publication = {"theirs", false};
  const Status status = RunOnce();
  ASSERT_THAT(status, IsErrorWith("pg_publication_lacks_table"));
  EXPECT_THAT(status.error().message, HasSubstr("ALTER PUBLICATION \"theirs\" ADD TABLE public.u"));
}

TEST_F(FirstStartTest, AcceptsAnAdministratorsPublicationOfASchema) {
  if (version() < 15) GTEST_SKIP() << "TABLES IN SCHEMA is from 15 on";
  Run("create table t (id int primary key); create schema s; create table s.u (id int primary "
      "key)");
  tables_ = Tables({"public.t"});
  Run("create publication theirs for tables in schema public");
  config_.publication = {"theirs", false};
  StreamOneRow();
  EXPECT_OK(Stop());
  tables_ = Tables({"public.t", "s.u"});
  MakeSource();
  EXPECT_THAT(RunOnce(), IsErrorWith("pg_publication_lacks_table"));
}

TEST_F(FirstStartTest, StartsWhileSomebodyHoldsALockOnATable) {
  Run("create table t (id int primary key)");
  StreamOneRow();
  Sql other(config_);
  other.Run("begin");
  other.Run("lock table t in access exclusive mode");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  EXPECT_OK(Stop());
}

TEST_F(FirstStartTest, RefusesAPublicationThatNamesPartitions) {
  if (version() < 13) GTEST_SKIP();
  Run("create table p (id int primary key) partition by range (id)");
  Run("create table p_1 partition of p for values from (0) to (10)");
  Run("create publication theirs for table p");
  config_.publication = {"theirs", false};
  EXPECT_THAT(RunOnce(), IsErrorWith("pg_publication_not_via_root"));
}

TEST_F(FirstStartTest, RefusesAnotherPipelinesPublication) {
  Run("create table t (id int primary key)");
  Run("create publication " + slot() + " for table t; comment on publication " + slot() +
      " is 'tailwater pipeline=other source=shop'");
  EXPECT_THAT(RunOnce(), IsErrorWith("pg_publication_not_ours"));
}

TEST_F(FirstStartTest, AddsTablesLaterAndNeverNarrows) {
  Run("create table t (id int primary key); create table u (id int primary key)");
  tables_ = Tables({"public.t"});
  StreamOneRow();
  tables_ = Tables({"public.u"});
  MakeSource();
  StreamOneRow("u");
  EXPECT_EQ(Count("pg_publication_rel"), "2");
}

TEST_F(FirstStartTest, SaysWhomTheSlotWaitsFor) {
  Run("create table t (id int primary key)");
  Sql writer(config_);
  writer.Run("begin");
  writer.Run("insert into t values (1)");
  Start();
  ASSERT_TRUE(
      WaitForSql("select count(*) from pg_stat_activity where query like "
                 "'CREATE_REPLICATION_SLOT%' and datname = current_database() and "
                 "wait_event_type = 'Lock'",
                 "1"));
  const Result<std::string> open = DescribeOpenTransactions(sql_->connection());
  ASSERT_OK(open);
  EXPECT_THAT(*open, HasSubstr(fmt::format("pid {}", writer.connection().backend_pid())));
  EXPECT_THAT(*open, HasSubstr("insert into t"));
  writer.Run("commit");
  ASSERT_TRUE(WaitForStreaming());
  EXPECT_OK(Stop());
}

TEST_F(FirstStartTest, StopsWhileTheSlotWaits) {
  Run("create table t (id int primary key)");
  Sql writer(config_);
  writer.Run("begin");
  writer.Run("insert into t values (1)");
  Start();
  ASSERT_TRUE(
      WaitForSql("select count(*) from pg_stat_activity where query like "
                 "'CREATE_REPLICATION_SLOT%' and datname = current_database() and "
                 "wait_event_type = 'Lock'",
                 "1"));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_OK(Stop());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
  ASSERT_TRUE(
      WaitForSql("select count(*) from pg_replication_slots where database = "
                 "current_database()",
                 "0"));
}

}  // namespace
}  // namespace tailwater::postgres
