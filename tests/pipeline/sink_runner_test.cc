#include "pipeline/sink_runner.h"

#include "pipeline/sink_runner_fixture.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using StepResult = SinkRunner::StepResult;

TEST_F(SinkRunnerTest, DeliversInOrderAndCommitsBehindTheLast) {
  Open();
  const int64_t first = feeder_->Insert(orders_, {Int(1), Text("a")});
  const int64_t second = feeder_->Update(orders_, {Int(1), Text("b")});
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(first, second));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 2)));
  const SinkStatus status = runner->Status();
  EXPECT_EQ(status.state, SinkState::kRunning);
  EXPECT_EQ(status.applied, 2u);
  EXPECT_EQ(status.lag_records, 0);
  EXPECT_EQ(status.lag_seconds, 0);
}

TEST_F(SinkRunnerTest, ResumesBehindWhatWasCommitted) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  Settle(*Runner());
  const int64_t second = feeder_->Insert(orders_, {Int(2), Text("b")});
  target_.events.clear();
  auto runner = Runner();
  Settle(*runner);
  EXPECT_THAT(target_.Versions(), ElementsAre(second));
}

TEST_F(SinkRunnerTest, CommitsTheStartBeforeTheFirstReadAndNeverResolvesItAgain) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  {
    auto runner = Runner(false, {.kind = StartSpec::Kind::kEnd});
    Settle(*runner);
    EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
  }
  const int64_t second = feeder_->Insert(orders_, {Int(2), Text("b")});
  auto runner = Runner(false, {.kind = StartSpec::Kind::kEnd});
  Settle(*runner);
  EXPECT_THAT(target_.Versions(), ElementsAre(second));
}

TEST_F(SinkRunnerTest, StartsAtATimeOrAnOffset) {
  Open();
  feeder_->set_source_time_micros(1'000'000);
  feeder_->Insert(orders_, {Int(1), Text("a")});
  feeder_->set_source_time_micros(2'000'000);
  const int64_t second = feeder_->Insert(orders_, {Int(2), Text("b")});
  Settle(*Runner(false, {.kind = StartSpec::Kind::kTime, .time_micros = 1'500'000}));
  EXPECT_THAT(target_.Versions(), ElementsAre(second));
}

TEST_F(SinkRunnerTest, HaltsOnAStartOutsideOfTheTopic) {
  Open();
  auto runner = Runner(false, {.kind = StartSpec::Kind::kOffset, .offset = 7});
  EXPECT_EQ(Settle(*runner), StepResult::kHalted);
  EXPECT_EQ(runner->Status().code, "start_outside_topic");
}

TEST_F(SinkRunnerTest, SkipsOtherTablesButMovesOverThem) {
  Open();
  feeder_->Insert(users_, {Int(1), Text("a")});
  const int64_t mine = feeder_->Insert(orders_, {Int(1), Text("a")});
  feeder_->Insert(users_, {Int(2), Text("a")});
  auto runner = Runner(false, {}, {}, "public.orders");
  Settle(*runner);
  EXPECT_THAT(target_.Versions(), ElementsAre(mine));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 3)));
  EXPECT_EQ(runner->Status().filtered, 2u);
}

TEST_F(SinkRunnerTest, StoresOffsetsThatOnlyPassedRecordsOfOthersNowAndThen) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  auto runner = Runner(false, {}, {}, "public.orders");
  Settle(*runner);
  feeder_->Insert(users_, {Int(1), Text("a")});
  Settle(*runner);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
  EXPECT_EQ(runner->Status().lag_records, 0);
  clock_.Advance(2s);
  Settle(*runner);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 2)));
}

TEST_F(SinkRunnerTest, TakesOnlyRecordsAddressedToItOrToAll) {
  Open();
  feeder_->Append({.operation = Operation::kRead,
                   .schema = orders_.get(),
                   .addressee = "other",
                   .after = std::vector<Value>{Int(1), Text("a")}});
  const std::vector<Value> row{Int(2), Text("b")};
  const int64_t mine = feeder_->Append(
      {.operation = Operation::kRead, .schema = orders_.get(), .addressee = "copy", .after = row});
  auto runner = Runner();
  Settle(*runner);
  EXPECT_THAT(target_.Versions(), ElementsAre(mine));
}

