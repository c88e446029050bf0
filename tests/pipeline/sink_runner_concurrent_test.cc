// The runner with a sink that has many changes in flight.
#include "pipeline/sink_runner_fixture.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using StepResult = SinkRunner::StepResult;

class ConcurrentSinkRunnerTest : public SinkRunnerTest {
 protected:
  void SetUp() override {
    Open();
    concurrent_ = true;
    flights_.answers = false;
  }
  void TearDown() override { EXPECT_EQ(flights_.keys_doubled, 0u); }
  int64_t Insert(int64_t id) { return feeder_->Insert(orders_, {Int(id), Text("a")}); }
  int64_t Update(int64_t id) { return feeder_->Update(orders_, {Int(id), Text("b")}); }
};

TEST_F(ConcurrentSinkRunnerTest, HasOneChangePerKeyInFlightInOffsetOrder) {
  const int64_t first = Insert(1);
  const int64_t other = Insert(2);
  const int64_t second = Update(1);
  const int64_t third = Update(1);
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_THAT(flights_.Flying(), ElementsAre(first, other));
  SinkStatus status = runner->Status();
  EXPECT_EQ(status.waiting, 4u);
  EXPECT_EQ(status.in_flight, 2u);
  Finish(first);
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(other, second));
  Finish(second);
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(other, third));
  Finish(third);
  Finish(other, Verdict::Superseded());
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  status = runner->Status();
  EXPECT_EQ(status.applied, 3u);
  EXPECT_EQ(status.superseded, 1u);
  EXPECT_EQ(status.waiting, 0u);
  EXPECT_EQ(status.state, SinkState::kRunning);
  ExpectAccounted(status);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 4)));
}

TEST_F(ConcurrentSinkRunnerTest, SubmitsNoMoreThanThereIsRoomFor) {
  std::vector<int64_t> versions;
  for (int i = 0; i < 5; ++i) versions.push_back(Insert(i));
  flights_.room = 2;
  auto runner = Runner();
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(versions[0], versions[1]));
  flights_.SetRoom(3);
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(versions[0], versions[1], versions[2]));
  flights_.SetRoom(0);
  Finish(versions[0]);
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(versions[1], versions[2]));
}

TEST_F(ConcurrentSinkRunnerTest, WakesAtOnceForNewRecordsAndForVerdicts) {
  auto runner = Runner();
  runner->Start();  // its waits are of seconds: without a wake-up this test takes minutes
  while (runner->Status().state != SinkState::kRunning) std::this_thread::yield();
  for (int i = 0; i < 50; ++i) {
    const int64_t version = Insert(1);
    while (flights_.Flying() != std::vector<int64_t>{version}) std::this_thread::yield();
    Finish(version);
    while (runner->Status().applied != static_cast<uint64_t>(i) + 1) std::this_thread::yield();
  }
  runner->Stop();
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 50)));
}

TEST_F(ConcurrentSinkRunnerTest, CommitsAtAPaceWhileChangesAreInFlightAndAtOnceWhenNoneIs) {
  const int64_t first = Insert(1);
  auto runner = Runner();
  Settle(*runner);
  Finish(first);
  Settle(*runner);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
  const int64_t second = Insert(2);
  const int64_t third = Insert(3);
  const int64_t fourth = Insert(4);
  Settle(*runner);
  Finish(second);
  Settle(*runner);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
  clock_.Advance(100ms);
  Settle(*runner);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 2)));
  Finish(fourth);
  Finish(third);
  Settle(*runner);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 4)));
}

TEST_F(ConcurrentSinkRunnerTest, ARefusedChangeIsPutAsideAndItsKeyGoesOn) {
  const int64_t poison = Insert(1);
  const int64_t next = Update(1);
  auto runner = Runner();
  Settle(*runner);
  Finish(poison, Verdict::Rejected("http_400", "bad request"));
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(next));
  Finish(next);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Letters(), ElementsAre("0:dead:http_400"));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 2)));
  const SinkStatus status = runner->Status();
  EXPECT_EQ(status.dead, 1u);
  EXPECT_EQ(status.rejected, 1u);
  EXPECT_EQ(status.dead_stored, 1u);
  ExpectAccounted(status);
}

