// What every sink must hold, whatever its target. A connector brings a SinkHarness; one file of its
// tests includes this and instantiates the suite:
//
//   INSTANTIATE_TEST_SUITE_P(Sqlite, SinkConformance, ::testing::Values(&NewSqliteHarness));
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conformance/concurrent_writer.h"
#include "conformance/sink_harness.h"
#include "pipeline/sink_runner.h"
#include "support/delivery_batch.h"
#include "support/manual_clock.h"
#include "support/matchers.h"
#include "support/memory_topic.h"
#include "support/stub_metrics.h"
#include "support/topic_feeder.h"
#include "tailwater/sink.h"

namespace tailwater {

class SinkConformance
    : public ::testing::TestWithParam<std::function<std::unique_ptr<SinkHarness>()>> {
 protected:
  static Value Int(int64_t value) { return Value::Int64(value); }
  static Value Text(std::string_view text) { return Value::Text(text); }

  void SetUp() override {
    harness_ = GetParam()();
    Reopen();
  }
  // As after a crash: whatever was not committed is gone.
  void Reopen() {
    Discard();
    sink_ = harness_->NewSink();
    ASSERT_OK(sink_->Open());
    if (ConcurrentSink* concurrent = sink_->concurrent()) {
      writer_ = std::make_unique<ConcurrentWriter>(*concurrent);
    }
  }
  void Discard() {
    sink_.reset();
    writer_.reset();
  }
  // As the runner does it: a concurrent sink is never written to.
  Result<std::vector<Verdict>> TryWrite(const DeliveryBatch& batch) {
    return writer_ != nullptr ? writer_->Write(batch) : sink_->Write(batch);
  }
  // Writes and, where the sink is transactional, commits.
  std::vector<Verdict> Write(DeliveryBatchBuilder& batch) {
    auto verdicts = TryWrite(batch.Build(offset_));
    EXPECT_OK(verdicts);
    if (!verdicts) return {};
    EXPECT_EQ(verdicts->size(), batch.size());
    Commit(batch.size());
    return *std::move(verdicts);
  }
  void Commit(size_t records) {
    const int64_t next = offset_ + static_cast<int64_t>(records);
    if (TransactionalSink* transaction = sink_->transactional()) {
      const Offsets expected = committed_ ? Offsets{{0, offset_}} : Offsets{};
      const auto outcome = transaction->Commit("log", expected, {{0, next}});
      ASSERT_OK(outcome);
      ASSERT_EQ(*outcome, CommitOutcome::kCommitted);
      committed_ = true;
    }
    offset_ = next;
  }
  void Sweep(int64_t version) {
    ASSERT_OK(sink_->Sweep({"shop", "public.orders", version, true}));
    Commit(1);
  }
  void ExpectOrders(const std::vector<std::string>& rows) {
    const auto held = harness_->Orders();
    if (held) {
      EXPECT_EQ(*held, rows);
    }
  }
  bool HoldsRows() { return harness_->Orders().has_value(); }

  // A runner of its own over the topic, stepped until nothing moves; then it is gone.
  void Deliver(StubMemoryTopic& topic, bool rewind = false) {
    if (sink_ == nullptr) Reopen();
    const bool concurrent = sink_->concurrent() != nullptr;
    Discard();
    Problems problems;
    SinkRunnerOptions options;
    options.clock = &clock_;
    SinkRunner runner(
        "pipe", "copy", topic,
        [&]() -> Result<std::unique_ptr<Sink>> { return harness_->NewSink(); },
        {.tables = TableSelection::Parse(nullptr, problems)}, metrics_, options);
    Settle(runner, concurrent);
    if (rewind) {
      Rewind(runner);
      Settle(runner, concurrent);
    }
    const SinkStatus status = runner.Status();
    EXPECT_EQ(status.state, SinkState::kRunning) << status.code << ": " << status.message;
    EXPECT_EQ(status.lag_records, 0);
  }
  // Steps until nothing moves; a concurrent sink's answers are waited for, a minute at most.
  void Settle(SinkRunner& runner, bool concurrent) {
    using StepResult = SinkRunner::StepResult;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    for (int i = 0; i < 1000 || concurrent; ++i) {
      const StepResult result =
          runner.Step(std::chrono::milliseconds(concurrent && i % 2 == 1 ? 100 : 0));
      clock_.Advance(std::chrono::milliseconds(concurrent ? 10 : 0));
      if (result == StepResult::kIdle || result == StepResult::kHalted) return;
      if (!concurrent && result != StepResult::kProgress) return;
      if (std::chrono::steady_clock::now() > deadline) return;
    }
  }
  // Back to the beginning, while the sink's thread steps.
  static void Rewind(SinkRunner& runner) {
    auto answer = std::async(std::launch::async, [&] {
      return runner.Rewind({RewindTarget::Kind::kBeginning}, false, std::chrono::minutes(1));
    });
    while (answer.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      runner.Step(std::chrono::milliseconds(0));
    }
    const auto plan = answer.get();
    ASSERT_OK(plan);
    EXPECT_GT(plan->records, 0u);
  }

  StubMetrics metrics_;
  ManualClock clock_;
  std::unique_ptr<SinkHarness> harness_;
  std::unique_ptr<ConcurrentWriter> writer_;  // of a concurrent sink; outlives it
  std::unique_ptr<Sink> sink_;
  int64_t offset_ = 0;
  bool committed_ = false;
  SchemaPtr orders_ = TestSchema("orders", {"id*:int64", "note:text"});
};

TEST_P(SinkConformance, AnswersEveryKindOfRecordWithAFinalVerdict) {
  DeliveryBatchBuilder batch;
  batch.Add({.operation = Operation::kSchema, .schema = orders_.get(), .version = 1})
      .Insert(orders_, 2, {Int(1), Text("a")})
      .Update(orders_, 3, {Int(1), Text("b")})
      .Add({.operation = Operation::kRead, .schema = orders_.get(), .version = 4},
           {Int(2), Value::Null()})
      .Delete(orders_, 5, {Int(1), Value::Omitted()})
      .Add({.operation = Operation::kMessage,
            .version = 6,
            .message_prefix = "p",
            .message_content = "c"})
      .Add({.operation = Operation::kFrontier, .version = 7, .frontier = "0/2", .log_id = "log"});
  if (sink_->wants_truncate_events()) {
    batch.Add({.operation = Operation::kTruncate, .schema = orders_.get(), .version = 8});
  }
  for (const Verdict& verdict : Write(batch)) EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied);
  ExpectOrders({"2|NULL"});
}

