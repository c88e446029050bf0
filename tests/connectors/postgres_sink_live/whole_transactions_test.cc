// `transactional: true`: what readers of the target see, batch by batch, through a runner.
#include "connectors/postgres_sink_live/postgres_sink_harness.h"
#include "pipeline/sink_runner.h"
#include "support/manual_clock.h"
#include "support/memory_topic.h"
#include "support/short_values.h"
#include "support/topic_feeder.h"

namespace tailwater::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class WholeTransactionsTest : public ::testing::Test {
 protected:
  WholeTransactionsTest() { harness_.config().transactional = true; }

  std::unique_ptr<SinkRunner> Runner(Topic& topic, size_t batch_records) {
    SinkRunnerOptions options;
    options.clock = &clock_;
    options.batch_records = batch_records;
    options.read_bytes = 2'000;
    Problems problems;
    return std::make_unique<SinkRunner>(
        "pipe", "copy", topic,
        [this]() -> Result<std::unique_ptr<Sink>> { return harness_.NewSink(); },
        DeliveryRules{.tables = TableSelection::Parse(nullptr, problems),
                      .whole_transactions = true},
        metrics_, options);
  }
  // A sum that every transaction leaves at zero.
  std::string Balance() {
    if (harness_.Value("select to_regclass('public.accounts') is null") == "t") return "0";
    return harness_.Value("select coalesce(sum(balance), 0) from accounts");
  }

  PostgresSinkHarness harness_;
  StubMetrics metrics_;
  ManualClock clock_;
  SchemaPtr accounts_ = TestSchema("accounts", {"id*:int64", "balance:int64"});
};