TEST_F(ConcurrentSinkRunnerTest, KeepsTheOrderBehindADeadLetterWhereThatMatters) {
  rules_.keeps_order_behind_dead = true;
  const int64_t poison = Insert(1);
  const int64_t second = Update(1);
  auto runner = Runner();
  Settle(*runner);
  Finish(poison, Verdict::Rejected("http_400", "bad request"));
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  const int64_t third = Update(1);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Letters(),
              ElementsAre("0:dead:http_400", "1:parked:key_blocked", "2:parked:key_blocked"));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 3)));
  clock_.Advance(1h);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle) << "a person decides";
  EXPECT_THAT(flights_.Flying(), IsEmpty());

  EXPECT_EQ(Requeue(*runner).value(), 1u);
  for (const int64_t version : {poison, second, third}) {
    Settle(*runner);
    EXPECT_THAT(flights_.Flying(), ElementsAre(version));
    Finish(version);
  }
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Letters(), IsEmpty());
  const int64_t live = Update(1);
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(live));
  Finish(live);
  Settle(*runner);
  const SinkStatus status = runner->Status();
  EXPECT_EQ(status.replayed, 3u);
  EXPECT_EQ(status.parked, 2u);
  EXPECT_EQ(status.dead, 1u);
  ExpectAccounted(status);
}

TEST_F(ConcurrentSinkRunnerTest, DroppingADeadLetterLetsItsKeyGoOn) {
  rules_.keeps_order_behind_dead = true;
  const int64_t poison = Insert(1);
  const int64_t second = Update(1);
  auto runner = Runner();
  Settle(*runner);
  Finish(poison, Verdict::Rejected("http_400", "bad request"));
  Settle(*runner);
  EXPECT_EQ(Drop(*runner).value(), 1u);
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(second));
  Finish(second);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Letters(), IsEmpty());
}

TEST_F(ConcurrentSinkRunnerTest, ADroppedRecordDoesNotComeBackByTheAnswerThatIsUnderWay) {
  rules_.max_lane_wait = 0ms;
  const int64_t slow = Insert(1);
  auto runner = Runner();
  Settle(*runner);
  Finish(slow, Verdict::Retry("http_503", "busy"));
  Settle(*runner);
  clock_.Advance(5s);
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(slow)) << "from the store";
  DeadLetterFilter parked;
  parked.state = DeadLetter::State::kParked;
  EXPECT_EQ(Ask(*runner, [&] { return runner->DropDeadLetters(parked, 1min); }).value(), 1u);
  const int64_t next = Update(1);
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(slow)) << "one at a time, still";
  Finish(slow, Verdict::Retry("http_503", "busy"));
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(next));
  Finish(next);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Letters(), IsEmpty());
  ExpectAccounted(runner->Status());
}

TEST_F(ConcurrentSinkRunnerTest, AFailingKeyWaitsAndThenIsParkedWithWhatFollows) {
  flights_.answers = true;
  const int64_t slow = Insert(1);
  const int64_t other = Insert(2);
  const int64_t follows = Update(1);
  bool failing = true;
  target_.verdict = [&](const Delivery& delivery) -> std::optional<Verdict> {
    if (failing && delivery.change->version == slow) return Verdict::Retry("http_503", "busy", 7s);
    return {};
  };
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(runner->Status().state, SinkState::kRetrying);
  clock_.Advance(59s);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_THAT(Letters(), IsEmpty());
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 0)));
  clock_.Advance(1s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Letters(), ElementsAre("0:parked:http_503", "2:parked:key_blocked"));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 3)));
  const int64_t later = Update(1);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_EQ(runner->Status().state, SinkState::kRunning);
  EXPECT_EQ(runner->Status().parked, 3u);
  EXPECT_EQ(runner->Status().parked_stored, 3u);
  ExpectAccounted(runner->Status());
  EXPECT_THAT(target_.Versions(), ElementsAre(other));

  failing = false;
  clock_.Advance(5s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(other, slow, follows, later));
  EXPECT_THAT(Letters(), IsEmpty());
  const int64_t live = Update(1);
  Settle(*runner);
  EXPECT_EQ(target_.Versions().back(), live);
  EXPECT_EQ(runner->Status().replayed, 3u);
  runner->PublishMetrics();
  EXPECT_EQ(metrics_.Value("tailwater_sink_parked_total"), 3);
  EXPECT_EQ(metrics_.Value("tailwater_sink_replayed_total"), 3);
  EXPECT_EQ(metrics_.Value("tailwater_sink_read_total"), 5);
  EXPECT_EQ(metrics_.Value("tailwater_sink_waiting_records"), 0);
  EXPECT_EQ(metrics_.Value("tailwater_sink_oldest_dead_letter_seconds"), std::nullopt);
}