TEST_F(SinkRunnerTest, BoundsABatchByRecordsAndBytes) {
  Open();
  for (int i = 0; i < 10; ++i) feeder_->Insert(orders_, {Int(i), Text("a")});
  SinkRunnerOptions options;
  options.batch_records = 4;
  Settle(*Runner(false, {}, options));
  EXPECT_THAT(target_.batches, ElementsAre(4, 4, 2));
  EXPECT_EQ(target_.events.size(), 10u);

  target_.batches.clear();
  for (int i = 0; i < 3; ++i) feeder_->Insert(orders_, {Int(i), Text(std::string(1000, 'x'))});
  options.batch_records = 100;
  options.batch_bytes = 1500;
  Settle(*Runner(false, {}, options));
  EXPECT_THAT(target_.batches, ElementsAre(2, 1));
}

TEST_F(SinkRunnerTest, WaitsForTheTopicToBeCreated) {
  topic_ = std::make_unique<StubMemoryTopic>();
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(runner->Status().state, SinkState::kRetrying);
  EXPECT_EQ(runner->Status().code, "topic_not_created");
  feeder_ = std::make_unique<TopicFeeder>(*topic_);
  feeder_->Insert(orders_, {Int(1), Text("a")});
  clock_.Advance(1s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_EQ(target_.events.size(), 1u);
}

TEST_F(SinkRunnerTest, BacksOffWhileTheTargetIsDownAndDeliversTheWholeBatchAgain) {
  Open();
  const int64_t version = feeder_->Insert(orders_, {Int(1), Text("a")});
  target_.write_errors = {{Disposition::kRetry, "target_down", "down"},
                          {Disposition::kRetry, "target_down", "down"}};
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  const SinkStatus status = runner->Status();
  EXPECT_EQ(status.state, SinkState::kRetrying);
  EXPECT_EQ(status.code, "target_down");
  EXPECT_EQ(status.lag_records, 1);
  ASSERT_TRUE(status.next_retry_micros.has_value());
  EXPECT_EQ(*status.next_retry_micros, clock_.UnixMicros() + 100'000);
  EXPECT_EQ(target_.batches.size(), 1u) << "no attempt before its time";
  clock_.Advance(100ms);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  clock_.Advance(199ms);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(target_.batches.size(), 2u) << "the second delay is longer";
  clock_.Advance(1ms);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(version));
  EXPECT_EQ(runner->Status().state, SinkState::kRunning);
  EXPECT_EQ(metrics_.Value("tailwater_sink_retries_total", {{"reason", "target_down"}}), 2);
}

TEST_F(SinkRunnerTest, ProbesSlowlyWhileAPersonIsNeededAndHealsByItself) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  target_.open_errors = {{Disposition::kNeedsOperator, "disk_full", "free some space"}};
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(runner->Status().state, SinkState::kWaitingOperator);
  clock_.Advance(14s);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(target_.opens, 1);
  clock_.Advance(1s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_EQ(target_.opens, 2);
  EXPECT_EQ(runner->Status().state, SinkState::kRunning);
  EXPECT_EQ(runner->Status().code, "");
}

TEST_F(SinkRunnerTest, HaltsOnAMissingVerdictWithoutMovingTheOffset) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  target_.verdicts_to_forget = 1;
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kHalted);
  EXPECT_EQ(runner->Status().code, "verdict_missing");
  EXPECT_EQ(runner->Status().disposition, Disposition::kFatal);
  runner->Stop();
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 0)));
}

TEST_F(SinkRunnerTest, HaltsOnAVerdictOfNone) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  target_.verdict = [](const Delivery&) { return Verdict(); };
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kHalted);
  EXPECT_EQ(runner->Status().code, "verdict_missing");
}

