#include <thread>

#include "pipeline/capture_writer_fixture.h"

namespace tailwater {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Completion = StubMemoryTopic::Completion;

TEST_F(CaptureWriterTest, NumbersEachChangeAndPutsItsSchemaInFront) {
  Open();
  ASSERT_OK(Begin("0/10"));
  ASSERT_OK(Insert(0, 1));
  ASSERT_OK(Insert(3, 2));
  ASSERT_OK(writer_->Commit("0/15"));
  ASSERT_OK(writer_->Flush());

  const auto records = Contents(*topic_);
  EXPECT_THAT(Describe(records), ElementsAre("schema public.orders", "insert public.orders 1,x",
                                             "insert public.orders 2,x", "frontier 0/15"));
  const int64_t first = (int64_t{checkpoint_->epoch()} << 31) + 1;
  for (size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(records[i].version, first + static_cast<int64_t>(i));
    EXPECT_EQ(records[i].epoch, checkpoint_->epoch());
    EXPECT_EQ(records[i].source, "shop");
    EXPECT_EQ(records[i].source_time_micros, kCommitTime);
  }
  EXPECT_EQ(records[0].id, fmt::format("shop:{}:v{}:0:0", checkpoint_->epoch(), first));
  EXPECT_EQ(records[2].id, fmt::format("shop:{}:0/10:3:0", checkpoint_->epoch()));
  EXPECT_EQ(records[2].transaction_id, "701");
  EXPECT_EQ(records[2].timestamp_micros, kCommitTime);
  EXPECT_EQ(records[3].log_id, gate_->writer().log_id());
  EXPECT_EQ(StoredFrontier(), "0/15");
}

TEST_F(CaptureWriterTest, VersionsGoOnAfterARestart) {
  Open();
  Transaction(1);
  ASSERT_OK(writer_->Flush());
  const int64_t last = Contents(*topic_).back().version;
  Crash();
  Transaction(2);
  ASSERT_OK(writer_->Flush());
  const auto records = Contents(*topic_);
  EXPECT_THAT(Log(), ElementsAre("schema public.orders", "insert public.orders 1,x",
                                 "frontier 0/15", "insert public.orders 2,x", "frontier 0/25"));
  EXPECT_EQ(records[3].version, last + 1);
  ExpectUniqueIds();
}

TEST_F(CaptureWriterTest, RepeatsASchemaOnlyWhenTheTableChanged) {
  Open();
  const auto wider = TableSchema::Make(
      {"public", "orders"},
      {{"id", ValueType::kInt64, "int8", true}, {"note", ValueType::kText, "varchar"}});
  ASSERT_OK(Begin("0/10"));
  ASSERT_OK(Insert(0, 1));
  ASSERT_OK(Insert(1, 2, "x", 0, wider));
  ASSERT_OK(Insert(2, 3));
  ASSERT_OK(Insert(3, 4));
  ASSERT_OK(writer_->Commit("0/15"));
  ASSERT_OK(writer_->Flush());
  EXPECT_THAT(
      Log(), ElementsAre("schema public.orders", "insert public.orders 1,x", "schema public.orders",
                         "insert public.orders 2,x", "schema public.orders",
                         "insert public.orders 3,x", "insert public.orders 4,x", "frontier 0/15"));
}

TEST_F(CaptureWriterTest, CopiesControlRecordsToEveryPartition) {
  Open({.partitions = 3});
  ASSERT_OK(Begin("0/10"));
  ASSERT_OK(Insert(0, 1));
  Change truncate;
  truncate.operation = Operation::kTruncate;
  truncate.table = Orders()->table();
  truncate.schema = Orders().get();
  truncate.ordinal = 1;
  ASSERT_OK(writer_->Append(truncate));
  ASSERT_OK(writer_->Commit("0/15"));
  ASSERT_OK(writer_->Flush());

  std::map<std::string, std::set<int32_t>> partitions;
  std::map<std::string, std::set<int64_t>> versions;
  std::vector<PartitionOffset> others, fence;
  for (const auto& record : Contents(*topic_, 3)) {
    if (!IsControl(record.operation)) continue;
    partitions[record.id].insert(record.partition);
    versions[record.id].insert(record.version);
    if (record.operation != Operation::kTruncate) continue;
    if (record.partition == 0) {
      fence = record.fence;
    } else {
      EXPECT_THAT(record.fence, IsEmpty());
      others.push_back({record.partition, record.offset});
    }
  }
  EXPECT_EQ(partitions.size(), 3u);  // schema, truncate, frontier
  for (const auto& [id, where] : partitions) EXPECT_EQ(where.size(), 3u) << id;
  for (const auto& [id, one] : versions) EXPECT_EQ(one.size(), 1u) << id;
  EXPECT_THAT(fence, ::testing::UnorderedElementsAreArray(others));
}

TEST_F(CaptureWriterTest, PutsARowWhereKafkasPartitionerPutsIt) {
  Open({.partitions = 5});
  ASSERT_OK(Begin("0/10"));
  for (int i = 0; i < 40; ++i) ASSERT_OK(Insert(i, i));
  ASSERT_OK(writer_->Commit("0/15"));
  ASSERT_OK(writer_->Flush());
  std::set<int32_t> used;
  for (const auto& record : Rows(Contents(*topic_, 5))) {
    EXPECT_EQ(record.partition, PartitionOf(record.key, 5));
    used.insert(record.partition);
  }
  EXPECT_EQ(used.size(), 5u);
}

TEST_F(CaptureWriterTest, PublishesNothingBeforeTheSourceFlushes) {
  Open();
  Transaction(1);
  EXPECT_THAT(Log(), IsEmpty());
  ASSERT_OK(writer_->Flush());
  EXPECT_EQ(RowLog().size(), 1u);
}

TEST_F(CaptureWriterTest, CutsABatchAtACommitOnceItIsLargeOrOld) {
  options_.batch_bytes = 1000;
  Open();
  Transaction(1, std::string(2000, 'x'));
  EXPECT_EQ(RowLog().size(), 1u);
  Transaction(2);
  EXPECT_EQ(RowLog().size(), 1u);
  clock_.Advance(options_.batch_delay);
  Transaction(3);
  EXPECT_EQ(RowLog().size(), 3u);
}

TEST_F(CaptureWriterTest, ReleasesAFrontierOnlyOnceItIsDurable) {
  Open({.completion = Completion::kManual});
  Transaction(1);
  ASSERT_OK(writer_->Flush());
  Transaction(2);
  ASSERT_OK(writer_->Flush());
  EXPECT_THAT(released_, IsEmpty());
  topic_->RunPending(1);
  EXPECT_THAT(released_, ElementsAre("0/15"));
  topic_->RunPending();
  EXPECT_THAT(released_, ElementsAre("0/15", "0/25"));
}

TEST_F(CaptureWriterTest, HoldsTheFrontierWhileATransactionIsOpen) {
  options_.part_bytes = 500;
  Open();
  ASSERT_OK(Begin("0/10"));
  for (int i = 0; i < 20; ++i) ASSERT_OK(Insert(i, i, std::string(100, 'x')));
  EXPECT_FALSE(RowLog().empty());
  EXPECT_THAT(released_, IsEmpty());
  EXPECT_EQ(StoredFrontier(), std::nullopt);
  ASSERT_OK(writer_->Commit("0/15"));
  ASSERT_OK(writer_->Flush());
  EXPECT_THAT(released_, ElementsAre("0/15"));
}

TEST_F(CaptureWriterTest, FrontierRecordsComeAtMostOncePerIntervalAndWhenChangesStop) {
  Open();
  for (int i = 1; i <= 5; ++i) {
    Transaction(i);
    ASSERT_OK(writer_->Flush());
  }
  EXPECT_EQ(Log().back(), "insert public.orders 5,x");
  EXPECT_EQ(wakes_, 1);
  const auto due = writer_->Tick();
  ASSERT_TRUE(due.has_value());
  clock_.Advance(std::chrono::duration_cast<std::chrono::microseconds>(*due - clock_.Now()));
  EXPECT_EQ(writer_->Tick(), std::nullopt);
  EXPECT_THAT(Log(),
              ElementsAre("schema public.orders", "insert public.orders 1,x", "frontier 0/15",
                          "insert public.orders 2,x", "insert public.orders 3,x",
                          "insert public.orders 4,x", "insert public.orders 5,x", "frontier 0/55"));
  clock_.Advance(seconds(10));
  EXPECT_EQ(writer_->Tick(), std::nullopt);
  EXPECT_EQ(Log().back(), "frontier 0/55");
  EXPECT_EQ(Log().size(), 8u);
}

TEST_F(CaptureWriterTest, TheTimeKeeperLeavesAnOpenTransactionAlone) {
  Open();
  for (int i = 1; i <= 2; ++i) {
    Transaction(i);
    ASSERT_OK(writer_->Flush());
  }
  ASSERT_OK(Begin("0/90"));
  ASSERT_OK(Insert(0, 9));
  clock_.Advance(seconds(1));
  EXPECT_EQ(writer_->Tick(), std::nullopt);
  EXPECT_EQ(RowLog().size(), 2u);
}

TEST_F(CaptureWriterTest, PublishesALargeTransactionInPartsThatNeverTearAnEvent) {
  options_.part_bytes = 300;
  Open({.completion = Completion::kManual});
  ASSERT_OK(Begin("0/10"));
  for (int i = 0; i < 50; ++i) {
    ASSERT_OK(Insert(i, i, "xxxxxxxxxxxxxxxxxxxxxxxx", 0));
    ASSERT_OK(Insert(i, i + 1000, "xxxxxxxxxxxxxxxxxxxxxxxx", 1));
  }
  ASSERT_OK(writer_->Commit("0/15"));
  ASSERT_OK(writer_->Flush());
  EXPECT_GT(topic_->queued(), 5u);
  while (topic_->RunPending(1) > 0) {
    const auto rows = Rows(Contents(*topic_));
    EXPECT_TRUE(rows.empty() || rows.back().part == 1u);
  }
  EXPECT_EQ(RowLog().size(), 100u);
  ExpectUniqueIds();
}

TEST_F(CaptureWriterTest, PublishesAPartOnceATransactionIsOpenForLong) {
  Open();
  ASSERT_OK(Begin("0/10"));
  for (int i = 0; i < 64; ++i) ASSERT_OK(Insert(i, i));
  EXPECT_THAT(RowLog(), IsEmpty());
  clock_.Advance(options_.part_delay);
  for (int i = 64; i < 128; ++i) ASSERT_OK(Insert(i, i));
  EXPECT_FALSE(RowLog().empty());
}

class CaptureWriterPartTest : public CaptureWriterTest {
 protected:
  static constexpr int kEvents = 30;
  // Dies after `stored` batches of a transaction of many parts.
  void DieInside(size_t stored) {
    options_.part_bytes = 300;
    Open({.completion = Completion::kManual});
    Read(kEvents);
    ASSERT_OK(writer_->Commit("0/15"));
    ASSERT_OK(writer_->Flush());
    ASSERT_EQ(topic_->RunPending(stored), stored);
    Crash();
  }
  void Read(int events, int64_t first_id = 0) {
    ASSERT_OK(Begin("0/10"));
    for (int i = 0; i < events; ++i) ASSERT_OK(Insert(i, first_id + i, std::string(40, 'x')));
  }
};

TEST_F(CaptureWriterPartTest, SkipsWhatIsPublishedWhereverTheProcessDied) {
  for (size_t stored = 0;; ++stored) {
    DieInside(stored);
    if (::testing::Test::HasFatalFailure()) return;
    const bool whole = StoredFrontier() == "0/15";
    if (!whole) {
      EXPECT_EQ(checkpoint_->resume_point().in_progress.has_value(), stored > 0);
      Read(kEvents);
      ASSERT_OK(writer_->Commit("0/15"));
      ASSERT_OK(writer_->Flush());
      topic_->RunPending();
    }
    const auto rows = Rows(Contents(*topic_));
    ASSERT_EQ(rows.size(), static_cast<size_t>(kEvents)) << "after " << stored << " parts";
    for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].ordinal, i);
    ExpectUniqueIds();
    EXPECT_EQ(StoredFrontier(), "0/15");
    if (whole) break;
  }
}

