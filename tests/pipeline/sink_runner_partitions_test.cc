// The runner over several partitions: markers and their fences, frontiers, rebalances, zombies.
#include "pipeline/sink_runner_fixture.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAreArray;
using StepResult = SinkRunner::StepResult;

class PartitionedSinkRunnerTest : public SinkRunnerTest {
 protected:
  void SetUp() override { Open({.partitions = 3, .exclusive_subscriptions = false}); }

  // A row whose key lies in this partition.
  std::vector<Value> RowIn(int32_t partition, std::string_view note = "a") {
    for (;; ++next_id_) {
      std::vector<Value> row = {Int(next_id_), Text(note)};
      if (feeder_->PartitionOf(orders_, row) != partition) continue;
      ++next_id_;
      return row;
    }
  }
  int64_t next_id_ = 1;
};

TEST_F(PartitionedSinkRunnerTest, DeliversAllPartitionsEachInItsOrder) {
  std::vector<int64_t> versions;
  for (int i = 0; i < 30; ++i) versions.push_back(feeder_->Insert(orders_, RowIn(i % 3)));
  SinkRunnerOptions options;
  options.batch_records = 4;
  Settle(*Runner(false, {}, options));
  EXPECT_THAT(target_.Versions(), UnorderedElementsAreArray(versions));
  std::map<int32_t, int64_t> last;
  for (const auto& event : target_.events) {
    EXPECT_LT(last[event.partition], event.version);
    last[event.partition] = event.version;
  }
}

TEST_F(PartitionedSinkRunnerTest, SweepsOnceWhenAllPartitionsHavePassedTheMarker) {
  for (int i = 0; i < 3; ++i) feeder_->Insert(orders_, RowIn(i));
  const int64_t version = feeder_->Truncate(orders_);
  for (int i = 0; i < 3; ++i) feeder_->Insert(orders_, RowIn(i));
  auto runner = Runner();
  Settle(*runner);
  EXPECT_THAT(target_.sweeps, ElementsAre("public.orders<" + std::to_string(version)));
  EXPECT_EQ(target_.events.size(), 6u);
  EXPECT_EQ(runner->Status().lag_records, 0);
}

TEST_F(PartitionedSinkRunnerTest, PartitionZeroWaitsForTheGroupAndTheOthersGoOn) {
  feeder_->Insert(orders_, RowIn(0));
  feeder_->Insert(orders_, RowIn(1));
  auto first = Runner();
  first->Step(0ms);
  auto second = Runner();
  second->Step(0ms);
  topic_->Assign("copy", {{0}, {1, 2}});
  feeder_->Truncate(orders_);
  const int64_t behind = feeder_->Insert(orders_, RowIn(0));
  EXPECT_EQ(Settle(*first), StepResult::kWaiting);
  EXPECT_THAT(target_.sweeps, IsEmpty());
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1), Pair(1, testing::_), Pair(2, testing::_)));
  const int64_t later = feeder_->Insert(orders_, RowIn(1));
  Settle(*second);
  EXPECT_THAT(target_.Versions(), testing::Contains(later)) << "nobody else waits";
  EXPECT_THAT(target_.Versions(), testing::Not(testing::Contains(behind)));
  EXPECT_EQ(Settle(*first), StepResult::kIdle);
  EXPECT_EQ(target_.sweeps.size(), 1u);
  EXPECT_THAT(target_.Versions(), testing::Contains(behind));
}