TEST_P(SinkConformance, ASchemaThatDoesNotFitStopsItsTableAlone) {
  const SchemaPtr users = TestSchema("users", {"id*:int64"});
  const SchemaPtr retyped = TestSchema("orders", {"id*:text", "note:text"});
  DeliveryBatchBuilder before;
  before.Insert(orders_, 1, {Int(1), Text("a")});
  Write(before);
  DeliveryBatchBuilder batch;
  batch.Add({.operation = Operation::kSchema, .schema = retyped.get(), .version = 5})
      .Insert(retyped, 6, {Text("2"), Text("b")})
      .Insert(users, 7, {Int(1)})
      .Insert(retyped, 8, {Text("3"), Text("c")});
  const auto verdicts = TryWrite(batch.Build(offset_));
  ASSERT_OK(verdicts);
  ASSERT_EQ(verdicts->size(), 4u);
  EXPECT_EQ((*verdicts)[2].kind, Verdict::Kind::kApplied) << "another table";
  for (const size_t i : {1, 3}) {
    const Verdict& verdict = (*verdicts)[i];
    if (!harness_->stops_tables()) {
      EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied);
      continue;
    }
    EXPECT_EQ(verdict.kind, Verdict::Kind::kRetry);
    EXPECT_TRUE(verdict.table_stopped);
    EXPECT_FALSE(verdict.whole_target);
    EXPECT_NE(verdict.reason.find("snapshot"), std::string::npos) << "says what to do";
  }
  if (TransactionalSink* transaction = sink_->transactional()) transaction->Rollback();
  // A partition that lags brings a row of the old schema: it neither stops nor is stopped.
  DeliveryBatchBuilder late;
  late.Update(orders_, 3, {Int(1), Text("z")});
  const auto again = Write(late);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].kind, Verdict::Kind::kApplied);
  if (harness_->stops_tables()) ExpectOrders({"1|z"});
}

