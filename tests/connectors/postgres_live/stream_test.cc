// What a running stream delivers, confirms and survives.
#include <csignal>

#include "connectors/postgres_live/live_fixture.h"

namespace tailwater::postgres {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class StreamTest : public LiveTest {
 protected:
  std::string ConfirmedSql(const std::string& condition) {
    return "select confirmed_flush_lsn " + condition +
           " from pg_replication_slots where slot_name = '" + slot() + "'";
  }
};

TEST_F(StreamTest, StreamsRowsInCommitOrder) {
  Run("create table orders (id int primary key, total numeric(12,2), note text)");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("insert into orders values (1, 9.50, 'a'), (2, null, 'b')");
  Run("update orders set total = 10 where id = 2");
  Run("delete from orders where id = 1");
  Run("truncate orders");
  ASSERT_TRUE(writer_.WaitForChanges(5));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(),
              ElementsAre("insert public.orders after{id=1, total=9.50, note=a}",
                          "insert public.orders after{id=2, total=NULL, note=b}",
                          "update public.orders after{id=2, total=10.00, note=b}",
                          "delete public.orders before{id=1, total=(omitted), note=(omitted)}",
                          "truncate public.orders"));
  const auto transactions = writer_.transactions();
  ASSERT_EQ(transactions.size(), 4u);
  EXPECT_THAT(transactions[0].ordinals, ElementsAre(std::pair(0u, 0u), std::pair(1u, 0u)));
  EXPECT_LT(*Lsn::Parse(transactions[0].position), *Lsn::Parse(transactions[0].frontier));
  EXPECT_FALSE(transactions[0].id.empty());
  EXPECT_GT(transactions[0].commit_time_micros, 1'700'000'000'000'000);
}

TEST_F(StreamTest, ResumesBehindWhatIsDurable) {
  Run("create table t (id int primary key)");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("insert into t values (1)");
  ASSERT_TRUE(writer_.WaitForChanges(1));
  EXPECT_OK(Stop());
  Run("insert into t values (2)");
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(2));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(),
              ElementsAre("insert public.t after{id=1}", "insert public.t after{id=2}"));
}

TEST_F(StreamTest, SendsAgainWhatWasNotReleased) {
  Run("create table t (id int primary key)");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  const ResumePoint before = writer_.resume();
  Run("insert into t values (1)");
  ASSERT_TRUE(writer_.WaitForChanges(1));
  EXPECT_OK(Stop());
  writer_.set_resume(before);  // it never became durable
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(2));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(),
              ElementsAre("insert public.t after{id=1}", "insert public.t after{id=1}"));
  EXPECT_EQ(writer_.transactions()[0].position, writer_.transactions()[1].position);
}

TEST_F(StreamTest, ConfirmsReleasedFrontiersOnly) {
  Run("create table t (id int primary key)");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  const std::string start = Value(ConfirmedSql(""));  // further frontiers may follow, unreleased
  Run("insert into t values (1)");
  ASSERT_TRUE(writer_.WaitForChanges(1));
  const std::string committed = writer_.transactions()[0].frontier;
  // Some status updates later it is still not confirmed.
  Run("create table marks as select coalesce(reply_time, now()) as reply_time from "
      "pg_stat_replication");
  ASSERT_TRUE(
      WaitForSql("select bool_or(s.reply_time > m.reply_time + interval '500 ms') from "
                 "pg_stat_replication s, marks m"));
  EXPECT_EQ(Value(ConfirmedSql("")), start);
  source_->Release(DurableFrontierForTests::Make(committed));
  ASSERT_TRUE(WaitForSql(ConfirmedSql("= '" + committed + "'")));
  EXPECT_OK(Stop());
}

TEST_F(StreamTest, ConfirmsTheLastReleaseOnACleanStop) {
  Run("create table t (id int primary key)");
  config_.status_interval = std::chrono::seconds(20);
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("insert into t values (1)");
  ASSERT_TRUE(writer_.WaitForChanges(1));
  const std::string committed = writer_.transactions()[0].frontier;
  source_->Release(DurableFrontierForTests::Make(committed));
  EXPECT_OK(Stop());
  EXPECT_EQ(Value(ConfirmedSql("")), committed);
  EXPECT_EQ(Value("select active from pg_replication_slots where slot_name = '" + slot() + "'"),
            "f");
}

