// The runner while a person pauses, resumes and rewinds its sink.
#include "pipeline/sink_runner_fixture.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using StepResult = SinkRunner::StepResult;

class SinkRequestsTest : public SinkRunnerTest {
 protected:
  void SetUp() override { Open(); }
  int64_t Insert(int64_t id) { return feeder_->Insert(orders_, {Int(id), Text("a")}); }
  Subscription::Stored Place() { return *topic_->PeekOffsets("copy"); }
  static RewindTarget To(int64_t offset) {
    return {RewindTarget::Kind::kOffsets, 0, {{0, offset}}};
  }
};

TEST_F(SinkRequestsTest, APausedSinkReadsNothingAndGoesOnWhereItWas) {
  const int64_t first = Insert(1);
  auto runner = Runner();
  Settle(*runner);
  EXPECT_EQ(*Pause(*runner), true);
  EXPECT_EQ(*Pause(*runner), false) << "it is already";
  const int64_t second = Insert(2);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_THAT(target_.Versions(), ElementsAre(first));
  SinkStatus status = runner->Status();
  EXPECT_EQ(status.state, SinkState::kPaused);
  EXPECT_EQ(status.lag_records, 1);
  ExpectAccounted(status);
  EXPECT_EQ(*Resume(*runner), true);
  Settle(*runner);
  EXPECT_EQ(*Resume(*runner), false);
  EXPECT_THAT(target_.Versions(), ElementsAre(first, second));
  EXPECT_EQ(runner->Status().state, SinkState::kRunning);
}

TEST_F(SinkRequestsTest, StaysPausedOverARestartAndDoesNotLookForItsTarget) {
  const int64_t first = Insert(1);
  {
    auto runner = Runner();
    Settle(*runner);
    ASSERT_OK(Pause(*runner));
  }
  const int64_t second = Insert(2);
  const int opens = target_.opens;
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(runner->Status().state, SinkState::kPaused);
  EXPECT_EQ(runner->Status().lag_records, 1) << "it is seen how far behind it is";
  EXPECT_EQ(target_.opens, opens);
  ASSERT_OK(Resume(*runner));
  Settle(*runner);
  EXPECT_THAT(target_.Versions(), ElementsAre(first, second));
}

TEST_F(SinkRequestsTest, APauseWhileTheTargetIsDownTakesEffectAtOnce) {
  Insert(1);
  target_.write_errors = {{Disposition::kNeedsOperator, "refused", "no"}};
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(runner->Status().state, SinkState::kWaitingOperator);
  ASSERT_OK(Pause(*runner));
  Settle(*runner);
  EXPECT_EQ(runner->Status().state, SinkState::kPaused);
  ExpectAccounted(runner->Status());
  ASSERT_OK(Resume(*runner));
  Settle(*runner);
  EXPECT_EQ(target_.events.size(), 1u) << "no backoff is left of the failure before";
}

TEST_F(SinkRequestsTest, APauseLetsWhatIsInFlightComeBack) {
  concurrent_ = true;
  flights_.answers = false;
  const int64_t first = Insert(1);
  const int64_t second = Insert(2);
  auto runner = Runner();
  Settle(*runner);
  Finish(second);
  ASSERT_OK(Pause(*runner));
  Insert(3);
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(first));
  EXPECT_EQ(runner->Status().state, SinkState::kPaused);
  Finish(first);
  Settle(*runner);
  EXPECT_EQ(flights_.cancels, 0u);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 2))) << "what came back is stored";
  EXPECT_EQ(runner->Status().in_flight, 0u);
  ExpectAccounted(runner->Status());
  ASSERT_OK(Resume(*runner));
  flights_.answers = true;
  Settle(*runner);
  EXPECT_EQ(flights_.Submitted().size(), 3u) << "nothing went twice";
}