TEST_F(CaptureWriterPartTest, SurvivesASecondDeathInsideTheSameTransaction) {
  DieInside(2);
  Read(kEvents);
  ASSERT_OK(writer_->Commit("0/15"));
  ASSERT_OK(writer_->Flush());
  topic_->RunPending(2);
  Crash();
  Read(kEvents);
  ASSERT_OK(writer_->Commit("0/15"));
  ASSERT_OK(writer_->Flush());
  topic_->RunPending();
  EXPECT_EQ(RowLog().size(), static_cast<size_t>(kEvents));
  ExpectUniqueIds();
}

TEST_F(CaptureWriterPartTest, NamesAnotherTransactionAGap) {
  DieInside(2);
  const Status begun = Begin("0/11");
  ASSERT_THAT(begun, IsErrorWith("transaction_changed"));
  EXPECT_EQ(begun.error().disposition, Disposition::kGap);
}

TEST_F(CaptureWriterPartTest, NamesOtherRowsAGap) {
  DieInside(2);
  ASSERT_OK(Begin("0/10"));
  Status status;
  for (int i = 0; i < kEvents && status; ++i) status = Insert(i, 500 + i, std::string(40, 'x'));
  EXPECT_THAT(status, IsErrorWith("transaction_changed"));
  topic_->RunPending();
  EXPECT_LT(RowLog().size(), static_cast<size_t>(kEvents));
}