TEST_F(SinkRunnerTest, WithoutRoomForDeadLettersWaitsInFrontOfARejectedChangeAndNamesIt) {
  Open();
  rules_.halt_after = 0;
  feeder_->Insert(orders_, {Int(1), Text("a")});
  const int64_t poison = feeder_->Insert(orders_, {Int(2), Text("b")});
  feeder_->Insert(orders_, {Int(3), Text("c")});
  std::string id;
  target_.verdict = [&](const Delivery& delivery) -> std::optional<Verdict> {
    if (delivery.change->version != poison) return {};
    id = Id(*delivery.change);
    return Verdict::Rejected("type_mismatch", "no such column");
  };
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  const SinkStatus status = runner->Status();
  EXPECT_EQ(status.state, SinkState::kWaitingOperator);
  EXPECT_EQ(status.code, "type_mismatch");
  EXPECT_EQ(status.record_id, id);
  EXPECT_EQ(status.waiting, 1u);
  ExpectAccounted(status);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
  EXPECT_THAT(Letters(), IsEmpty());
  EXPECT_EQ(runner->Step(0ms), StepResult::kWaiting);
  runner->PublishMetrics();
  EXPECT_EQ(metrics_.Value("tailwater_sink_state", {{"state", "waiting_operator"}}), 1);

  // Probes slowly, this change alone; once the target takes it, everything goes on by itself.
  const size_t writes = target_.batches.size();
  clock_.Advance(14s);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(target_.batches.size(), writes);
  clock_.Advance(1s);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(target_.batches.back(), 1u);
  target_.verdict = nullptr;
  const int64_t last = feeder_->Insert(orders_, {Int(4), Text("d")});
  clock_.Advance(15s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_EQ(target_.events.size(), 4u);
  EXPECT_EQ(target_.Versions().back(), last);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 4)));
  EXPECT_EQ(runner->Status().state, SinkState::kRunning);
}

TEST_F(SinkRunnerTest, SurvivesAnExceptionOfTheSink) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  target_.throws = true;
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kHalted);
  EXPECT_EQ(runner->Status().code, "sink_exception");
}

TEST_F(SinkRunnerTest, PutsOffOneKeyWhileOthersGoOnAndCommitsOnlyThePrefix) {
  Open();
  const int64_t first = feeder_->Insert(orders_, {Int(1), Text("a")});
  const int64_t slow = feeder_->Insert(orders_, {Int(2), Text("b")});
  const int64_t third = feeder_->Insert(orders_, {Int(3), Text("c")});
  const int64_t follows = feeder_->Update(orders_, {Int(2), Text("d")});
  bool throttled = true;
  target_.verdict = [&](const Delivery& delivery) -> std::optional<Verdict> {
    if (throttled && delivery.change->version == slow) return Verdict::Retry("throttled", "429");
    return {};
  };
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
  EXPECT_EQ(runner->Status().state, SinkState::kRetrying);
  EXPECT_EQ(runner->Status().code, "throttled");
  const int64_t later = feeder_->Insert(orders_, {Int(4), Text("e")});
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  throttled = false;
  clock_.Advance(1s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  // `follows` was applied too early, in one batch with `slow`: it came again, in order.
  EXPECT_THAT(target_.Versions(), ElementsAre(first, third, follows, later, slow, follows));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 5)));
  EXPECT_EQ(runner->Status().state, SinkState::kRunning);
}

TEST_F(SinkRunnerTest, WaitsAsLongAsARetryVerdictAsks) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  int asked = 0;
  target_.verdict = [&](const Delivery&) -> std::optional<Verdict> {
    if (asked++ == 0) return Verdict::Retry("throttled", "429", 5s);
    return {};
  };
  auto runner = Runner();
  Settle(*runner);
  clock_.Advance(4999ms);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(asked, 1);
  clock_.Advance(1ms);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_EQ(asked, 2);
}