TEST_P(SinkConformance, TheSameBatchTwiceLeavesTheSameRows) {
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")})
      .Update(orders_, 2, {Int(1), Text("b")})
      .Insert(orders_, 3, {Int(2), Text("c")})
      .Delete(orders_, 4, {Int(2), Value::Omitted()});
  Write(batch);
  for (const Verdict& verdict : Write(batch)) EXPECT_TRUE(verdict.final());
  ExpectOrders({"1|b"});
  Reopen();
  Write(batch);
  ExpectOrders({"1|b"});
}

TEST_P(SinkConformance, AnOlderEventThatComesLateChangesNothing) {
  DeliveryBatchBuilder newer;
  newer.Insert(orders_, 10, {Int(1), Text("new")}).Delete(orders_, 11, {Int(2), Value::Omitted()});
  Write(newer);
  DeliveryBatchBuilder older;
  older.Insert(orders_, 3, {Int(1), Text("old")})
      .Insert(orders_, 4, {Int(2), Text("back from the dead")})
      .Update(orders_, 5, {Int(1), Value::Unchanged()})
      .Delete(orders_, 6, {Int(1), Value::Omitted()});
  for (const Verdict& verdict : Write(older)) {
    EXPECT_TRUE(verdict.final());
    if (HoldsRows() && harness_->tells_superseded()) {
      EXPECT_EQ(verdict.kind, Verdict::Kind::kSuperseded);
    }
  }
  ExpectOrders({"1|new"});
  Reopen();
  Write(older);
  ExpectOrders({"1|new"});
}

TEST_P(SinkConformance, ADeletedKeyMayComeBack) {
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")})
      .Delete(orders_, 2, {Int(1), Value::Omitted()})
      .Insert(orders_, 3, {Int(1), Text("b")});
  Write(batch);
  ExpectOrders({"1|b"});
}

TEST_P(SinkConformance, AKeyChangeLeavesNoGhostRowInAnyOrderOfItsParts) {
  DeliveryBatchBuilder rows;
  rows.Insert(orders_, 1, {Int(1), Text("a")}).Insert(orders_, 2, {Int(2), Text("b")});
  Write(rows);
  // 1 and 2 swap through 3, the parts arriving partition by partition.
  DeliveryBatchBuilder swap;
  swap.Insert(orders_, 4, {Int(3), Text("a")})
      .Delete(orders_, 7, {Int(3), Value::Omitted()})
      .Delete(orders_, 5, {Int(2), Value::Omitted()})
      .Insert(orders_, 8, {Int(2), Text("a")})
      .Delete(orders_, 3, {Int(1), Value::Omitted()})
      .Insert(orders_, 6, {Int(1), Text("b")});
  Write(swap);
  ExpectOrders({"1|b", "2|a"});
}

TEST_P(SinkConformance, AnUnchangedColumnKeepsItsStoredValueAndNullIsNotUnchanged) {
  DeliveryBatchBuilder rows;
  rows.Insert(orders_, 1, {Int(1), Text("kept")}).Insert(orders_, 2, {Int(2), Text("lost")});
  Write(rows);
  DeliveryBatchBuilder partial;
  partial.Update(orders_, 3, {Int(1), Value::Unchanged()})
      .Update(orders_, 4, {Int(2), Value::Null()});
  for (const Verdict& verdict : Write(partial)) EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied);
  ExpectOrders({"1|kept", "2|NULL"});
}