TEST_F(CaptureWriterPartTest, NamesFewerEventsAGap) {
  DieInside(2);
  ASSERT_OK(Begin("0/10"));
  ASSERT_OK(Insert(0, 0, std::string(40, 'x')));
  EXPECT_THAT(writer_->Commit("0/15"), IsErrorWith("transaction_changed"));
}

TEST_F(CaptureWriterPartTest, NamesAMissingEventAGap) {
  DieInside(2);
  ASSERT_OK(Begin("0/10"));
  Status status;
  for (int i = 1; i < kEvents && status; ++i) status = Insert(i, i, std::string(40, 'x'));
  EXPECT_THAT(status, IsErrorWith("transaction_changed"));
}

TEST_F(CaptureWriterPartTest, IdleAdvanceDoesNotPassATransactionInProgress) {
  DieInside(2);
  ASSERT_OK(writer_->AdvanceIdle("0/99"));
  topic_->RunPending();
  EXPECT_EQ(StoredFrontier(), std::nullopt);
}

TEST_F(CaptureWriterTest, NamesARecordThatIsTooLargeAndPublishesWhatWasCommittedBefore) {
  Open({.max_record_bytes = 1000});
  Transaction(1);
  ASSERT_OK(Begin("0/20"));
  ASSERT_OK(Insert(0, 2));
  const Status status = Insert(1, 3, std::string(5000, 'x'));
  ASSERT_THAT(status, IsErrorWith("record_too_large"));
  EXPECT_EQ(status.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(status.error().message, HasSubstr("public.orders"));
  EXPECT_THAT(status.error().message, HasSubstr("key: id"));
  EXPECT_THAT(status.error().message, HasSubstr("1000"));
  EXPECT_THAT(writer_->Commit("0/25"), IsErrorWith("record_too_large"));
  writer_->Finish();
  EXPECT_THAT(Log(),
              ElementsAre("schema public.orders", "insert public.orders 1,x", "frontier 0/15"));
  EXPECT_EQ(StoredFrontier(), "0/15");
  NewRun();
  Transaction(2);
  ASSERT_OK(writer_->Flush());
  ExpectUniqueIds();
}

TEST_F(CaptureWriterTest, LeavesTheLargestColumnsOutOfARecordThatIsTooLarge) {
  options_.omit_oversize_columns = true;
  Open({.max_record_bytes = 1000});
  ASSERT_OK(Begin("0/10"));
  ASSERT_OK(Insert(0, 1, std::string(600, 'a')));
  ASSERT_OK(Insert(1, 2, std::string(5000, 'b')));
  ASSERT_OK(writer_->Commit("0/15"));
  ASSERT_OK(writer_->Flush());
  EXPECT_THAT(RowLog(), ElementsAre("insert public.orders 1," + std::string(600, 'a'),
                                    "insert public.orders 2,(omitted)"));
  EXPECT_THAT(metrics_.Expose(),
              HasSubstr("tailwater_source_omitted_columns_total{table=\"public.orders\"} 1"));
}

TEST_F(CaptureWriterTest, StillRefusesARecordWhoseKeyAloneIsTooLarge) {
  options_.omit_oversize_columns = true;
  Open({.max_record_bytes = 200});
  const SchemaPtr names = TableSchema::Make(
      {"public", "names"},
      {{"id", ValueType::kInt64, "int8"}, {"note", ValueType::kText, "text", true}});
  ASSERT_OK(Begin("0/10"));
  EXPECT_THAT(Insert(0, 1, std::string(5000, 'x'), 0, names), IsErrorWith("record_too_large"));
}

TEST_F(CaptureWriterTest, RefusesARowWithoutItsKey) {
  Open();
  ASSERT_OK(Begin("0/10"));
  const Value row[] = {Value::Unchanged(), Value::Text("x")};
  Change change;
  change.operation = Operation::kUpdate;
  change.table = Orders()->table();
  change.schema = Orders().get();
  change.after = row;
  EXPECT_THAT(writer_->Append(change), IsErrorWith("source_contract_broken"));
}

TEST_F(CaptureWriterTest, DropsAnOpenTransactionWhenTheRunEnds) {
  Open();
  Transaction(1);
  ASSERT_OK(Begin("0/20"));
  ASSERT_OK(Insert(0, 2, "x", 0,
                   TableSchema::Make({"public", "new"}, {{"id", ValueType::kInt64, "int8", true},
                                                         {"note", ValueType::kText, "text"}})));
  writer_->Finish();
  EXPECT_THAT(Log(),
              ElementsAre("schema public.orders", "insert public.orders 1,x", "frontier 0/15"));
  NewRun();
  EXPECT_EQ(checkpoint_->resume_point().frontier, Position{"0/15"});
  Transaction(2);
  ASSERT_OK(writer_->Flush());
  ExpectUniqueIds();
}

TEST_F(CaptureWriterTest, FlushInsideATransactionPublishesTheCommittedOnesAtTheNextEvent) {
  Open();
  Transaction(1);
  ASSERT_OK(Begin("0/20"));
  ASSERT_OK(Insert(0, 2, "a", 0));
  ASSERT_OK(writer_->Flush());
  EXPECT_THAT(Log(), IsEmpty());
  ASSERT_OK(Insert(0, 3, "b", 1));
  EXPECT_THAT(Log(), IsEmpty());
  ASSERT_OK(Insert(1, 4));
  EXPECT_THAT(RowLog(), ElementsAre("insert public.orders 1,x", "insert public.orders 2,a",
                                    "insert public.orders 3,b"));
  EXPECT_EQ(StoredFrontier(), "0/15");
}

TEST_F(CaptureWriterTest, IdleAdvanceIsDurableFirstAndAtMostOncePerInterval) {
  Open({.completion = Completion::kManual});
  ASSERT_OK(writer_->AdvanceIdle("0/100"));
  EXPECT_THAT(released_, IsEmpty());
  topic_->RunPending();
  EXPECT_THAT(released_, ElementsAre("0/100"));
  ASSERT_OK(writer_->AdvanceIdle("0/200"));
  EXPECT_EQ(topic_->queued(), 0u);
  clock_.Advance(options_.idle_advance_interval);
  ASSERT_OK(writer_->AdvanceIdle("0/300"));
  topic_->RunPending();
  EXPECT_THAT(released_, ElementsAre("0/100", "0/300"));
  EXPECT_THAT(Log(), ElementsAre("frontier 0/100", "frontier 0/300"));
  clock_.Advance(options_.idle_advance_interval);
  ASSERT_OK(writer_->AdvanceIdle("0/300"));
  EXPECT_EQ(topic_->queued(), 0u);
}

TEST_F(CaptureWriterTest, ARunThatHeardNothingStoresNothing) {
  Open();
  Transaction(1);
  ASSERT_OK(writer_->Flush());
  const int64_t saved = checkpoint_->durable().saved_at_micros;
  clock_.Advance(seconds(60));
  NewRun();
  writer_->Finish();
  EXPECT_EQ(checkpoint_->durable().saved_at_micros, saved);
}

TEST_F(CaptureWriterTest, TheFirstIdleAdvanceOfARunIsPublishedEvenIfNothingMoved) {
  Open();
  Transaction(1);
  ASSERT_OK(writer_->Flush());
  NewRun();
  ASSERT_OK(writer_->AdvanceIdle("0/15"));
  ASSERT_OK(writer_->AdvanceIdle("0/15"));
  EXPECT_THAT(Log(), ElementsAre("schema public.orders", "insert public.orders 1,x",
                                 "frontier 0/15", "frontier 0/15"));
}

TEST_F(CaptureWriterTest, IdleAdvanceLeavesADueFrontierRecordToTheTimeKeeper) {
  Open();
  for (int i = 1; i <= 2; ++i) {
    Transaction(i);
    ASSERT_OK(writer_->Flush());
  }
  ASSERT_OK(writer_->AdvanceIdle("0/25"));
  clock_.Advance(options_.frontier_interval);
  writer_->Tick();
  EXPECT_EQ(Log().back(), "frontier 0/25");
}

TEST_F(CaptureWriterTest, TransactionsWithoutRecordsAreStoredAtTheIdlePace) {
  Open();
  Transaction(1);
  ASSERT_OK(writer_->Flush());
  for (int i = 2; i <= 9; ++i) {
    ASSERT_OK(Begin(fmt::format("0/{}", i * 10)));
    ASSERT_OK(writer_->Commit(fmt::format("0/{}", i * 10 + 5)));
    ASSERT_OK(writer_->Flush());
  }
  EXPECT_EQ(StoredFrontier(), "0/15");
  clock_.Advance(options_.idle_advance_interval);
  ASSERT_OK(Begin("0/100"));
  ASSERT_OK(writer_->Commit("0/105"));
  ASSERT_OK(writer_->Flush());
  EXPECT_EQ(StoredFrontier(), "0/105");
  EXPECT_EQ(Log().back(), "frontier 0/105");
}

TEST_F(CaptureWriterTest, EstablishIsDurableWhenItReturns) {
  Open({.completion = Completion::kThread});
  ASSERT_OK(writer_->Establish({{"system", "7"}}, std::nullopt));
  EXPECT_EQ(StoredFrontier(), std::nullopt);
  EXPECT_FALSE(topic_->State().empty());
  ASSERT_OK(writer_->Establish({{"system", "7"}, {"slot", "s"}}, Position{"0/5"}));
  EXPECT_EQ(StoredFrontier(), "0/5");
  Crash();
  EXPECT_EQ(checkpoint_->resume_point().identity, (SourceIdentity{{"slot", "s"}, {"system", "7"}}));
}

TEST_F(CaptureWriterTest, TheEpochIsDurableBeforeItsFirstRecord) {
  Open();
  ASSERT_OK(writer_->Establish({{"system", "7"}}, std::nullopt));
  const uint32_t epoch = checkpoint_->epoch();
  clock_.Advance(std::chrono::hours(5));
  Crash();
  EXPECT_EQ(checkpoint_->epoch(), epoch);
}

TEST_F(CaptureWriterTest, EstablishNeverMovesAFrontier) {
  Open();
  Transaction(1);
  ASSERT_OK(writer_->Flush());
  EXPECT_THAT(writer_->Establish({}, Position{"0/99"}), IsErrorWith("source_contract_broken"));
}

TEST_F(CaptureWriterTest, EstablishEndsWhenStopped) {
  Open({.completion = Completion::kManual});
  run_stop_.request_stop();
  EXPECT_THAT(writer_->Establish({{"system", "7"}}, std::nullopt), IsErrorWith("stopped"));
}

TEST_F(CaptureWriterTest, AChangeOutsideOfTransactionsIsNamedByItsVersion) {
  Open();
  Change message;
  message.operation = Operation::kMessage;
  message.message_prefix = "app";
  message.message_content = "hello";
  ASSERT_OK(writer_->AppendAlone(message, "0/12"));
  ASSERT_OK(writer_->Flush());
  const auto records = Contents(*topic_);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].id,
            fmt::format("shop:{}:v{}:0:0", checkpoint_->epoch(), records[0].version));
  EXPECT_EQ(StoredFrontier(), "0/12");
}