TEST_F(SinkRequestsTest, AResumeBeforeAllCameBackGoesOnWhereItIs) {
  concurrent_ = true;
  flights_.answers = false;
  const int64_t first = Insert(1);
  auto runner = Runner();
  Settle(*runner);
  ASSERT_OK(Pause(*runner));
  ASSERT_OK(Resume(*runner));
  const int64_t second = Insert(2);
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(first, second));
  EXPECT_EQ(flights_.cancels, 0u);
}

TEST_F(SinkRequestsTest, ARewindDeliversAgainAndMarksReplays) {
  for (int i = 0; i < 4; ++i) Insert(i);
  auto runner = Runner();
  Settle(*runner);
  target_.events.clear();
  const auto dry = Rewind(*runner, To(1), true);
  ASSERT_OK(dry);
  EXPECT_EQ(dry->records, 3u);
  EXPECT_THAT(dry->moves, ElementsAre(Pair(0, RewindPlan::Move{4, 1})));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 4))) << "it only says so";
  ASSERT_OK(Rewind(*runner, To(1)));
  Insert(4);
  Settle(*runner);
  ASSERT_EQ(target_.events.size(), 4u);
  EXPECT_EQ(target_.events[0].offset, 1);
  EXPECT_TRUE(target_.events[2].replay);
  EXPECT_FALSE(target_.events[3].replay);
  EXPECT_THAT(Place().rewound_from, ElementsAre(Pair(0, 4)));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 5)));
  ExpectAccounted(runner->Status());
}

TEST_F(SinkRequestsTest, TheMarkIsTheHighestPlaceThereEverWas) {
  for (int i = 0; i < 5; ++i) Insert(i);
  auto runner = Runner();
  Settle(*runner);
  ASSERT_OK(Pause(*runner));
  ASSERT_OK(Rewind(*runner, To(3)));
  Settle(*runner);
  EXPECT_EQ(runner->Status().state, SinkState::kPaused) << "a rewind does not resume it";
  EXPECT_EQ(runner->Status().lag_records, 2);
  ASSERT_OK(Rewind(*runner, To(1)));
  EXPECT_THAT(Place().rewound_from, ElementsAre(Pair(0, 5)));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
}

TEST_F(SinkRequestsTest, RefusesToGoForwardAndToWhatTheTopicNoLongerHolds) {
  for (int i = 0; i < 5; ++i) Insert(i);
  auto runner = Runner();
  Settle(*runner);
  ASSERT_OK(Rewind(*runner, To(5)));  // where it is: nothing to do
  EXPECT_THAT(Rewind(*runner, To(6)), IsErrorWith("rewind_refused"));
  EXPECT_THAT(Rewind(*runner, {RewindTarget::Kind::kOffsets, 0, {{7, 0}}}),
              IsErrorWith("rewind_refused"));
  topic_->Trim(0, 2);
  EXPECT_THAT(Rewind(*runner, To(1)), IsErrorWith("rewind_refused"));
  const auto plan = Rewind(*runner);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->records, 3u);
}

TEST_F(SinkRequestsTest, ARewindDropsWhatComesAgainAndKeepsWhatDoesNot) {
  for (int i = 0; i < 4; ++i) Insert(i);
  target_.verdict = [](const Delivery& delivery) -> std::optional<Verdict> {
    if (delivery.offset == 0 || delivery.offset == 2) return Verdict::Rejected("refused", "no");
    return {};
  };
  auto runner = Runner();
  Settle(*runner);
  EXPECT_THAT(Letters(), ElementsAre("0:dead:refused", "2:dead:refused"));
  target_.verdict = nullptr;
  ASSERT_OK(Rewind(*runner, To(1)));
  Settle(*runner);
  EXPECT_THAT(Letters(), ElementsAre("0:dead:refused"));
}

TEST_F(SinkRequestsTest, ARewindGivesUpWhatIsInFlight) {
  concurrent_ = true;
  flights_.answers = false;
  const int64_t first = Insert(1);
  const int64_t second = Insert(2);
  auto runner = Runner();
  Settle(*runner);
  Finish(first);
  Settle(*runner);
  const auto plan = Rewind(*runner);
  ASSERT_OK(plan);
  EXPECT_EQ(flights_.cancels, 1u);
  Settle(*runner);
  EXPECT_THAT(flights_.Flying(), ElementsAre(first, second));
  Finish(first);
  Finish(second);
  Settle(*runner);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 2)));
  ExpectAccounted(runner->Status());
}