TEST_P(SinkConformance, AnUnchangedColumnIsTakenFromAWholeOldRow) {
  DeliveryBatchBuilder batch;
  batch.Update(orders_, 1, {Int(1), Value::Unchanged()}, {Int(1), Text("from before")});
  for (const Verdict& verdict : Write(batch)) EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied);
  ExpectOrders({"1|from before"});
}

TEST_P(SinkConformance, APartialRowWithoutItsBaseIsBaseMissingUntilTheNextWholeRow) {
  if (!HoldsRows()) GTEST_SKIP() << "holds no rows";
  DeliveryBatchBuilder partial;
  partial.Update(orders_, 1, {Int(1), Value::Unchanged()}).Insert(orders_, 2, {Int(2), Text("b")});
  const auto verdicts = Write(partial);
  ASSERT_EQ(verdicts.size(), 2u);
  EXPECT_EQ(verdicts[0].kind, Verdict::Kind::kRejected);
  EXPECT_EQ(verdicts[0].code, kBaseMissing);
  EXPECT_EQ(verdicts[1].kind, Verdict::Kind::kApplied);
  ExpectOrders({"2|b"});
  DeliveryBatchBuilder whole;
  whole.Update(orders_, 3, {Int(1), Text("whole")});
  EXPECT_EQ(Write(whole).at(0).kind, Verdict::Kind::kApplied);
  ExpectOrders({"1|whole", "2|b"});
}

TEST_P(SinkConformance, ASweepRemovesOnlyWhatIsOlderAndIsIdempotent) {
  if (sink_->wants_truncate_events()) GTEST_SKIP() << "takes TRUNCATE as an event";
  DeliveryBatchBuilder rows;
  rows.Insert(orders_, 1, {Int(1), Text("old")})
      .Insert(orders_, 2, {Int(2), Text("old")})
      .Insert(orders_, 6, {Int(3), Text("new")});
  Write(rows);
  Sweep(5);
  ExpectOrders({"3|new"});
  Sweep(5);
  ExpectOrders({"3|new"});
  // What was swept does not come back, even after a restart.
  Reopen();
  DeliveryBatchBuilder late;
  late.Insert(orders_, 4, {Int(4), Text("late")});
  Write(late);
  ExpectOrders({"3|new"});
}

TEST_P(SinkConformance, ASweepOfATableThatItNeverSawIsNoError) {
  if (sink_->wants_truncate_events()) GTEST_SKIP() << "takes TRUNCATE as an event";
  Sweep(5);
  DeliveryBatchBuilder rows;
  rows.Insert(orders_, 4, {Int(1), Text("late")}).Insert(orders_, 6, {Int(2), Text("new")});
  Write(rows);
  ExpectOrders({"2|new"});
}

TEST_P(SinkConformance, APoisonRecordIsRejectedAloneAndByName) {
  const SchemaPtr poison = TestSchema("poison", {"id*:int64", "list:array"});
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")})
      .Insert(poison, 2, {Int(1), Value::Array("\xff\xff garbage")})
      .Insert(orders_, 3, {Int(2), Text("b")});
  const auto verdicts = Write(batch);
  ASSERT_EQ(verdicts.size(), 3u);
  EXPECT_EQ(verdicts[0].kind, Verdict::Kind::kApplied);
  EXPECT_EQ(verdicts[2].kind, Verdict::Kind::kApplied);
  if (harness_->rejects_malformed_values()) {
    EXPECT_EQ(verdicts[1].kind, Verdict::Kind::kRejected);
    EXPECT_EQ(verdicts[1].code, "record_malformed");
  }
  ExpectOrders({"1|a", "2|b"});
}