TEST_F(CaptureWriterTest, AnswersATopicFailureAtTheNextCallAndReleasesNothing) {
  Open();
  topic_->FailNextAppend({Disposition::kRetry, "topic_io", "disk gone"});
  Transaction(1);
  const Status first = writer_->Flush();
  const Status second = Begin("0/20");
  EXPECT_TRUE(!first || !second);
  EXPECT_THAT(Begin("0/20"), IsErrorWith("topic_io"));
  EXPECT_THAT(writer_->Flush(), IsErrorWith("topic_io"));
  EXPECT_TRUE(writer_->WaitForRoom(seconds(100)));
  EXPECT_EQ(topic_failures_, 1);
  EXPECT_THAT(released_, IsEmpty());
  writer_->Finish();
  EXPECT_THAT(Log(), IsEmpty());
}

TEST_F(CaptureWriterTest, AFailureStopsWhatWasQueuedBehindIt) {
  Open({.completion = Completion::kManual});
  Transaction(1);
  ASSERT_OK(writer_->Flush());
  Transaction(2);
  ASSERT_OK(writer_->Flush());
  topic_->FailNextAppend({Disposition::kRetry, "topic_io", "disk gone"});
  topic_->RunPending();
  EXPECT_EQ(topic_failures_, 1);
  EXPECT_TRUE(writer_->WaitAnswered({}));
  EXPECT_THAT(released_, IsEmpty());
  ASSERT_OK(gate_->Recover({}));
  NewRun();
  EXPECT_FALSE(checkpoint_->resume_point().frontier.has_value());
  Transaction(1);
  ASSERT_OK(writer_->Flush());
  topic_->RunPending();
  EXPECT_EQ(RowLog().size(), 1u);
}