TEST_F(ConcurrentSinkRunnerTest, AParkedRecordThatIsRefusedBecomesADeadLetter) {
  rules_.max_lane_wait = 0ms;
  rules_.keeps_order_behind_dead = true;
  const int64_t slow = Insert(1);
  Update(1);
  auto runner = Runner();
  Settle(*runner);
  Finish(slow, Verdict::Retry("http_503", "busy"));
  Settle(*runner);
  clock_.Advance(5s);
  Settle(*runner);
  Finish(slow, Verdict::Retry("http_503", "busy"));
  Settle(*runner);
  EXPECT_EQ(topic_->DeadLetters("copy")[0].attempts, 2u);
  clock_.Advance(9s);
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), IsEmpty()) << "not before its time";
  clock_.Advance(1s);
  Settle(*runner);
  Finish(slow, Verdict::Rejected("http_400", "bad request"));
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Letters(), ElementsAre("0:dead:http_400", "1:parked:key_blocked"));
  EXPECT_EQ(runner->Status().dead_stored, 1u);
  EXPECT_EQ(runner->Status().parked_stored, 1u);
  ExpectAccounted(runner->Status());
}

TEST_F(ConcurrentSinkRunnerTest, ATargetThatIsDownParksNothingAndKeepsTheWindowBounded) {
  for (int i = 0; i < 500; ++i) Insert(i);
  SinkRunnerOptions options;
  options.window_records = 50;
  options.read_bytes = 1000;
  flights_.answers = true;
  flights_.room = 1;
  bool down = true;
  target_.verdict = [&](const Delivery&) -> std::optional<Verdict> {
    if (down) return Verdict::Unavailable("http_connect", "refused", 30s);
    return {};
  };
  auto runner = Runner(false, {}, options);
  for (int minute = 0; minute < 24 * 60; ++minute) {
    EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
    clock_.Advance(1min);
  }
  SinkStatus status = runner->Status();
  EXPECT_EQ(status.state, SinkState::kRetrying);
  EXPECT_EQ(status.code, "http_connect");
  EXPECT_LE(status.waiting, 80u);
  EXPECT_EQ(status.parked, 0u);
  ExpectAccounted(status);
  // Probes went round over the keys.
  const auto probes = flights_.Submitted();
  const auto round = probes.end() - static_cast<ptrdiff_t>(status.waiting);
  EXPECT_EQ(std::set<int64_t>(round, probes.end()).size(), status.waiting);
  EXPECT_THAT(Letters(), IsEmpty());
  down = false;
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_EQ(target_.events.size(), 500u);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 500)));
}

TEST_F(ConcurrentSinkRunnerTest, TimeInWhichTheTargetIsDownIsNoTimeInWhichAKeyFails) {
  const int64_t slow = Insert(1);
  const int64_t other = Insert(2);
  auto runner = Runner();
  Settle(*runner);
  Finish(slow, Verdict::Retry("http_503", "busy"));
  Finish(other, Verdict::Unavailable("http_connect", "refused", 1h));
  Settle(*runner);
  clock_.Advance(1h);
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), UnorderedElementsAre(slow, other));
  Finish(other);
  Settle(*runner);
  Finish(slow, Verdict::Retry("http_503", "busy"));
  Settle(*runner);
  EXPECT_THAT(Letters(), IsEmpty());
  clock_.Advance(1min);
  Settle(*runner);
  Finish(slow, Verdict::Retry("http_503", "busy"));
  Settle(*runner);
  EXPECT_THAT(Letters(), ElementsAre("0:parked:http_503"));
}

TEST_F(ConcurrentSinkRunnerTest, APoisonedKeySlowsNoOther) {
  flights_.answers = true;
  Insert(0);
  target_.verdict = [](const Delivery& delivery) -> std::optional<Verdict> {
    if (delivery.offset == 0) return Verdict::Retry("http_503", "busy", 1h);
    return {};
  };
  for (int i = 1; i < 2000; ++i) Insert(i);
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(target_.events.size(), 1999u);
  EXPECT_EQ(flights_.Submitted().size(), 2000u);
}

