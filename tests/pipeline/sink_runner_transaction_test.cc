// The runner with a sink that keeps the offsets itself.
#include "pipeline/sink_runner_fixture.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using StepResult = SinkRunner::StepResult;

class TransactionalSinkRunnerTest : public SinkRunnerTest {};

TEST_F(TransactionalSinkRunnerTest, StoresOffsetsAndLogIdWithTheData) {
  Open();
  const int64_t version = feeder_->Insert(orders_, {Int(1), Text("a")});
  auto runner = Runner(true);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(version));
  EXPECT_THAT(target_.stored.offsets, ElementsAre(Pair(0, 1)));
  EXPECT_EQ(target_.stored.log_id, feeder_->writer().log_id());
}

TEST_F(TransactionalSinkRunnerTest, ResumesFromTheTargetAndNotFromTheCopyOfItsOffsets) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  feeder_->Insert(orders_, {Int(2), Text("b")});
  Runner(true)->Step(0ms);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 2))) << "status sees the copy";
  target_.events.clear();
  target_.stored = {};  // the target was emptied
  Settle(*Runner(true));
  EXPECT_EQ(target_.events.size(), 2u);
}

TEST_F(TransactionalSinkRunnerTest, ARetryVerdictRollsBackAndTheWholeBatchComesAgain) {
  Open();
  const int64_t first = feeder_->Insert(orders_, {Int(1), Text("a")});
  const int64_t second = feeder_->Insert(orders_, {Int(2), Text("b")});
  int asked = 0;
  target_.verdict = [&](const Delivery& delivery) -> std::optional<Verdict> {
    if (delivery.change->version == second && asked++ == 0) {
      return Verdict::Retry("locked", "a lock is held", 3s);
    }
    return {};
  };
  auto runner = Runner(true);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(target_.rollbacks, 1);
  EXPECT_THAT(target_.events, IsEmpty());
  EXPECT_EQ(runner->Status().code, "locked");
  clock_.Advance(2999ms);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  clock_.Advance(1ms);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(first, second));
  EXPECT_EQ(runner->Status().applied, 2u);
}

TEST_F(TransactionalSinkRunnerTest, MakesDeadLettersDurableBeforeItCommits) {
  Open();
  feeder_->Update(orders_, {Int(1), Value::Unchanged()});
  target_.verdict = [](const Delivery&) { return Verdict::Rejected(kBaseMissing, "no base"); };
  size_t letters = 0;
  auto runner = Runner(true);
  runner->Step(0ms);
  feeder_->Update(orders_, {Int(2), Value::Unchanged()});
  target_.before_commit = [&] { letters = topic_->DeadLetters("copy").size(); };
  Settle(*runner);
  EXPECT_EQ(letters, 2u);
  EXPECT_THAT(target_.stored.offsets, ElementsAre(Pair(0, 2)));
}

TEST_F(TransactionalSinkRunnerTest, RollsBackWhenTheDeadLettersCannotBeStored) {
  Open();
  auto runner = Runner(true);
  Settle(*runner);
  feeder_->Update(orders_, {Int(1), Value::Unchanged()});
  feeder_->Insert(orders_, {Int(2), Text("b")});
  target_.verdict = [](const Delivery& delivery) -> std::optional<Verdict> {
    if (delivery.change->operation == Operation::kInsert) return {};
    return Verdict::Rejected(kBaseMissing, "no base");
  };
  topic_->FailNextCommit({Disposition::kRetry, "topic_busy", "busy"});
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(target_.rollbacks, 1);
  EXPECT_THAT(target_.stored.offsets, ElementsAre(Pair(0, 0)));
  clock_.Advance(1s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_EQ(topic_->DeadLetters("copy").size(), 1u);
  EXPECT_EQ(target_.events.size(), 1u);
}

TEST_F(TransactionalSinkRunnerTest, ALostCompareAndSetDropsTheBatchAndSeeksToWhatIsStored) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  feeder_->Insert(orders_, {Int(2), Text("b")});
  const int64_t third = feeder_->Insert(orders_, {Int(3), Text("c")});
  auto runner = Runner(true, {.kind = StartSpec::Kind::kBeginning});
  // Another writer gets to 2 first.
  target_.before_commit = [&] { target_.before_commit = [&] { target_.stored.offsets[0] = 2; }; };
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(third));
  EXPECT_EQ(runner->Status().state, SinkState::kRunning) << "no error";
  EXPECT_THAT(target_.stored.offsets, ElementsAre(Pair(0, 3)));
}