TEST_F(CaptureWriterTest, ALostAnswerDoublesNothing) {
  Open();
  topic_->LoseNextAnswer({Disposition::kRetry, "topic_io", "answer lost"});
  Transaction(1);
  (void)writer_->Flush();
  EXPECT_THAT(Begin("0/20"), IsErrorWith("topic_io"));
  EXPECT_TRUE(writer_->WaitAnswered({}));
  ASSERT_OK(gate_->Recover({}));
  NewRun();
  EXPECT_EQ(checkpoint_->resume_point().frontier, Position{"0/15"});
  Transaction(2);
  ASSERT_OK(writer_->Flush());
  EXPECT_THAT(RowLog(), ElementsAre("insert public.orders 1,x", "insert public.orders 2,x"));
  ExpectUniqueIds();
}

TEST_F(CaptureWriterTest, SaysWhenThereIsNoRoom) {
  Open({.completion = Completion::kManual, .capacity_bytes = 100});
  EXPECT_TRUE(writer_->WaitForRoom(milliseconds(0)));
  Transaction(1, std::string(500, 'x'));
  ASSERT_OK(writer_->Flush());
  EXPECT_FALSE(writer_->WaitForRoom(milliseconds(0)));
  topic_->RunPending();
  EXPECT_TRUE(writer_->WaitForRoom(milliseconds(0)));
}