TEST_F(StreamTest, AdvancesWhileOnlyOtherTablesAreWritten) {
  Run("create table t (id int primary key)");
  Run("create table noise (id int)");
  tables_ = Tables({"public.t"});
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("insert into noise select generate_series(1, 1000)");
  const std::string end = Value("select pg_current_wal_flush_lsn()");
  ASSERT_TRUE(writer_.WaitUntil([&](RecordingWriter& writer) {
    return *Lsn::Parse(writer.resume().frontier->text) >= *Lsn::Parse(end);
  }));
  Release();
  ASSERT_TRUE(WaitForSql(ConfirmedSql(">= '" + end + "'")));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(), IsEmpty());
}

TEST_F(StreamTest, AnswersTheServerWhileTheTopicIsFull) {
  Run("create table t (id int primary key, pad text)");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  writer_.SetFull(true);
  Run("insert into t select i, repeat('x', 1000) from generate_series(1, 20000) i");
  const int calls = writer_.room_calls();
  ASSERT_TRUE(
      writer_.WaitUntil([&](RecordingWriter& writer) { return writer.room_calls() > calls + 3; }));
  Run("create table marks as select coalesce(reply_time, now()) as reply_time from "
      "pg_stat_replication");
  ASSERT_TRUE(
      WaitForSql("select bool_or(s.reply_time > m.reply_time + interval '500 ms') from "
                 "pg_stat_replication s, marks m"));
  EXPECT_LT(writer_.appended(), 20000u);
  writer_.SetFull(false);
  ASSERT_TRUE(writer_.WaitForChanges(20000));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.transactions(), SizeIs(1));
}

TEST_F(StreamTest, StopsWhileTheTopicIsFull) {
  Run("create table t (id int primary key)");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  writer_.SetFull(true);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_OK(Stop());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
}

TEST_F(StreamTest, StopsInTheMiddleOfALargeTransaction) {
  Run("create table t (id int primary key, pad text)");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("insert into t select i, repeat('x', 200) from generate_series(1, 200000) i");
  ASSERT_TRUE(writer_.WaitUntil([](RecordingWriter& writer) { return writer.appended() > 1000; }));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_OK(Stop());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_THAT(writer_.transactions(), IsEmpty());
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(200000));
  EXPECT_OK(Stop());
}

TEST_F(StreamTest, SurvivesACutAtEachCallOfTheWriter) {
  Run("create table t (id int primary key, v text)");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  EXPECT_OK(Stop());
  const std::vector<std::string> expected = {
      "insert public.t after{id=1, v=a}",          "insert public.t after{id=2, v=b}",
      "delete public.t before{id=2, v=(omitted)}", "insert public.t after{id=3, v=b}",
      "delete public.t before{id=1, v=(omitted)}", "truncate public.t",
      "insert public.t after{id=9, v=z}",
  };
  for (int cut = 1; cut <= 14; ++cut) {
    Run("truncate t");
    EXPECT_OK(RunUntil([](RecordingWriter& writer) { return !writer.changes().empty(); }));
    writer_.ForgetTransactions();
    Run("insert into t values (1, 'a'), (2, 'b')");
    Run("update t set id = 3 where id = 2");
    Run("delete from t where id = 1; truncate t; insert into t values (9, 'z')");
    writer_.FailAt(cut);
    const Status ended = RunUntil(
        [&](RecordingWriter& writer) { return writer.changes().size() >= expected.size(); });
    // The last cut may meet what comes behind all changes, while the run is being stopped.
    if (!ended) {
      EXPECT_THAT(ended, IsErrorWith("topic_failed"));
    }
    EXPECT_EQ(writer_.changes(), expected) << "cut at call " << cut;
    writer_.FailAt(0);
    writer_.ForgetTransactions();
  }
}