TEST_F(PartitionedSinkRunnerTest, ASweepThatFailsIsTriedAgainBeforeAnythingBehindIt) {
  feeder_->Truncate(orders_);
  const auto row = RowIn(0);
  feeder_->Insert(orders_, row);
  target_.sweep_errors = {{Disposition::kRetry, "target_down", "down"}};
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_THAT(target_.events, IsEmpty());
  clock_.Advance(1s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_EQ(target_.sweeps.size(), 1u);
  EXPECT_EQ(target_.events.size(), 1u);
}

TEST_F(PartitionedSinkRunnerTest, ASweepDropsTheTablesDeadLettersBelowIt) {
  target_.verdict = [](const Delivery& delivery) -> std::optional<Verdict> {
    if (delivery.change->operation != Operation::kUpdate) return {};
    return Verdict::Rejected(kBaseMissing, "no base");
  };
  for (int i = 0; i < 3; ++i) {
    auto row = RowIn(i);
    row[1] = Value::Unchanged();
    feeder_->Update(orders_, row);
  }
  feeder_->Update(users_, {Int(1), Value::Unchanged()});
  auto runner = Runner();
  Settle(*runner);
  ASSERT_EQ(topic_->DeadLetters("copy").size(), 4u);
  feeder_->Truncate(orders_);
  Settle(*runner);
  ASSERT_EQ(topic_->DeadLetters("copy").size(), 1u);
  EXPECT_EQ(topic_->DeadLetters("copy")[0].table, "public.users");
}

TEST_F(PartitionedSinkRunnerTest, AnEventSinkGetsTruncateAsAnEventAndNoSweep) {
  wants_truncate_events_ = true;
  feeder_->Truncate(orders_);
  feeder_->Control({.operation = Operation::kSweep, .schema = orders_.get()});
  auto runner = Runner();
  Settle(*runner);
  EXPECT_THAT(target_.sweeps, IsEmpty());
  ASSERT_EQ(target_.events.size(), 3u);
  EXPECT_EQ(target_.events[0].operation, Operation::kTruncate);
  EXPECT_EQ(target_.events[0].id, target_.events[1].id) << "copies have one identity";
  EXPECT_EQ(runner->Status().lag_records, 0);
}

TEST_F(PartitionedSinkRunnerTest, PassesAFrontierOnlyWhenEveryPartitionHas) {
  feeder_->Insert(orders_, RowIn(0));
  feeder_->Insert(orders_, RowIn(1));
  const int64_t version = feeder_->Frontier("0/AA");
  std::string slow;
  target_.verdict = [](const Delivery& delivery) -> std::optional<Verdict> {
    if (delivery.partition != 1 || delivery.change->operation == Operation::kFrontier) return {};
    return Verdict::Retry("throttled", "429");
  };
  auto runner = Runner();
  Settle(*runner);
  EXPECT_THAT(runner->Status().frontiers, IsEmpty());
  target_.verdict = nullptr;
  clock_.Advance(1s);
  Settle(*runner);
  const auto frontiers = runner->Status().frontiers;
  ASSERT_TRUE(frontiers.contains("shop"));
  EXPECT_EQ(frontiers.at("shop").position, "0/AA");
  EXPECT_EQ(frontiers.at("shop").version, version);
  feeder_->Frontier("0/BB");
  Settle(*runner);
  EXPECT_EQ(runner->Status().frontiers.at("shop").position, "0/BB");
}

TEST_F(PartitionedSinkRunnerTest, ARebalanceInMidBatchLosesNothing) {
  std::vector<int64_t> versions;
  for (int i = 0; i < 60; ++i) versions.push_back(feeder_->Insert(orders_, RowIn(i % 3)));
  SinkRunnerOptions options;
  options.batch_records = 3;
  auto first = Runner(false, {}, options);
  for (int i = 0; i < 4; ++i) first->Step(0ms);
  auto second = Runner(false, {}, options);
  for (int i = 0; i < 200; ++i) {
    first->Step(0ms);
    if (i == 3) topic_->Assign("copy", {{2}, {0, 1}});
    if (i == 6) topic_->Rebalance("copy");
    second->Step(0ms);
  }
  std::vector<int64_t> seen = target_.Versions();
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  EXPECT_EQ(seen, versions);
  EXPECT_EQ(first->Status().lag_records.value_or(-1) + second->Status().lag_records.value_or(-1),
            0);
}

TEST_F(PartitionedSinkRunnerTest, AZombieCommitsNothing) {
  auto zombie = Runner();
  Settle(*zombie);
  feeder_->Insert(orders_, RowIn(0));
  // Its partitions move while it writes.
  std::unique_ptr<SinkRunner> owner;
  target_.verdict = [&](const Delivery&) -> std::optional<Verdict> {
    target_.verdict = nullptr;
    owner = Runner();
    owner->Step(0ms);
    topic_->Assign("copy", {{}, {0, 1, 2}});
    return {};
  };
  Settle(*zombie);
  EXPECT_EQ(Stored()[0], 0);
  EXPECT_EQ(zombie->Status().state, SinkState::kStandby);
  Settle(*owner);
  EXPECT_EQ(Stored()[0], 1);
  EXPECT_EQ(target_.events.size(), 2u) << "at least once";
}

TEST_F(PartitionedSinkRunnerTest, MarksRecordsBelowTheRewindAsReplays) {
  for (int i = 0; i < 2; ++i) feeder_->Insert(orders_, RowIn(0));
  Settle(*Runner());
  target_.events.clear();
  {
    // What `sinks rewind` stores.
    auto subscription = topic_->Subscribe("copy", {}, [](const std::string&) {});
    const auto assignment = (*subscription)->Poll(0ms);
    ASSERT_OK((*subscription)
                  ->Commit(assignment->generation, {.log_id = feeder_->writer().log_id(),
                                                    .offsets = {{0, 0}},
                                                    .rewound_from = {{0, 2}}}));
  }
  feeder_->Insert(orders_, RowIn(0));
  Settle(*Runner());
  ASSERT_EQ(target_.events.size(), 3u);
  EXPECT_TRUE(target_.events[0].replay);
  EXPECT_TRUE(target_.events[1].replay);
  EXPECT_FALSE(target_.events[2].replay);
}

TEST_F(PartitionedSinkRunnerTest, ReadsOverOffsetsThatHoldNoRecord) {
  Open({.partitions = 2, .commit_markers = true});
  for (int i = 0; i < 5; ++i) feeder_->Insert(orders_, RowIn(i % 2));
  auto runner = Runner();
  Settle(*runner);
  EXPECT_EQ(target_.events.size(), 5u);
  EXPECT_EQ(runner->Status().lag_records, 0);
}

TEST_F(PartitionedSinkRunnerTest, WaitsForAllItsPartitionsAtOnce) {
  auto runner = Runner();
  Settle(*runner);
  const uint64_t idle = topic_->reads();
  EXPECT_EQ(runner->Step(300ms), StepResult::kIdle);
  EXPECT_LE(topic_->reads() - idle, 6u) << "nothing came, so there was nothing to ask";
  for (int32_t partition = 0; partition < 3; ++partition) {
    const uint64_t before = topic_->reads();
    auto step = std::async(std::launch::async, [&] { return runner->Step(1min); });
    feeder_->Insert(orders_, RowIn(partition));
    EXPECT_EQ(step.get(), StepResult::kProgress);
    Settle(*runner);
    EXPECT_EQ(target_.events.size(), static_cast<size_t>(partition) + 1);
    EXPECT_LE(topic_->reads() - before, 30u);
  }
}

TEST_F(PartitionedSinkRunnerTest, AReadThatFailsEndsTheWait) {
  auto runner = Runner();
  Settle(*runner);
  auto step = std::async(std::launch::async, [&] { return runner->Step(1min); });
  topic_->FailNextRead({Disposition::kRetry, "kafka_unreachable", "no broker answers"});
  feeder_->Insert(orders_, RowIn(1));
  EXPECT_NE(step.get(), StepResult::kIdle);
  clock_.Advance(1h);
  Settle(*runner);
  EXPECT_EQ(target_.events.size(), 1u);
}

}  // namespace
}  // namespace tailwater