TEST_F(SinkRequestsTest, ASinkWithoutReplaysSkipsThemAndSaysSo) {
  rules_.replay = false;
  Insert(1);
  auto runner = Runner();
  Settle(*runner);
  const auto plan = Rewind(*runner);
  ASSERT_OK(plan);
  EXPECT_TRUE(plan->replays_skipped);
  Insert(2);
  Settle(*runner);
  EXPECT_EQ(target_.events.size(), 2u);
  EXPECT_EQ(runner->Status().filtered, 1u);
}

TEST_F(SinkRequestsTest, ATransactionalSinkIsAssignedBeforeItIsAskedAndMovesBackInItsTarget) {
  Open({.partitions = 2});
  for (int i = 0; i < 8; ++i) Insert(i);
  auto runner = Runner(true);
  Settle(*runner);
  EXPECT_THAT(target_.calls, ElementsAre("assigned 0 1", "stored offsets"));
  const Offsets before = target_.stored.offsets;
  ASSERT_OK(Pause(*runner));
  Settle(*runner);
  EXPECT_EQ(Place().offsets, before) << "the copy is true, too";
  const auto plan = Rewind(*runner);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->records, 8u);
  EXPECT_EQ(target_.stored.offsets, (Offsets{{0, 0}, {1, 0}}));
  EXPECT_EQ(Place().offsets, (Offsets{{0, 0}, {1, 0}}));
  EXPECT_EQ(Place().rewound_from, before);
  target_.events.clear();
  ASSERT_OK(Resume(*runner));
  Settle(*runner);
  EXPECT_EQ(target_.events.size(), 8u);
  EXPECT_EQ(target_.stored.offsets, before);
}

TEST_F(SinkRequestsTest, ARewindThatLosesItsCompareAndSetDoesNothing) {
  for (int i = 0; i < 3; ++i) Insert(i);
  auto runner = Runner(true);
  Settle(*runner);
  target_.before_commit = [this] { target_.stored.offsets[0] = 2; };
  EXPECT_THAT(Rewind(*runner), IsErrorWith("sink_busy"));
  Settle(*runner);
  EXPECT_EQ(target_.stored.offsets.at(0), 3) << "it read on from where the other one was";
}

TEST_F(SinkRequestsTest, ATransactionalSinkWithKeylessTablesIsNotRewound) {
  Insert(1);
  SinkRunnerOptions options;
  options.keyless_tables = []() -> Result<std::vector<std::string>> {
    return std::vector<std::string>{"shop:public.events"};
  };
  auto runner = Runner(true, {}, options);
  Settle(*runner);
  EXPECT_THAT(Rewind(*runner), IsErrorWith("rewind_keyless"));
  EXPECT_EQ(target_.stored.offsets.at(0), 1);
  // Others hold no rows that a replay would double.
  runner.reset();
  runner = Runner(false, {}, options);
  Settle(*runner);
  EXPECT_OK(Rewind(*runner));
}

TEST_F(SinkRequestsTest, RewindsToATime) {
  Insert(1);
  clock_.Advance(10s);
  Insert(2);
  auto runner = Runner();
  Settle(*runner);
  const int64_t time = topic_->Records(0)[1].timestamp_micros;
  const auto plan = Rewind(*runner, {RewindTarget::Kind::kTime, time, {}});
  ASSERT_OK(plan);
  EXPECT_EQ(plan->records, plan->moves.empty() ? 0u : 2u - plan->moves.at(0).to);
  ASSERT_OK(Rewind(*runner, {RewindTarget::Kind::kTime, time + 1'000'000'000'000, {}}));
}

}  // namespace
}  // namespace tailwater