TEST_F(StreamTest, SurvivesKilledWalsenders) {
  Run("create table t (id int primary key)");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  EXPECT_OK(Stop());
  std::jthread writing([&](std::stop_token stop) {
    Sql sql(config_);
    std::string killed = "0";
    for (int i = 1; i <= 600 && !stop.stop_requested(); ++i) {
      sql.Run(fmt::format("insert into t values ({})", i));
      if (i % 60 != 0) continue;
      // Each reader once: a killed one may still be on its way out.
      while (!stop.stop_requested()) {
        const Rows rows =
            sql.Run("select pid from pg_stat_replication where pid not in (" + killed + ")");
        if (rows.empty()) continue;
        killed += ", " + rows.String(0, 0);
        sql.Run("select pg_terminate_backend(" + rows.String(0, 0) + ")");
        break;
      }
    }
  });
  EXPECT_OK(RunUntil([](RecordingWriter& writer) { return writer.changes().size() >= 600; }));
  EXPECT_GE(runs_, 10);
  const auto changes = writer_.changes();
  ASSERT_EQ(changes.size(), 600u);
  for (int i = 1; i <= 600; ++i)
    EXPECT_EQ(changes[static_cast<size_t>(i - 1)],
              fmt::format("insert public.t after{{id={}}}", i));
}

TEST_F(StreamTest, KeepsInterleavedTransactionsApart) {
  Run("create table t (id int primary key)");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Sql early(config_);
  early.Run("begin");
  early.Run("insert into t values (1)");
  Run("insert into t values (2)");
  ASSERT_TRUE(writer_.WaitForChanges(1));
  EXPECT_OK(Stop());  // restarted between the two commits
  early.Run("commit");
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(2));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(),
              ElementsAre("insert public.t after{id=2}", "insert public.t after{id=1}"));
}

TEST_F(StreamTest, DeliversNothingOfWhatWasRolledBack) {
  Run("create table t (id int primary key)");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("begin; insert into t values (1); rollback");
  Run("begin; insert into t values (2); savepoint s; insert into t values (3); rollback to s; "
      "insert into t values (4); commit");
  Run("begin; insert into t values (5); prepare transaction 'x'");
  Run("rollback prepared 'x'");
  Run("begin; insert into t values (6); prepare transaction 'y'");
  Run("commit prepared 'y'");
  ASSERT_TRUE(writer_.WaitForChanges(3));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(),
              ElementsAre("insert public.t after{id=2}", "insert public.t after{id=4}",
                          "insert public.t after{id=6}"));
}

TEST_F(StreamTest, PublishesMessagesOfConfiguredPrefixes) {
  if (version() < 14) GTEST_SKIP() << "pgoutput sends messages from 14 on";
  Run("create table t (id int primary key)");
  config_.messages = {"app"};
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("begin; insert into t values (1); select pg_logical_emit_message(true, 'app', 'in'); select "
      "pg_logical_emit_message(true, 'other', 'no'); insert into t values (2); commit");
  Run("begin; select pg_logical_emit_message(true, 'app', 'undone'); select "
      "pg_logical_emit_message(false, 'app', 'alone'); rollback");
  Run("select pg_logical_emit_message(false, 'other', 'no')");
  Run("insert into t values (3)");
  ASSERT_TRUE(writer_.WaitForChanges(5));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(), ElementsAre("insert public.t after{id=1}", "message app:in",
                                             "insert public.t after{id=2}", "message app:alone",
                                             "insert public.t after{id=3}"));
  const auto transactions = writer_.transactions();
  ASSERT_EQ(transactions.size(), 3u);
  // What is not published is counted all the same.
  EXPECT_THAT(transactions[0].ordinals,
              ElementsAre(std::pair(0u, 0u), std::pair(1u, 0u), std::pair(3u, 0u)));
  EXPECT_TRUE(transactions[1].alone);
  // Not again behind its frontier.
  RecordingWriter again;
  ResumePoint resume = writer_.resume();
  resume.frontier = Position{transactions[1].frontier};
  writer_.set_resume(resume);
  Start();
  ASSERT_TRUE(writer_.WaitForChanges(6));
  EXPECT_OK(Stop());
  EXPECT_EQ(writer_.changes().back(), "insert public.t after{id=3}");
}

