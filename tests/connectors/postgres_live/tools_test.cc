// check, watch, list and drop.
#include <algorithm>

#include "connectors/postgres_live/live_fixture.h"
#include "postgres/postgres_tools.h"

namespace tailwater::postgres {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Severity = tailwater::Finding::Severity;

class ToolsTest : public LiveTest {
 protected:
  PostgresTools Tools() { return PostgresTools(config_, Context()); }
  std::vector<Finding> Check() {
    auto findings = Tools().Check();
    EXPECT_OK(findings);
    return findings ? *findings : std::vector<Finding>();
  }
  // The finding, or one that says it is not there.
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
  void StreamRows(int rows) {
    Start();
    ASSERT_TRUE(WaitForStreaming());
    Run(fmt::format("insert into t select generate_series(1, {})", rows));
    ASSERT_TRUE(writer_.WaitForChanges(static_cast<size_t>(rows)));
  }
};

TEST_F(ToolsTest, CheckIsContentWithAReadyServer) {
  Run("create table t (id int primary key, total numeric(12,2), tags text[], place point)");
  const auto findings = Check();
  for (const Finding& finding : findings)
    EXPECT_NE(finding.severity, Severity::kError) << finding.code << ": " << finding.message;
  EXPECT_THAT(Find(findings, "pg_table", "public.t").message, HasSubstr("key (id)"));
  EXPECT_EQ(Find(findings, "pg_column", "public.t.total").message, "numeric(12,2) -> decimal");
  EXPECT_EQ(Find(findings, "pg_column", "public.t.tags").message, "text[] -> array");
  EXPECT_THAT(Find(findings, "pg_column", "public.t.place").message, HasSubstr("server's text"));
  EXPECT_THAT(Find(findings, "pg_slot", slot()).message, HasSubstr("will create"));
  EXPECT_EQ(Find(findings, "pg_key_change", "public.t").severity, Severity::kInfo);
  if (version() >= 13) {
    EXPECT_THAT(Find(findings, "pg_slot_keep_unbounded", "max_slot_wal_keep_size").remedy,
                HasSubstr("ALTER SYSTEM SET max_slot_wal_keep_size"));
  }
  EXPECT_EQ(Value("select count(*) from pg_publication"), "0");  // reads only
}

TEST_F(ToolsTest, CheckPrintsTheSqlForWhatIsMissing) {
  Run("create role limited login");
  Run("create table keyless (id int); create table t (id int primary key, body text)");
  config_.user = "limited";
  tables_ = postgres::Tables({"public.keyless", "public.t", "public.nope"});
  const auto findings = Check();
  EXPECT_EQ(Find(findings, "pg_table_identity", "public.keyless").remedy.substr(0, 56),
            "ALTER TABLE public.keyless REPLICA IDENTITY FULL;  -- or");
  EXPECT_EQ(Find(findings, "pg_table_missing", "public.nope").severity, Severity::kError);
  EXPECT_THAT(Find(findings, "pg_privilege_missing", slot()).remedy,
              HasSubstr("CREATE PUBLICATION"));
  EXPECT_EQ(Find(findings, "pg_key_change", "public.t").remedy,
            "GRANT USAGE ON SCHEMA \"public\" TO \"limited\"; GRANT SELECT ON public.t TO "
            "\"limited\";");
  const auto role = std::find_if(findings.begin(), findings.end(),
                                 [](const Finding& finding) { return finding.subject == "role"; });
  ASSERT_NE(role, findings.end());
  EXPECT_EQ(role->severity, Severity::kError);
  EXPECT_EQ(role->remedy, "ALTER ROLE \"limited\" REPLICATION;");
  Run("drop role limited");
}

TEST_F(ToolsTest, CheckReportsAServerThatIsNotThere) {
  config_.port = 1;
  const auto findings = Check();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].severity, Severity::kError);
  EXPECT_EQ(findings[0].code, "pg_unreachable");
}

TEST_F(ToolsTest, WatchesARunningSlot) {
  Run("create table t (id int primary key)");
  StreamRows(100);
  Release();
  PostgresTools tools = Tools();
  ASSERT_TRUE(WaitForSql("select confirmed_flush_lsn >= '" + writer_.resume().frontier->text +
                         "' from pg_replication_slots where slot_name = '" + slot() + "'"));
  for (int call = 0; call < 2; ++call) {
    auto health = tools.Watch();
    ASSERT_OK(health);
    EXPECT_EQ(health->active, true);
    EXPECT_TRUE(health->server_end.has_value());
    EXPECT_TRUE(health->received_bytes.has_value());
    EXPECT_LT(health->confirmed_lag_bytes.value(), 1u << 20);
    EXPECT_TRUE(health->retained_bytes.has_value());
    EXPECT_EQ(health->state, version() >= 13 ? "reserved" : "");
    EXPECT_FALSE(health->safe_bytes.has_value());  // no limit
  }
  EXPECT_OK(Stop());
}

TEST_F(ToolsTest, WatchSaysThatASlotIsMissing) {
  auto health = Tools().Watch();
  ASSERT_OK(health);
  EXPECT_EQ(health->state, "missing");
  EXPECT_FALSE(health->retained_bytes.has_value());
  EXPECT_FALSE(health->active.has_value());
}