TEST_F(TransactionalSinkRunnerTest, AsksTheTargetAfterACommitOfUnknownOutcome) {
  Open();
  auto runner = Runner(true);
  Settle(*runner);
  feeder_->Insert(orders_, {Int(1), Text("a")});
  target_.commit_errors = {{Disposition::kRetry, "connection_lost", "no answer"}};
  target_.before_commit = [&] { target_.stored.offsets[0] = 1; };  // it was stored after all
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  clock_.Advance(1s);
  const size_t writes = target_.batches.size();
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_EQ(target_.batches.size(), writes) << "not written twice";
}

TEST_F(TransactionalSinkRunnerTest,
       WithoutRoomForDeadLettersDeliversWhatStandsBeforeARejectedChangeAndWaits) {
  Open();
  rules_.halt_after = 0;
  const int64_t first = feeder_->Insert(orders_, {Int(1), Text("a")});
  const int64_t poison = feeder_->Insert(orders_, {Int(2), Text("b")});
  feeder_->Insert(orders_, {Int(3), Text("c")});
  target_.verdict = [&](const Delivery& delivery) -> std::optional<Verdict> {
    if (delivery.change->version != poison) return {};
    return Verdict::Rejected("type_mismatch", "no such column");
  };
  auto runner = Runner(true);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_THAT(target_.Versions(), ElementsAre(first));
  EXPECT_THAT(target_.stored.offsets, ElementsAre(Pair(0, 1)));
  EXPECT_EQ(runner->Status().code, "type_mismatch");
  EXPECT_EQ(runner->Status().state, SinkState::kWaitingOperator);
  EXPECT_FALSE(runner->Status().record_id.empty());
  EXPECT_EQ(runner->Status().waiting, 2u);
  ExpectAccounted(runner->Status());
  runner->Stop();
  EXPECT_THAT(target_.stored.offsets, ElementsAre(Pair(0, 1)));
}

TEST_F(TransactionalSinkRunnerTest, PutsARejectedChangeAsideBeforeItCommitsTheOthers) {
  Open();
  rules_.halt_after = 2;
  auto runner = Runner(true);
  Settle(*runner);
  std::vector<int64_t> good, bad;
  for (int i = 0; i < 6; ++i) {
    (i % 2 == 0 ? good : bad).push_back(feeder_->Insert(orders_, {Int(i), Text("a")}));
  }
  target_.verdict = [&](const Delivery& delivery) -> std::optional<Verdict> {
    if (std::find(bad.begin(), bad.end(), delivery.change->version) == bad.end()) return {};
    return Verdict::Rejected("type_mismatch", "no such column");
  };
  size_t letters = 0;
  target_.before_commit = [&] { letters = topic_->DeadLetters("copy").size(); };
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(letters, 2u) << "durable first";
  EXPECT_THAT(target_.Versions(), ::testing::ElementsAreArray(good));
  EXPECT_THAT(target_.stored.offsets, ElementsAre(Pair(0, 5))) << "in front of the third";
  SinkStatus status = runner->Status();
  EXPECT_EQ(status.state, SinkState::kWaitingOperator);
  EXPECT_EQ(status.dead, 2u);
  EXPECT_EQ(status.dead_stored, 2u);
  EXPECT_EQ(status.waiting, 1u);
  ExpectAccounted(status);

  // Repaired: what is replayed makes room, and then nobody has to be asked again.
  target_.verdict = nullptr;
  EXPECT_EQ(Requeue(*runner).value(), 2u);
  clock_.Advance(15s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  status = runner->Status();
  EXPECT_EQ(status.state, SinkState::kRunning);
  EXPECT_EQ(status.replayed, 2u);
  EXPECT_EQ(status.dead_stored, 0u);
  EXPECT_EQ(target_.events.size(), 6u);
  EXPECT_THAT(Letters(), IsEmpty());
  EXPECT_THAT(target_.stored.offsets, ElementsAre(Pair(0, 6)));
  ExpectAccounted(status);
}

TEST_F(TransactionalSinkRunnerTest, AReplayedChangeThatIsPutOffHoldsUpNothingElse) {
  Open();
  const int64_t poison = feeder_->Insert(orders_, {Int(1), Text("a")});
  const int64_t other = feeder_->Insert(orders_, {Int(2), Text("b")});
  std::optional<Verdict> answer = Verdict::Rejected("type_mismatch", "no such column");
  target_.verdict = [&](const Delivery& delivery) -> std::optional<Verdict> {
    if (delivery.change->version == poison) return answer;
    return {};
  };
  auto runner = Runner(true);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Letters(), ElementsAre("0:dead:type_mismatch"));
  answer = Verdict::Retry("locked", "a lock is held");
  ASSERT_OK(Requeue(*runner));
  const int64_t third = feeder_->Insert(orders_, {Int(3), Text("c")});
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(other, third));
  EXPECT_THAT(Letters(), ElementsAre("0:parked:locked"));
  answer.reset();
  clock_.Advance(5s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(other, third, poison));
  EXPECT_THAT(Letters(), IsEmpty());
  ExpectAccounted(runner->Status());
}

