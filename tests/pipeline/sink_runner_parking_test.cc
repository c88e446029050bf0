// Dead letters and parked keys of a sink that is written to in batches.
#include "pipeline/sink_runner_fixture.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using StepResult = SinkRunner::StepResult;

class ParkingSinkRunnerTest : public SinkRunnerTest {
 protected:
  void SetUp() override {
    Open();
    target_.verdict = [this](const Delivery& delivery) -> std::optional<Verdict> {
      const auto answer = answers_.find(delivery.change->version);
      return answer == answers_.end() ? std::nullopt : std::optional(answer->second);
    };
  }
  int64_t Insert(int64_t id) { return feeder_->Insert(orders_, {Int(id), Text("a")}); }
  int64_t Update(int64_t id) { return feeder_->Update(orders_, {Int(id), Text("b")}); }
  static Verdict Busy() { return Verdict::Retry("http_503", "busy"); }

  std::map<int64_t, Verdict> answers_;  // by version; none: applied
};

TEST_F(ParkingSinkRunnerTest, ParksAKeyThatFailsTooLongAndWhatFollowsInOrder) {
  const int64_t slow = Insert(1);
  const int64_t other = Insert(2);
  answers_[slow] = Busy();
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  const int64_t second = Update(1);
  answers_[second] = Busy();  // as the contract wants it: nothing of the key is applied behind it
  clock_.Advance(59s);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_THAT(Letters(), IsEmpty());
  clock_.Advance(31s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Letters(), ElementsAre("0:parked:http_503", "2:parked:key_blocked"));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 3)));
  const int64_t third = Update(1);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_EQ(runner->Status().parked_stored, 3u);
  EXPECT_EQ(runner->Status().state, SinkState::kRunning);
  EXPECT_THAT(target_.Versions(), ElementsAre(other));
  ExpectAccounted(runner->Status());

  answers_.clear();
  clock_.Advance(5s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(other, slow, second, third));
  for (const auto& event : target_.events) EXPECT_FALSE(event.replay);
  EXPECT_THAT(Letters(), IsEmpty());
  EXPECT_EQ(runner->Status().replayed, 3u);
  const int64_t live = Update(1);
  Settle(*runner);
  EXPECT_EQ(target_.Versions().back(), live);
  ExpectAccounted(runner->Status());
}

TEST_F(ParkingSinkRunnerTest, AParkedRecordThatStillFailsKeepsThoseBehindItBack) {
  rules_.max_lane_wait = 0ms;
  const int64_t slow = Insert(1);
  const int64_t second = Update(1);
  answers_[slow] = Busy();
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  target_.events.clear();  // `second` was applied in one batch with it, and comes again
  clock_.Advance(5s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Letters(), ElementsAre("0:parked:http_503", "1:parked:key_blocked"));
  EXPECT_EQ(topic_->DeadLetters("copy")[0].attempts, 2u);
  answers_.clear();
  clock_.Advance(10s);
  target_.events.clear();
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(slow, second));
  EXPECT_THAT(Letters(), IsEmpty());
}

TEST_F(ParkingSinkRunnerTest, ATargetThatIsDownParksNothing) {
  rules_.max_lane_wait = 1s;
  const int64_t slow = Insert(1);
  Insert(2);
  answers_[slow] = Verdict::Unavailable("target_down", "no answer", 30s);
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(runner->Status().state, SinkState::kRetrying);
  EXPECT_EQ(runner->Status().code, "target_down");
  answers_[slow] = Verdict::Unavailable("login_refused", "give it a new password", 30s, true);
  for (int i = 0; i < 100; ++i) {
    clock_.Advance(30s);
    EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  }
  EXPECT_EQ(runner->Status().state, SinkState::kWaitingOperator);
  EXPECT_EQ(runner->Status().code, "login_refused");
  EXPECT_THAT(Letters(), IsEmpty());
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 0)));
  ExpectAccounted(runner->Status());
  answers_.clear();
  clock_.Advance(30s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 2)));
}