TEST_F(ToolsTest, WatchNamesTheTransactionThatHoldsTheLog) {
  Run("create table t (id int primary key); create table filler (v text)");
  tables_ = postgres::Tables({"public.t"});
  StreamRows(1);
  Sql holder(config_);
  holder.Run("begin");
  holder.Run("insert into t values (1000)");
  const auto follow = [&] {
    const std::string end = Value("select pg_current_wal_flush_lsn()");
    ASSERT_TRUE(writer_.WaitUntil([&](RecordingWriter& writer) {
      return *Lsn::Parse(writer.resume().frontier->text) >= *Lsn::Parse(end);
    }));
    Release();
    ASSERT_TRUE(WaitForSql("select confirmed_flush_lsn >= '" + end +
                           "' from pg_replication_slots where slot_name = '" + slot() + "'"));
  };
  for (int i = 0; i < 5; ++i)
    Run("insert into filler select repeat('x', 1000) from generate_series(1, 5000)");
  Run("checkpoint");
  follow();
  auto health = Tools().Watch();
  ASSERT_OK(health);
  EXPECT_GT(health->restart_lag_bytes.value(), 16u << 20);
  EXPECT_THAT(health->explanation,
              HasSubstr(fmt::format("pid {}", holder.connection().backend_pid())));
  holder.Run("rollback");
  EXPECT_OK(Stop());
}

TEST_F(ToolsTest, WatchNeverCountsOnALostSlot) {
  if (version() < 13) GTEST_SKIP() << "max_slot_wal_keep_size is from 13 on";
  Run("create table t (id int primary key)");
  StreamRows(1);
  EXPECT_OK(Stop());
  Run("alter system set max_slot_wal_keep_size = '1MB'");
  Run("select pg_reload_conf()");
  for (int i = 0; i < 6; ++i) {
    Run("create table filler as select repeat('x', 1000) from generate_series(1, 2000)");
    Run("drop table filler; select pg_switch_wal()");
    Run("checkpoint");
  }
  Run("alter system reset max_slot_wal_keep_size");
  Run("select pg_reload_conf()");
  auto health = Tools().Watch();
  ASSERT_OK(health);
  EXPECT_EQ(health->state, "lost");
  EXPECT_FALSE(health->retained_bytes.has_value());
  EXPECT_FALSE(health->confirmed_lag_bytes.has_value());
  EXPECT_FALSE(health->safe_bytes.has_value());
  EXPECT_THAT(health->explanation, HasSubstr("invalidated"));
}

TEST_F(ToolsTest, KnowsWhenTheLogsEndIsReached) {
  Run("create table t (id int primary key)");
  StreamRows(10);
  PostgresTools tools = Tools();
  auto end = tools.LogEnd();
  ASSERT_OK(end);
  ASSERT_TRUE(writer_.WaitUntil([&](RecordingWriter& writer) {
    const auto reached = tools.HasReached(*writer.resume().frontier, *end);
    return reached && *reached;
  }));
  EXPECT_OK(Stop());
  const auto reached = tools.HasReached(Position{"0/1"}, *end);
  ASSERT_OK(reached);
  EXPECT_FALSE(*reached);
  EXPECT_THAT(tools.HasReached(Position{"mysql-bin.1:4"}, *end),
              IsErrorWith("pg_checkpoint_malformed"));
}

TEST_F(ToolsTest, ListsAndDropsWhatIsOurs) {
  Run("create table t (id int primary key)");
  Run("create publication theirs for table t");
  StreamRows(1);
  PostgresTools tools = Tools();
  auto owned = tools.ListOwned();
  ASSERT_OK(owned);
  ASSERT_EQ(owned->size(), 2u);
  EXPECT_EQ((*owned)[0].kind, "slot");
  EXPECT_EQ((*owned)[0].name, slot());
  EXPECT_FALSE((*owned)[0].orphan);
  EXPECT_THAT((*owned)[0].detail, HasSubstr("in use"));
  EXPECT_EQ((*owned)[1].kind, "publication");
  EXPECT_EQ((*owned)[1].detail, "1 tables");

  EXPECT_FALSE(tools.Drop((*owned)[0]).has_value());  // in use
  EXPECT_OK(Stop());
  EXPECT_OK(tools.Drop((*owned)[0]));
  EXPECT_OK(tools.Drop((*owned)[1]));
  EXPECT_OK(tools.Drop((*owned)[1]));  // safe twice
  EXPECT_OK(tools.Drop({"publication", "theirs", "", false}));
  EXPECT_EQ(Value("select string_agg(pubname, ',') from pg_publication"), "theirs");
  EXPECT_EQ(Value("select count(*) from pg_replication_slots where database = current_database()"),
            "0");
}

TEST_F(ToolsTest, ListsWhatARemovedSourceLeft) {
  Run("create table t (id int primary key)");
  StreamRows(1);
  EXPECT_OK(Stop());
  SourceContext context = Context();
  context.name = "other";
  auto owned = PostgresTools(config_, context).ListOwned();
  ASSERT_OK(owned);
  ASSERT_EQ(owned->size(), 2u);
  EXPECT_TRUE((*owned)[0].orphan);
  EXPECT_TRUE((*owned)[1].orphan);
}

}  // namespace
}  // namespace tailwater::postgres