TEST_F(WholeTransactionsTest, NobodySeesAPartOfATransaction) {
  StubMemoryTopic topic({.partitions = 3});
  TopicFeeder feeder(topic);
  std::vector<int64_t> balances(20);
  for (int i = 0; i < 20; ++i) feeder.Insert(accounts_, {Int(i), Int(0)});
  feeder.Frontier("0/1");
  for (int transaction = 0; transaction < 60; ++transaction) {
    for (int step = 0; step < 1 + transaction % 7; ++step) {
      const size_t from = static_cast<size_t>(transaction * 7 + step) % 20;
      const size_t to = static_cast<size_t>(transaction * 3 + step + 1) % 20;
      if (from == to) continue;
      balances[from] -= 1;
      balances[to] += 1;
      feeder.Update(accounts_, {Int(static_cast<int64_t>(from)), Int(balances[from])});
      feeder.Update(accounts_, {Int(static_cast<int64_t>(to)), Int(balances[to])});
    }
    if (transaction % 3 == 2) feeder.Frontier("0/" + std::to_string(transaction + 2));
  }
  // Cut again and again, in mid-transaction too.
  int looks = 0;
  for (int cut = 0; cut < 12; ++cut) {
    auto runner = Runner(topic, 4);
    for (int step = 0; step < (cut == 11 ? 2'000 : 5 + cut); ++step) {
      const auto result = runner->Step(std::chrono::milliseconds(0));
      EXPECT_EQ(Balance(), "0") << "cut " << cut << " step " << step;
      ++looks;
      ASSERT_NE(result, SinkRunner::StepResult::kHalted) << runner->Status().message;
      if (result == SinkRunner::StepResult::kIdle) break;
    }
    if (cut == 11) {
      EXPECT_EQ(runner->Status().lag_records, 0);
    }
  }
  EXPECT_GT(looks, 50);
  std::vector<std::string> rows;
  for (size_t i = 0; i < 20; ++i) rows.push_back(fmt::format("{}|{}", i, balances[i]));
  EXPECT_EQ(harness_.Query("select id, balance from accounts order by id"), rows);
}

TEST_F(WholeTransactionsTest, ATransactionLargerThanABatchComesAtOnceAtItsEnd) {
  StubMemoryTopic topic({.partitions = 1});
  TopicFeeder feeder(topic);
  for (int i = 0; i < 100; ++i) feeder.Insert(accounts_, {Int(i), Int(0)});
  auto runner = Runner(topic, 10);
  for (int step = 0; step < 50; ++step) runner->Step(std::chrono::milliseconds(0));
  EXPECT_EQ(harness_.Value("select to_regclass('public.accounts') is null"), "t");
  feeder.Frontier("0/1");
  for (int step = 0; step < 50; ++step) runner->Step(std::chrono::milliseconds(0));
  EXPECT_EQ(harness_.Value("select count(*) from accounts"), "100");
}

TEST_F(WholeTransactionsTest, ASessionThatIsLostInMidTransactionLosesNothing) {
  StubMemoryTopic topic({.partitions = 1});
  TopicFeeder feeder(topic);
  const SchemaPtr log = TestSchema("log", {"line:int64"});
  for (int i = 0; i < 50; ++i) feeder.Insert(log, {Int(i)});
  auto runner = Runner(topic, 10);
  for (int step = 0; step < 20; ++step) runner->Step(std::chrono::milliseconds(0));
  harness_.Run(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = "
      "'tailwater pipe/copy' and datname = current_database()");
  for (int i = 50; i < 60; ++i) feeder.Insert(log, {Int(i)});
  feeder.Frontier("0/1");
  for (int step = 0; step < 200; ++step) {
    runner->Step(std::chrono::milliseconds(0));
    clock_.Advance(std::chrono::seconds(1));
  }
  EXPECT_EQ(harness_.Value("select count(*) || ' ' || count(distinct line) from log"), "60 60");
}

// The record of the other partition that stops takes the batch back; what stands before it, with
// the end of the transaction in its partition, is delivered alone. What was parked comes between
// two transactions, and without another one, too.
TEST_F(WholeTransactionsTest, ATableThatStoppedIsAskedAgainBetweenTransactions) {
  StubMemoryTopic topic({.partitions = 2});
  TopicFeeder feeder(topic);
  const SchemaPtr bad = TestSchema("bad", {"id*:int64"});
  harness_.Run("create view bad as select 1 as id");
  int rows = 0;
  for (int i = 0; i < 10; ++i) {
    if (feeder.PartitionOf(accounts_, {Int(i), Int(0)}) != 0) continue;
    feeder.Insert(accounts_, {Int(i), Int(0)});
    ++rows;
  }
  int id = 0;
  while (feeder.PartitionOf(bad, {Int(id)}) != 1) ++id;
  feeder.Insert(bad, {Int(id)});
  feeder.Frontier("0/1");
  auto runner = Runner(topic, 100);
  for (int step = 0; step < 50; ++step) runner->Step(std::chrono::milliseconds(0));
  EXPECT_EQ(harness_.Query("select count(*) from accounts"),
            std::vector<std::string>{std::to_string(rows)});
  harness_.Run("drop view bad");
  for (int step = 0; step < 50; ++step) {
    clock_.Advance(std::chrono::minutes(1));
    runner->Step(std::chrono::milliseconds(0));
  }
  EXPECT_EQ(harness_.Query("select count(*) from bad"), std::vector<std::string>{"1"});
}

// What earlier parts copied lies in the stage still: it must not be written once more.
TEST_F(WholeTransactionsTest, APartThatIsTakenBackBringsNoRowOfThePartsBeforeIt) {
  const SchemaPtr log = TestSchema("log", {"line:int64"});
  const auto sink = harness_.NewSink();
  ASSERT_OK(sink->Open());
  TransactionalSink& transaction = *sink->transactional();
  const std::vector<int32_t> partitions = {0};
  ASSERT_OK(transaction.Assigned(partitions));
  const auto write = [&](int64_t line, bool ends) {
    DeliveryBatchBuilder batch;
    batch.Insert(log, line, {Int(line)});
    if (ends) batch.Add({.operation = Operation::kFrontier, .version = line + 5});
    const auto verdicts = sink->Write(batch.Build());
    ASSERT_OK(verdicts);
    EXPECT_EQ(verdicts->at(0).kind, Verdict::Kind::kApplied);
  };
  const auto commit = [&](const Offsets& expected, int64_t next) {
    const auto outcome = transaction.Commit("log", expected, {{0, next}});
    ASSERT_OK(outcome);
    ASSERT_EQ(*outcome, CommitOutcome::kCommitted);
  };
  write(10, true);
  commit({}, 1);
  write(20, false);
  commit({{0, 1}}, 2);
  write(30, false);
  transaction.Rollback();
  write(30, true);
  commit({{0, 2}}, 3);
  EXPECT_THAT(harness_.Query("select line from log order by 1"), ElementsAre("10", "20", "30"));
}

}  // namespace
}  // namespace tailwater::postgres