TEST_F(ConcurrentSinkRunnerTest, AtTheLimitWaitsInFrontOfTheRefusedChangeUntilThereIsRoom) {
  rules_.halt_after = 1;
  flights_.answers = true;
  std::set<int64_t> bad = {Insert(1), Insert(2)};
  target_.verdict = [&](const Delivery& delivery) -> std::optional<Verdict> {
    if (bad.contains(delivery.change->version)) return Verdict::Rejected("http_400", "bad");
    return {};
  };
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  Insert(3);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_THAT(target_.events, IsEmpty()) << "it waits in front of it";
  SinkStatus status = runner->Status();
  EXPECT_EQ(status.state, SinkState::kWaitingOperator);
  EXPECT_EQ(status.code, "http_400");
  EXPECT_THAT(status.message, ::testing::HasSubstr("tailwater dead-letters list copy"));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
  ExpectAccounted(status);
  const size_t tries = flights_.Submitted().size();
  clock_.Advance(14s);
  Settle(*runner);
  EXPECT_EQ(flights_.Submitted().size(), tries);
  clock_.Advance(1s);
  Settle(*runner);
  EXPECT_EQ(flights_.Submitted().size(), tries + 1) << "one probe";

  EXPECT_EQ(Drop(*runner).value(), 1u);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle) << "at once";
  EXPECT_EQ(target_.events.size(), 1u);
  EXPECT_THAT(Letters(), ElementsAre("1:dead:http_400"));
  EXPECT_EQ(runner->Status().state, SinkState::kRunning);
  ExpectAccounted(runner->Status());
}

TEST_F(ConcurrentSinkRunnerTest, WithTheParkLimitReachedThePartitionWaits) {
  rules_.max_lane_wait = 0ms;
  rules_.park_limit = 2;
  const int64_t slow = Insert(1);
  const int64_t second = Update(1);
  auto runner = Runner();
  Settle(*runner);
  Finish(slow, Verdict::Retry("http_503", "busy"));
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  const int64_t held = Update(1);
  const int64_t also_slow = Insert(2);
  Settle(*runner);
  Finish(also_slow, Verdict::Retry("http_503", "busy"));
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_THAT(Letters(), ElementsAre("0:parked:http_503", "1:parked:key_blocked"));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 2)));
  EXPECT_EQ(runner->Status().waiting, 2u);
  EXPECT_THAT(runner->Status().message, ::testing::HasSubstr("park_limit"));
  flights_.answers = true;
  clock_.Advance(5s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  std::vector<int64_t> of_key;
  for (const int64_t version : target_.Versions()) {
    if (version != also_slow) of_key.push_back(version);
  }
  EXPECT_THAT(of_key, ElementsAre(slow, second, held));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 4)));
  EXPECT_THAT(Letters(), IsEmpty());
  ExpectAccounted(runner->Status());
}

TEST_F(ConcurrentSinkRunnerTest, ARestartKnowsItsBlockedKeys) {
  rules_.max_lane_wait = 0ms;
  const int64_t slow = Insert(1);
  {
    auto runner = Runner();
    Settle(*runner);
    Finish(slow, Verdict::Retry("http_503", "busy"));
    Settle(*runner);
  }
  ASSERT_THAT(Letters(), ElementsAre("0:parked:http_503"));
  const int64_t second = Update(1);
  flights_.submitted.clear();
  flights_.room = 0;
  auto runner = Runner();
  Settle(*runner);
  EXPECT_THAT(Letters(), ElementsAre("0:parked:http_503", "1:parked:key_blocked"));
  flights_.answers = true;
  flights_.SetRoom(9);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(flights_.Submitted(), ElementsAre(slow, second));
  EXPECT_THAT(Letters(), IsEmpty());
}

TEST_F(ConcurrentSinkRunnerTest, ACrashBetweenParkingAndItsCommitLosesNothing) {
  rules_.max_lane_wait = 0ms;
  const int64_t slow = Insert(1);
  const int64_t second = Update(1);
  {
    auto runner = Runner();
    Settle(*runner);
    Finish(slow, Verdict::Retry("http_503", "busy"));
    topic_->FailNextCommit({Disposition::kRetry, "topic_io", "the process is about to die"}, 9);
    runner->Step(0ms);
  }
  topic_->FailNextCommit({}, 0);
  EXPECT_THAT(Letters(), IsEmpty());
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 0)));
  flights_.answers = true;
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(slow, second));
}