TEST_F(StreamTest, NamesPartitionsByTheirRoot) {
  if (version() < 13) GTEST_SKIP() << "publish_via_partition_root is from 13 on";
  Run("create table p (id int, region text, primary key (id, region)) partition by list (region)");
  Run("create table p_a partition of p for values in ('a')");
  Run("create table p_b (region text not null, id int not null)");
  Run("alter table p attach partition p_b for values in ('b')");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("insert into p values (1, 'a'), (2, 'b')");
  Run("update p set region = 'b' where id = 1");
  Run("create table p_c partition of p for values in ('c')");
  Run("insert into p values (3, 'c')");
  Run("truncate p");
  ASSERT_TRUE(writer_.WaitForChanges(6));
  EXPECT_OK(Stop());
  EXPECT_THAT(
      writer_.changes(),
      ElementsAre("insert public.p after{id=1, region=a}", "insert public.p after{id=2, region=b}",
                  "delete public.p before{id=1, region=a}", "insert public.p after{id=1, region=b}",
                  "insert public.p after{id=3, region=c}", "truncate public.p"));
}

TEST_F(StreamTest, FollowsSchemaChanges) {
  Run("create table t (id int primary key, v text)");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("insert into t values (1, 'a')");
  Run("begin; insert into t values (2, 'b'); alter table t add column n int default 7; insert into "
      "t "
      "values (3, 'c', 8); commit");
  Run("alter table t drop column v; alter table t rename column n to m; alter table t alter m type "
      "bigint");
  Run("insert into t values (4, 9)");
  Run("alter table t rename to u");
  Run("insert into u values (5, 10)");
  ASSERT_TRUE(writer_.WaitForChanges(5));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(),
              ElementsAre("insert public.t after{id=1, v=a}", "insert public.t after{id=2, v=b}",
                          "insert public.t after{id=3, v=c, n=8}",
                          "insert public.t after{id=4, m=9}", "insert public.u after{id=5, m=10}"));
}

TEST_F(StreamTest, LeavesOutTablesThatAreNotSelected) {
  Run("create table t (id int primary key)");
  Run("create table secret (id int primary key)");
  tables_ = Tables({"public.t"});
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("begin; insert into secret values (1); insert into t values (1); commit");
  ASSERT_TRUE(writer_.WaitForChanges(1));
  EXPECT_OK(Stop());
  EXPECT_THAT(writer_.changes(), ElementsAre("insert public.t after{id=1}"));
}

TEST_F(StreamTest, NoticesAServerThatNoLongerAnswers) {
  Run("create table t (id int primary key)");
  config_.silence_timeout = std::chrono::seconds(1);
  Start();
  ASSERT_TRUE(WaitForStreaming());
  const int pid = std::stoi(
      Value("select active_pid from pg_replication_slots where slot_name = '" + slot() + "'"));
  ASSERT_EQ(kill(pid, SIGSTOP), 0);
  const Status status = Join();
  kill(pid, SIGCONT);
  ASSERT_THAT(status, IsErrorWith("pg_connection_lost"));
  EXPECT_EQ(status.error().disposition, Disposition::kRetry);
}

TEST_F(StreamTest, TakesAQuietServerForHealthy) {
  Run("create table t (id int primary key)");
  config_.silence_timeout = std::chrono::seconds(1);
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("create table marks as select now() as started");
  ASSERT_TRUE(WaitForSql("select clock_timestamp() > started + interval '2 s' from marks"));
  EXPECT_EQ(result_.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  EXPECT_OK(Stop());
}

TEST_F(StreamTest, SpeaksToASecondReaderByName) {
  Run("create table t (id int primary key)");
  Start();
  ASSERT_TRUE(WaitForStreaming());
  PostgresSource second(config_, Context());
  RecordingWriter writer;
  writer.set_resume(writer_.resume());
  const Status status = second.Run(writer.resume(), writer, {});
  ASSERT_THAT(status, IsErrorWith("pg_slot_in_use"));
  EXPECT_EQ(status.error().disposition, Disposition::kRetry);
  EXPECT_THAT(
      status.error().message,
      HasSubstr("PID " + Value("select active_pid from pg_replication_slots where slot_name "
                               "= '" +
                               slot() + "'")));
  Run("insert into t values (1)");
  EXPECT_TRUE(writer_.WaitForChanges(1));  // the first is undisturbed
  EXPECT_OK(Stop());
}

}  // namespace
}  // namespace tailwater::postgres