TEST_F(ParkingSinkRunnerTest, ARefusedChangeIsPutAsideAndTheNextOfItsKeyIsDelivered) {
  const int64_t poison = Insert(1);
  const int64_t next = Update(1);
  answers_[poison] = Verdict::Rejected("type_mismatch", "no such column");
  auto runner = Runner();
  runner->PublishMetrics();
  EXPECT_EQ(metrics_.Value("tailwater_sink_dead_letters_stored", {{"state", "dead"}}), std::nullopt)
      << "what lies there is not known yet";
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(next));
  EXPECT_THAT(Letters(), ElementsAre("0:dead:type_mismatch"));
  EXPECT_FALSE(topic_->DeadLetters("copy")[0].blocks_key);
  runner->PublishMetrics();
  EXPECT_EQ(metrics_.Value("tailwater_sink_dead_letters_stored", {{"state", "dead"}}), 1);
  EXPECT_EQ(metrics_.Value("tailwater_sink_oldest_dead_letter_seconds"), 0);
  // Refused once more, it stays; taken, it goes.
  EXPECT_EQ(Requeue(*runner).value(), 1u);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Letters(), ElementsAre("0:dead:type_mismatch"));
  EXPECT_EQ(topic_->DeadLetters("copy")[0].attempts, 2u);
  EXPECT_EQ(runner->Status().dead_stored, 1u);
  answers_.clear();
  EXPECT_EQ(Requeue(*runner).value(), 1u);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Letters(), IsEmpty());
  EXPECT_THAT(target_.Versions(), ElementsAre(next, poison));
  ExpectAccounted(runner->Status());
}

TEST_F(ParkingSinkRunnerTest, MakesRoomByDroppingWhileItWaitsForAPerson) {
  rules_.halt_after = 1;
  for (int64_t id : {1, 2}) answers_[Insert(id)] = Verdict::Rejected("type_mismatch", "no");
  const int64_t good = Insert(3);
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(runner->Status().state, SinkState::kWaitingOperator);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
  EXPECT_EQ(Drop(*runner).value(), 1u);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle) << "at once, not with the next probe";
  EXPECT_THAT(Letters(), ElementsAre("1:dead:type_mismatch"));
  EXPECT_THAT(target_.Versions(), ElementsAre(good));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 3)));
  ExpectAccounted(runner->Status());
}

TEST_F(ParkingSinkRunnerTest, ASweepDropsParkedRecordsAlsoThoseThatAreNotStoredYet) {
  rules_.max_lane_wait = 0ms;
  const int64_t slow = Insert(1);
  const int64_t also_slow = Insert(2);
  answers_[slow] = answers_[also_slow] = Busy();
  auto runner = Runner();
  Settle(*runner);
  ASSERT_EQ(Letters().size(), 2u);
  Update(1);  // is parked and swept in one step
  feeder_->Truncate(orders_);
  const int64_t behind = Update(1);
  answers_.clear();
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  clock_.Advance(5s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Letters(), IsEmpty());
  EXPECT_THAT(target_.Versions(), ElementsAre(behind));
  EXPECT_EQ(runner->Status().parked_stored, 0u);
  ExpectAccounted(runner->Status());
}

TEST_F(ParkingSinkRunnerTest, HoldsThePartitionAtTheParkLimit) {
  rules_.max_lane_wait = 0ms;
  rules_.park_limit = 1;
  const int64_t slow = Insert(1);
  answers_[slow] = Busy();
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  const int64_t held = Update(1);
  const int64_t other = Insert(2);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
  EXPECT_THAT(target_.Versions(), ElementsAre(other));
  answers_.clear();
  clock_.Advance(5s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(other, slow, held));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 3)));
}

TEST_F(ParkingSinkRunnerTest, SaysThatItIsBusyWhereItCannotDoWhatIsAsked) {
  auto runner = Runner();
  const auto answer = runner->DropDeadLetters({}, 0ms);  // nobody steps
  EXPECT_THAT(answer, IsErrorWith("sink_busy"));
  Settle(*runner);
  runner->Stop();
  EXPECT_THAT(runner->DropDeadLetters({}, 1min), IsErrorWith("sink_busy"));
}

TEST_F(ParkingSinkRunnerTest, AParkedRecordThatNobodyCanReadBecomesADeadLetter) {
  rules_.max_lane_wait = 0ms;
  const int64_t slow = Insert(1);
  answers_[slow] = Busy();
  auto runner = Runner();
  Settle(*runner);
  DeadLetter broken = topic_->DeadLetters("copy")[0];
  runner.reset();
  broken.value = "garbage";
  {
    auto subscription = topic_->Subscribe("copy", {}, [](const std::string&) {});
    const auto assignment = (*subscription)->Poll(0ms);
    Subscription::Update update;
    update.add = {broken};
    ASSERT_OK((*subscription)->Commit(assignment->generation, update));
  }
  runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Letters(), ElementsAre("0:dead:record_malformed"));
}

}  // namespace
}  // namespace tailwater