TEST_P(SinkConformance, ATargetThatRefusesForAWhileGetsTheWholeBatchAgain) {
  if (!harness_->Block()) GTEST_SKIP() << "the target cannot be made to refuse";
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")});
  const auto refused = TryWrite(batch.Build());
  if (writer_ != nullptr) {
    ASSERT_OK(refused);
    EXPECT_EQ(refused->at(0).kind, Verdict::Kind::kRetry);
  } else {
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().disposition, Disposition::kRetry);
  }
  if (TransactionalSink* transaction = sink_->transactional()) transaction->Rollback();
  harness_->Unblock();
  EXPECT_EQ(Write(batch).at(0).kind, Verdict::Kind::kApplied);
  ExpectOrders({"1|a"});
}

TEST_P(SinkConformance, ACrashBetweenWriteAndCommitLosesNothingAndDoublesNoRow) {
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")}).Insert(orders_, 2, {Int(2), Text("b")});
  ASSERT_OK(TryWrite(batch.Build(offset_)));
  Reopen();
  if (TransactionalSink* transaction = sink_->transactional()) {
    const auto stored = transaction->StoredOffsets();
    ASSERT_OK(stored);
    EXPECT_EQ(stored->log_id, "");
    ExpectOrders({});
  }
  Write(batch);
  ExpectOrders({"1|a", "2|b"});
}

TEST_P(SinkConformance, ARollbackTakesBackRowsSchemaAndSweeps) {
  TransactionalSink* transaction = sink_->transactional();
  if (transaction == nullptr) GTEST_SKIP() << "not transactional";
  DeliveryBatchBuilder first;
  first.Insert(orders_, 1, {Int(1), Text("a")});
  ASSERT_OK(sink_->Write(first.Build()));
  transaction->Rollback();
  ExpectOrders({});
  Write(first);
  ASSERT_OK(sink_->Sweep({"shop", "public.orders", 9, true}));
  transaction->Rollback();
  DeliveryBatchBuilder second;
  second.Insert(orders_, 2, {Int(2), Text("b")});
  Write(second);
  ExpectOrders({"1|a", "2|b"});
}

TEST_P(SinkConformance, ALostCompareAndSetWritesNothingAndTellsTheStoredOffset) {
  TransactionalSink* transaction = sink_->transactional();
  if (transaction == nullptr) GTEST_SKIP() << "not transactional";
  DeliveryBatchBuilder first;
  first.Insert(orders_, 1, {Int(1), Text("a")});
  Write(first);
  // A zombie believes that it still stands at 0.
  DeliveryBatchBuilder zombie;
  zombie.Insert(orders_, 2, {Int(2), Text("b")});
  ASSERT_OK(sink_->Write(zombie.Build()));
  for (const Offsets& expected : {Offsets{{0, 0}}, Offsets{}}) {
    const auto outcome = transaction->Commit("log", expected, {{0, 1}});
    ASSERT_OK(outcome);
    EXPECT_EQ(*outcome, CommitOutcome::kLost);
  }
  const auto other_log = transaction->Commit("another", {{0, 1}}, {{0, 2}});
  ASSERT_OK(other_log);
  EXPECT_EQ(*other_log, CommitOutcome::kLost);
  ExpectOrders({"1|a"});
  EXPECT_EQ(transaction->StoredOffsets()->offsets, (Offsets{{0, 1}}));
  EXPECT_EQ(transaction->StoredOffsets()->log_id, "log");
}