TEST_F(CaptureWriterTest, RefusesCallsOutOfTheirOrder) {
  Open();
  EXPECT_THAT(Insert(0, 1), IsErrorWith("source_contract_broken"));
  NewRun();
  ASSERT_OK(Begin("0/10"));
  EXPECT_THAT(writer_->AdvanceIdle("0/20"), IsErrorWith("source_contract_broken"));
  NewRun();
  ASSERT_OK(Begin("0/10"));
  ASSERT_OK(Insert(5, 1));
  EXPECT_THAT(Insert(4, 1), IsErrorWith("source_contract_broken"));
}

TEST_F(CaptureWriterTest, LagIsTheAgeOfTheOldestCommitThatIsNotDurable) {
  Open({.completion = Completion::kManual});
  ASSERT_OK(writer_->Flush());
  EXPECT_EQ(reporter_.GetStatus().lag_seconds, std::nullopt);
  const int64_t commit = clock_.UnixMicros() - 60'000'000;
  ASSERT_OK(writer_->Begin({"0/10", "", commit}));
  ASSERT_OK(Insert(0, 1));
  ASSERT_OK(writer_->Commit("0/15"));
  ASSERT_OK(writer_->Flush());
  EXPECT_EQ(reporter_.GetStatus().lag_seconds, 60.0);
  topic_->RunPending();
  // That one was old: nothing proves that no more is waiting.
  EXPECT_EQ(reporter_.GetStatus().lag_seconds, std::nullopt);
  ASSERT_OK(writer_->AdvanceIdle("0/20"));
  topic_->RunPending();
  EXPECT_EQ(reporter_.GetStatus().lag_seconds, 0.0);
  clock_.Advance(std::chrono::minutes(1));
  EXPECT_EQ(reporter_.GetStatus().lag_seconds, std::nullopt);
}

TEST_F(CaptureWriterTest, CountsEventsByOperation) {
  Open();
  Transaction(1);
  Transaction(2);
  ASSERT_OK(writer_->Flush());
  const SourceStatus status = reporter_.GetStatus();
  EXPECT_EQ(status.transactions, 2u);
  EXPECT_EQ(status.events, (std::map<std::string, uint64_t>{{"insert", 2}}));
  EXPECT_EQ(status.received, Position{"0/25"});
  EXPECT_THAT(metrics_.Expose(), HasSubstr("tailwater_source_events_total{op=\"insert\"} 2"));
}

}  // namespace
}  // namespace tailwater