TEST_F(ConcurrentSinkRunnerTest, ATruncateIsABarrierInItsPartition) {
  const int64_t before = Insert(1);
  const int64_t truncate = feeder_->Truncate(orders_);
  const int64_t behind = Insert(2);
  auto runner = Runner();
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(before));
  Finish(before);
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(truncate));
  Finish(truncate);
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(behind));
}

TEST_F(ConcurrentSinkRunnerTest, SubmitsOneCopyOfATruncateAndNoOtherControlRecord) {
  Open({.partitions = 3});
  const int64_t truncate = feeder_->Truncate(orders_);
  feeder_->Frontier("0/AA");
  feeder_->Control({.operation = Operation::kSchema, .schema = orders_.get()});
  flights_.answers = true;
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(flights_.Submitted(), ElementsAre(truncate));
  clock_.Advance(1s);
  Settle(*runner);
  const SinkStatus status = runner->Status();
  EXPECT_EQ(status.read, 9u);
  EXPECT_EQ(status.applied, 1u);
  EXPECT_EQ(status.filtered, 8u);
  EXPECT_TRUE(status.frontiers.contains("shop"));
  EXPECT_EQ(status.lag_records, 0);
}

TEST_F(ConcurrentSinkRunnerTest, IgnoresTheTicketsOfAnAssignmentThatIsOver) {
  Open({.partitions = 1, .exclusive_subscriptions = false});
  const int64_t first = Insert(1);
  auto runner = Runner();
  Settle(*runner);
  const auto flying = flights_.flying;
  topic_->Rebalance("copy");
  runner->Step(0ms);
  EXPECT_EQ(flights_.cancels, 1u);
  flights_.finished.push_back({flying[0].ticket, Verdict::Rejected("late", "of a former time")});
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(first)) << "again";
  EXPECT_THAT(Letters(), IsEmpty());
  EXPECT_EQ(runner->Status().read, 1u) << "what was given back does not count twice";
  Finish(first);
  Settle(*runner);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
  ExpectAccounted(runner->Status());
}

TEST_F(ConcurrentSinkRunnerTest, AStopGivesUpWhatIsInFlightAndStoresWhatIsDone) {
  const int64_t first = Insert(1);
  Insert(2);
  auto runner = Runner();
  Settle(*runner);
  Finish(first);
  runner->Stop();
  EXPECT_EQ(flights_.cancels, 1u);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
  EXPECT_EQ(runner->Status().waiting, 0u);
  ExpectAccounted(runner->Status());
  EXPECT_THAT(runner->RequeueDeadLetters({}, 1min), IsErrorWith("sink_busy"));
}

TEST_F(ConcurrentSinkRunnerTest, HaltsWithTheErrorThatNoRetryHealsAndOnAMissingVerdict) {
  const int64_t first = Insert(1);
  {
    auto runner = Runner();
    Settle(*runner);
    Finish(first);
    flights_.error = Error{Disposition::kFatal, "bug", "cannot go on"};
    EXPECT_EQ(Settle(*runner), StepResult::kHalted);
    EXPECT_EQ(runner->Status().code, "bug");
    EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1))) << "what was answered is stored";
    EXPECT_THAT(runner->DropDeadLetters({}, 1min), IsErrorWith("sink_busy"));
  }
  const int64_t second = Insert(2);
  auto runner = Runner();
  Settle(*runner);
  Finish(second, Verdict());
  EXPECT_EQ(Settle(*runner), StepResult::kHalted);
  EXPECT_EQ(runner->Status().code, "verdict_missing");
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
}

TEST_F(ConcurrentSinkRunnerTest, WaitsForItsPreflight) {
  Insert(1);
  SinkRunnerOptions options;
  int asked = 0;
  options.preflight = [&]() -> Status {
    if (++asked < 3) return Error{Disposition::kNeedsOperator, "when_never_fires", "alter it"};
    return {};
  };
  auto runner = Runner(false, {}, options);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(runner->Status().state, SinkState::kWaitingOperator);
  EXPECT_EQ(target_.opens, 0);
  clock_.Advance(15s);
  Settle(*runner);
  clock_.Advance(15s);
  Settle(*runner);
  EXPECT_EQ(flights_.Flying().size(), 1u);
  EXPECT_EQ(asked, 3);
}

}  // namespace
}  // namespace tailwater