TEST_P(SinkConformance, ARunnerThatIsCutInMidStreamDeliversEveryRecord) {
  const bool concurrent = sink_->concurrent() != nullptr;
  Discard();
  StubMemoryTopic topic({.partitions = 3});
  TopicFeeder feeder(topic);
  std::vector<std::string> rows;
  for (int i = 0; i < 40; ++i) {
    feeder.Insert(orders_, {Int(i), Text("v0")});
    feeder.Update(orders_, {Int(i), Text("v1")});
    if (i % 10 == 9) feeder.Frontier("0/" + std::to_string(i));
  }
  feeder.Truncate(orders_);
  for (int i = 100; i < 110; ++i) {
    feeder.Insert(orders_, {Int(i), Text("new")});
    rows.push_back(std::to_string(i) + "|new");
  }
  SinkRunnerOptions options;
  options.batch_records = 7;
  options.window_records = concurrent ? 20 : 50'000;  // else all of it is in flight at once
  options.read_bytes = 2'000;
  options.clock = &clock_;
  Problems problems;
  for (int cut = 0; cut < 60; ++cut) {
    SinkRunner runner(
        "pipe", "copy", topic,
        [&]() -> Result<std::unique_ptr<Sink>> { return harness_->NewSink(); },
        {.tables = TableSelection::Parse(nullptr, problems)}, metrics_, options);
    // Each time a little further; the last one to the end.
    if (cut == 59) {
      Settle(runner, concurrent);
      EXPECT_EQ(runner.Status().lag_records, 0);
    }
    int steps = 1 + cut % 3;
    while (steps-- > 0 && runner.Step(std::chrono::milliseconds(concurrent ? 2 : 0)) ==
                              SinkRunner::StepResult::kProgress) {
    }
    ASSERT_NE(runner.Status().state, SinkState::kHalted) << runner.Status().message;
  }
  ExpectOrders(rows);
  if (const auto events = harness_->Events()) {
    std::vector<std::string> ids = *events;
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    EXPECT_EQ(ids.size(), 91u);  // 80 changes, a TRUNCATE, 10 changes
  }
}

TEST_P(SinkConformance, ARewindLeavesTheSameRowsAndMissesNoEvent) {
  const size_t truncates = sink_->concurrent() != nullptr ? 1 : 3;  // how many copies it gets
  StubMemoryTopic topic({.partitions = 3});
  TopicFeeder feeder(topic);
  for (int i = 0; i < 9; ++i) feeder.Insert(orders_, {Int(i), Text("v0")});
  feeder.Truncate(orders_);
  for (int i = 0; i < 4; ++i) feeder.Insert(orders_, {Int(i), Text("v1")});
  feeder.Update(orders_, {Int(0), Value::Unchanged()});
  feeder.Delete(orders_, {Int(1), Value::Omitted()});
  const std::vector<std::string> rows = {"0|v1", "2|v1", "3|v1"};
  Deliver(topic);
  ExpectOrders(rows);
  for (int again = 0; again < 2; ++again) {
    Deliver(topic, true);
    ExpectOrders(rows);
  }
  if (const auto events = harness_->Events()) {
    std::vector<std::string> ids = *events;
    EXPECT_EQ(ids.size(), 3 * (9 + truncates + 4 + 1 + 1)) << "three times all";
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    EXPECT_EQ(ids.size(), 9u + 1 + 4 + 1 + 1);
  }
}

TEST_P(SinkConformance, AReSnapshotEndsWithoutTheRowsThatTheSourceNoLongerHas) {
  StubMemoryTopic topic({.partitions = 3});
  TopicFeeder feeder(topic);
  for (int i = 0; i < 6; ++i) feeder.Insert(orders_, {Int(i), Text("before")});
  const int64_t start = feeder.Frontier("0/10");
  // The source meanwhile holds 0 to 2 only; 7 is inserted while the copy runs.
  for (int i = 0; i < 3; ++i) {
    const std::vector<Value> row = {Int(i), Text("copied")};
    feeder.Append({.operation = Operation::kRead,
                   .snapshot = SnapshotMark::kSnapshot,
                   .schema = orders_.get(),
                   .after = row});
  }
  feeder.Insert(orders_, {Int(7), Text("new")});
  feeder.Control({.operation = Operation::kSweep, .schema = orders_.get(), .sweep_below = start});
  Deliver(topic);
  ExpectOrders({"0|copied", "1|copied", "2|copied", "7|new"});
}

}  // namespace tailwater