TEST_F(TransactionalSinkRunnerTest, KeepsASweepThatARejectedChangeComesBehind) {
  Open();
  rules_.halt_after = 0;
  feeder_->Insert(orders_, {Int(1), Text("a")});
  const int64_t truncated = feeder_->Truncate(orders_);
  const int64_t kept = feeder_->Insert(orders_, {Int(2), Text("b")});
  const int64_t poison = feeder_->Insert(orders_, {Int(3), Text("c")});
  target_.verdict = [&](const Delivery& delivery) -> std::optional<Verdict> {
    if (delivery.change->version != poison) return {};
    return Verdict::Rejected("type_mismatch", "no such column");
  };
  auto runner = Runner(true);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_THAT(target_.sweeps, ElementsAre("public.orders<" + std::to_string(truncated)));
  EXPECT_THAT(target_.Versions(), ::testing::Contains(kept));
  EXPECT_THAT(target_.stored.offsets, ElementsAre(Pair(0, 3))) << "in front of the poison";
}

TEST_F(TransactionalSinkRunnerTest, SweepsInsideATransactionAndTakesItBackWithIt) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  auto runner = Runner(true);
  Settle(*runner);
  const int64_t version = feeder_->Truncate(orders_);
  target_.commit_errors = {{Disposition::kRetry, "connection_lost", "no answer"}};
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_THAT(target_.sweeps, IsEmpty());
  clock_.Advance(1s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.sweeps, ElementsAre("public.orders<" + std::to_string(version)));
  EXPECT_THAT(target_.stored.offsets, ElementsAre(Pair(0, 2)));
}

TEST_F(TransactionalSinkRunnerTest, HaltsWhenTheTargetBelongsToAnotherLog) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  target_.stored = {.log_id = "another", .offsets = {{0, 0}}};
  auto runner = Runner(true);
  EXPECT_EQ(Settle(*runner), StepResult::kHalted);
  EXPECT_EQ(runner->Status().code, "topic_log_replaced");
}

TEST_F(TransactionalSinkRunnerTest, HaltsWhenTheTargetIsBeyondTheTopicsEnd) {
  Open();
  target_.stored = {.log_id = feeder_->writer().log_id(), .offsets = {{0, 9}}};
  auto runner = Runner(true);
  EXPECT_EQ(Settle(*runner), StepResult::kHalted);
  EXPECT_EQ(runner->Status().code, "topic_offset_beyond_end");
}

}  // namespace
}  // namespace tailwater
