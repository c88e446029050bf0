// A table of which the target takes nothing until a person acts: Verdict::table_stopped.
#include "pipeline/sink_runner_fixture.h"
#include "pipeline/stopped_tables.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using StepResult = SinkRunner::StepResult;

class StoppedTablesTest : public SinkRunnerTest {
 protected:
  void SetUp() override {
    Open();
    target_.verdict = [this](const Delivery& delivery) -> std::optional<Verdict> {
      if (!stopped_ || delivery.change->table != "public.orders") return std::nullopt;
      return Verdict::TableStopped("schema_incompatible", "column 'a' is now text: ALTER TABLE");
    };
  }
  int64_t Order(int64_t id) { return feeder_->Insert(orders_, {Int(id), Text("a")}); }
  int64_t User(int64_t id) { return feeder_->Insert(users_, {Int(id), Text("u")}); }
  // Transactional: the copy of its offsets is behind.
  Offsets Held(bool transactional) { return transactional ? target_.stored.offsets : Stored(); }
  void StopsItsTableAlone(bool transactional) {
    const int64_t user = User(1);
    const int64_t first = Order(1);
    const int64_t second = Order(2);
    auto runner = Runner(transactional);
    Settle(*runner);
    EXPECT_THAT(target_.Versions(), ElementsAre(user));
    const int64_t third = Order(1);
    const int64_t fourth = Order(3);
    const int64_t other = User(2);
    Settle(*runner);
    EXPECT_THAT(target_.Versions(), ElementsAre(user, other));
    EXPECT_THAT(Held(transactional), ElementsAre(Pair(0, 6))) << "nobody waits for the table";
    SinkStatus status = runner->Status();
    EXPECT_EQ(status.state, SinkState::kRunning);
    ASSERT_THAT(status.stopped_tables, SizeIs(1));
    EXPECT_EQ(status.stopped_tables[0].source, "shop");
    EXPECT_EQ(status.stopped_tables[0].table, "public.orders");
    EXPECT_EQ(status.stopped_tables[0].code, "schema_incompatible");
    EXPECT_EQ(status.stopped_tables[0].parked, 4u);
    EXPECT_EQ(status.parked_stored, 4u);
    ExpectAccounted(status);
    runner->PublishMetrics();
    EXPECT_EQ(metrics_.Value("tailwater_sink_stopped_tables"), 1);

    for (int i = 0; i < 10; ++i) {  // asked slowly, by one record
      clock_.Advance(15s);
      Settle(*runner);
    }
    EXPECT_THAT(Letters(), SizeIs(4));
    EXPECT_THAT(runner->Status().stopped_tables, SizeIs(1));
    stopped_ = false;
    clock_.Advance(15s);
    Settle(*runner);
    EXPECT_THAT(Letters(), IsEmpty());
    EXPECT_THAT(runner->Status().stopped_tables, IsEmpty());
    EXPECT_THAT(target_.Versions(),
                ::testing::UnorderedElementsAre(user, other, first, second, third, fourth));
    const auto versions = target_.Versions();
    EXPECT_LT(std::find(versions.begin(), versions.end(), first),
              std::find(versions.begin(), versions.end(), third));
    const int64_t live = Order(1);
    Settle(*runner);
    EXPECT_EQ(target_.Versions().back(), live);
    ExpectAccounted(runner->Status());
  }

  bool stopped_ = true;
};

TEST_F(StoppedTablesTest, OfAPlainSinkStopsAlone) { StopsItsTableAlone(false); }
TEST_F(StoppedTablesTest, OfATransactionalSinkStopsAlone) { StopsItsTableAlone(true); }
TEST_F(StoppedTablesTest, OfAConcurrentSinkStopsAlone) {
  concurrent_ = true;
  StopsItsTableAlone(false);
}

TEST_F(StoppedTablesTest, TwoTablesOfOneTransactionStopOneAfterTheOther) {
  target_.verdict = [](const Delivery& delivery) -> std::optional<Verdict> {
    if (delivery.change->table == "public.free") return std::nullopt;
    return Verdict::TableStopped("schema_incompatible", "ALTER TABLE");
  };
  const SchemaPtr free = TestSchema("free", {"id*:int64"});
  Order(1);
  User(1);
  const int64_t version = feeder_->Insert(free, {Int(1)});
  Order(2);
  auto runner = Runner(true);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(version));
  EXPECT_THAT(runner->Status().stopped_tables, SizeIs(2));
  EXPECT_EQ(runner->Status().parked_stored, 3u);
}

TEST_F(StoppedTablesTest, IsKnownAgainAfterARestart) {
  const int64_t first = Order(1);
  {
    auto runner = Runner(true);
    Settle(*runner);
  }
  const int64_t second = Order(2);
  auto runner = Runner(true);
  Settle(*runner);
  EXPECT_THAT(runner->Status().stopped_tables, SizeIs(1));
  EXPECT_EQ(runner->Status().stopped_tables[0].parked, 2u);
  stopped_ = false;
  runner = Runner(true);  // a reload with another policy
  Settle(*runner);
  EXPECT_THAT(target_.Versions(), ElementsAre(first, second));
}