TEST_F(SinkRunnerTest, ReadsNoFurtherThanTheWindowWhileAKeyIsPutOff) {
  Open();
  feeder_->Insert(orders_, {Int(0), Text("slow")});
  target_.verdict = [](const Delivery& delivery) -> std::optional<Verdict> {
    if (delivery.offset == 0) return Verdict::Retry("throttled", "429", 1h);
    return {};
  };
  for (int i = 1; i < 200; ++i) feeder_->Insert(orders_, {Int(i), Text("a")});
  SinkRunnerOptions options;
  options.window_records = 50;
  options.batch_records = 10;
  options.read_bytes = 1000;
  auto runner = Runner(false, {}, options);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_GE(target_.events.size(), 40u);
  EXPECT_LE(target_.events.size(), 80u);
}

TEST_F(SinkRunnerTest, StoresABaseMissingRowAsOneDeadLetterPerKeyAndGoesOn) {
  Open();
  feeder_->Update(orders_, {Int(1), Value::Unchanged()});
  const int64_t second = feeder_->Update(orders_, {Int(1), Value::Unchanged()});
  feeder_->Insert(orders_, {Int(2), Text("b")});
  target_.verdict = [](const Delivery& delivery) -> std::optional<Verdict> {
    if (delivery.change->operation != Operation::kUpdate) return {};
    return Verdict::Rejected(kBaseMissing, "the row is not there");
  };
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 3)));
  const auto letters = topic_->DeadLetters("copy");
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].version, second);
  EXPECT_EQ(letters[0].code, "base_missing");
  EXPECT_EQ(letters[0].table, "public.orders");
  EXPECT_FALSE(letters[0].value.empty());
  EXPECT_THAT(runner->Status().dead_letters, ElementsAre(Pair("base_missing", 1u)));
  EXPECT_EQ(runner->Status().base_missing, 2u);
  EXPECT_EQ(metrics_.Value("tailwater_sink_dead_letters_total", {{"reason", "base_missing"}}), 2);
}

TEST_F(SinkRunnerTest, ClearsABaseMissingEntryByTheKeysNextWholeRowEvenAfterARestart) {
  Open();
  feeder_->Update(orders_, {Int(1), Value::Unchanged()});
  feeder_->Update(orders_, {Int(2), Value::Unchanged()});
  target_.verdict = [](const Delivery&) { return Verdict::Rejected(kBaseMissing, "no base"); };
  Settle(*Runner());
  ASSERT_EQ(topic_->DeadLetters("copy").size(), 2u);
  target_.verdict = nullptr;
  feeder_->Insert(orders_, {Int(1), Text("whole")});
  auto runner = Runner();
  Settle(*runner);
  EXPECT_EQ(topic_->DeadLetters("copy").size(), 1u);
  feeder_->Delete(orders_, {Int(2), Value::Omitted()});
  Settle(*runner);
  EXPECT_THAT(topic_->DeadLetters("copy"), IsEmpty());
  EXPECT_THAT(runner->Status().dead_letters, IsEmpty());
}

TEST_F(SinkRunnerTest, KeepsFinalVerdictsAndDeadLettersUntilTheCommitSucceeds) {
  Open();
  feeder_->Update(orders_, {Int(1), Value::Unchanged()});
  target_.verdict = [](const Delivery&) { return Verdict::Rejected(kBaseMissing, "no base"); };
  auto runner = Runner();
  runner->Step(0ms);  // resolves the start and delivers
  feeder_->Update(orders_, {Int(2), Value::Unchanged()});
  topic_->FailNextCommit({Disposition::kNeedsOperator, "topic_disk_full", "full"});
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(runner->Status().state, SinkState::kWaitingOperator);
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
  const size_t writes = target_.batches.size();
  clock_.Advance(15s);
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_EQ(target_.batches.size(), writes) << "what is final is not written again";
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 2)));
  EXPECT_EQ(topic_->DeadLetters("copy").size(), 2u);
}

TEST_F(SinkRunnerTest, HaltsWhenTheLogWasReplaced) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  Settle(*Runner());
  topic_->ReplaceLog("another");
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kHalted);
  EXPECT_EQ(runner->Status().code, "topic_log_replaced");
  EXPECT_EQ(runner->Status().disposition, Disposition::kGap);
}