TEST_F(StoppedTablesTest, WaitsInItsPartitionBeyondTheParkLimit) {
  for (const bool transactional : {false, true}) {
    target_ = {};
    SetUp();
    stopped_ = true;
    rules_.park_limit = 2;
    for (int64_t id = 1; id <= 4; ++id) Order(id);
    const int64_t user = User(1);
    auto runner = Runner(transactional);
    Settle(*runner);
    EXPECT_THAT(Letters(), SizeIs(2)) << transactional;
    EXPECT_THAT(Held(transactional), ElementsAre(Pair(0, 2))) << transactional;
    ExpectAccounted(runner->Status());
    stopped_ = false;
    for (int i = 0; i < 4; ++i) {
      clock_.Advance(60s);
      Settle(*runner);
    }
    EXPECT_THAT(Letters(), IsEmpty()) << transactional;
    EXPECT_THAT(target_.events, SizeIs(5)) << transactional;
    EXPECT_THAT(target_.Versions(), ::testing::Contains(user));
    EXPECT_THAT(Held(transactional), ElementsAre(Pair(0, 5))) << transactional;
    ExpectAccounted(runner->Status());
  }
}

TEST_F(StoppedTablesTest, AsksTheTargetItselfWhereNothingMayBeParked) {
  for (const bool transactional : {false, true}) {
    target_ = {};
    SetUp();
    stopped_ = true;
    rules_.park_limit = 0;
    const int64_t order = Order(1);
    auto runner = Runner(transactional);
    EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
    EXPECT_THAT(Letters(), IsEmpty());
    EXPECT_THAT(runner->Status().stopped_tables, SizeIs(1));
    stopped_ = false;
    clock_.Advance(60s);
    Settle(*runner);
    EXPECT_THAT(target_.Versions(), ElementsAre(order));
    EXPECT_THAT(runner->Status().stopped_tables, IsEmpty());
  }
}

TEST_F(StoppedTablesTest, ASweepTakesTheParkedRecordsBelowIt) {
  for (const bool transactional : {false, true}) {
    target_ = {};
    SetUp();
    stopped_ = true;
    Order(1);
    feeder_->Truncate(orders_);
    const int64_t after = Order(2);
    auto runner = Runner(transactional);
    Settle(*runner);
    EXPECT_THAT(target_.sweeps, SizeIs(1));
    EXPECT_THAT(Letters(), ElementsAre("2:parked:schema_incompatible"));
    stopped_ = false;
    clock_.Advance(15s);
    Settle(*runner);
    EXPECT_THAT(target_.Versions(), ElementsAre(after));
    EXPECT_THAT(runner->Status().stopped_tables, IsEmpty());
  }
}

TEST_F(StoppedTablesTest, AnEventOfAllRowsWaitsForTheParkedOnes) {
  wants_truncate_events_ = true;
  const int64_t first = Order(1);
  auto runner = Runner();
  Settle(*runner);
  const int64_t truncate = feeder_->Truncate(orders_);
  const int64_t after = Order(1);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_THAT(target_.events, IsEmpty());
  stopped_ = false;
  clock_.Advance(15s);
  Settle(*runner);
  EXPECT_THAT(target_.Versions(), ElementsAre(first, truncate, after));
}

TEST_F(StoppedTablesTest, ASchemaRecordThatItsTableRefusesHoldsUpNothing) {
  Change change;
  change.operation = Operation::kSchema;
  change.schema = orders_.get();
  change.table = orders_->table();
  feeder_->Control(change);
  const int64_t user = User(1);
  auto runner = Runner(true);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(user));
  EXPECT_THAT(runner->Status().stopped_tables, IsEmpty()) << "no change of it waits";
  ExpectAccounted(runner->Status());
}

TEST_F(StoppedTablesTest, APersonMayHaveItAskedAtOnce) {
  const int64_t order = Order(1);
  auto runner = Runner();
  Settle(*runner);
  stopped_ = false;
  const DeadLetterFilter parked{.state = DeadLetter::State::kParked};
  EXPECT_OK(Ask(*runner, [&] { return runner->RequeueDeadLetters(parked, 1min); }));
  Settle(*runner);
  EXPECT_THAT(target_.Versions(), ElementsAre(order));
}

TEST_F(StoppedTablesTest, OfWhichEverythingWasDroppedAsksAnew) {
  Order(1);
  auto runner = Runner();
  Settle(*runner);
  const DeadLetterFilter parked{.state = DeadLetter::State::kParked};
  EXPECT_OK(Ask(*runner, [&] { return runner->DropDeadLetters(parked, 1min); }));
  stopped_ = false;
  Settle(*runner);
  const int64_t next = Order(1);
  clock_.Advance(15s);
  Settle(*runner);
  EXPECT_THAT(target_.Versions(), ElementsAre(next));
  EXPECT_THAT(runner->Status().stopped_tables, IsEmpty());
}

TEST(TableOfKeyTest, ReadsSourceAndTable) {
  const std::string key = std::string("\x0a\x04shop\x12\x0dpublic.orders\x1a\x02") + "xy";
  EXPECT_EQ(TableOfKey(key),
            (std::pair<std::string_view, std::string_view>("shop", "public.orders")));
  EXPECT_EQ(TableOfKey("").first, "");
  EXPECT_EQ(TableOfKey("\x0a\x7f").first, "");
}

}  // namespace
}  // namespace tailwater