TEST_F(SinkRunnerTest, HaltsWhenTheTopicWasTrimmedPastItInsteadOfJumping) {
  Open();
  for (int i = 0; i < 5; ++i) feeder_->Insert(orders_, {Int(i), Text("a")});
  {
    SinkRunnerOptions options;
    options.batch_records = 1;
    auto runner = Runner(false, {}, options);
    runner->Step(0ms);
    runner->Step(0ms);
  }
  topic_->Trim(0, 4);
  target_.events.clear();
  auto runner = Runner();
  EXPECT_EQ(Settle(*runner), StepResult::kHalted);
  EXPECT_EQ(runner->Status().code, "topic_trimmed");
  EXPECT_THAT(target_.events, IsEmpty());
  EXPECT_LT(Stored()[0], 4);
}

TEST_F(SinkRunnerTest, HaltsWhenTheTopicIsTrimmedUnderIt) {
  Open();
  for (int i = 0; i < 5; ++i) feeder_->Insert(orders_, {Int(i), Text("a")});
  target_.write_errors = {{Disposition::kRetry, "target_down", "down"}};
  SinkRunnerOptions options;
  options.batch_records = 1;
  options.read_bytes = 1;
  auto runner = Runner(false, {}, options);
  Settle(*runner);
  topic_->Trim(0, 4);
  clock_.Advance(1s);
  EXPECT_EQ(Settle(*runner), StepResult::kHalted);
  EXPECT_EQ(runner->Status().code, "topic_trimmed");
}

TEST_F(SinkRunnerTest, OpensTheReaderAnewAfterAReadFailed) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  topic_->FailNextRead({Disposition::kRetry, "topic_io", "disk hiccup"}, 2);
  auto runner = Runner();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
    EXPECT_EQ(runner->Status().code, "topic_io");
    clock_.Advance(1s);
  }
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_EQ(target_.events.size(), 1u);
}

TEST_F(SinkRunnerTest, CommitsWhatIsFinalWhenItIsStoppedAndStopsTwice) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  auto runner = Runner(false, {}, {}, "public.orders");
  Settle(*runner);
  feeder_->Insert(users_, {Int(1), Text("a")});
  Settle(*runner);
  runner->Stop();
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 2)));
  EXPECT_EQ(runner->Status().state, SinkState::kStopped);
  runner->Stop();
  EXPECT_EQ(runner->Step(0ms), StepResult::kStopped);
}

TEST_F(SinkRunnerTest, StandsByWhileAnotherHoldsTheLease) {
  Open();
  auto first = Runner();
  Settle(*first);
  auto second = Runner();
  second->Start();
  while (second->Status().state != SinkState::kStandby) std::this_thread::yield();
  first.reset();
  const int64_t version = feeder_->Insert(orders_, {Int(1), Text("a")});
  while (second->Status().applied == 0) std::this_thread::yield();
  second->Stop();
  EXPECT_THAT(target_.Versions(), ElementsAre(version));
}

TEST_F(SinkRunnerTest, ReportsTheAgeOfTheOldestOpenChangeAndNeverANegativeLag) {
  Open();
  feeder_->set_source_time_micros(clock_.UnixMicros() - 7'000'000);
  feeder_->Insert(orders_, {Int(1), Text("a")});
  target_.write_errors = {{Disposition::kRetry, "target_down", "down"},
                          {Disposition::kRetry, "target_down", "down"}};
  auto runner = Runner();
  EXPECT_EQ(runner->Status().lag_records, std::nullopt) << "unknown is absent";
  Settle(*runner);
  runner->PublishMetrics();
  EXPECT_EQ(metrics_.Value("tailwater_sink_lag_records"), 1);
  clock_.Advance(30s);
  Settle(*runner);
  clock_.Advance(30s);
  Settle(*runner);
  EXPECT_EQ(runner->Status().lag_seconds, 0);
  feeder_->set_source_time_micros(clock_.UnixMicros() + 90'000'000);
  feeder_->Insert(orders_, {Int(2), Text("a")});
  EXPECT_EQ(runner->Status().lag_records, 1);
  EXPECT_GE(*runner->Status().lag_seconds, 0);
}

}  // namespace
}  // namespace tailwater
