// Chunks of snapshots in the stream: windows, batches, notes.
#include <deque>
#include <thread>

#include "pipeline/capture_writer_fixture.h"

namespace tailwater {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using Completion = StubMemoryTopic::Completion;

constexpr int64_t kReadAt = 1'780'000'000'500'000;

// Chunks as the test sets them out; writes down what it is told.
class FakePort final : public SnapshotPort {
 public:
  void Streaming() override { ++streaming; }
  SnapshotNotes TakeNotes(int64_t next_version) override {
    next_versions.push_back(next_version);
    wants_turn_.store(false);
    return std::exchange(notes, {});
  }
  std::optional<std::string> OpenWindow(std::string_view id) override {
    if (!waiting.contains(std::string(id))) return std::nullopt;
    return waiting[std::string(id)];
  }
  std::optional<ReadyChunk> TakeChunk(std::string_view id) override {
    const auto chunk = ready.find(std::string(id));
    if (chunk == ready.end()) return std::nullopt;
    ReadyChunk taken = std::move(chunk->second);
    ready.erase(chunk);
    return taken;
  }
  void Discard(std::string_view id, std::string_view why) override {
    discarded.emplace_back(id, why);
  }
  void Refuse(std::string_view id, const Error& error) override {
    refused.emplace_back(id, error.code);
  }
  SnapshotNotes Publish(std::string_view id, uint64_t rows) override {
    published.emplace_back(id, rows);
    waiting.erase(std::string(id));
    return std::exchange(at_publish, {});
  }
  CopyStep NextOfCopy(std::string_view, milliseconds) override {
    if (copy.empty()) return {};
    CopyStep step = std::move(copy.front());
    copy.pop_front();
    return step;
  }
  void RowsReplaced(std::string_view table, std::string_view why) override {
    replaced.emplace_back(table, why);
    std::erase_if(waiting, [&](const auto& chunk) { return chunk.second == table; });
    Want({{}, {{"snapshot/shop/again", "unit"}}});
  }
  void Durable() override { ++durable; }

  void Want(SnapshotNotes wanted) {
    notes = std::move(wanted);
    wants_turn_.store(true);
  }

  SnapshotNotes notes, at_publish;
  std::map<std::string, std::string> waiting;  // chunks and their tables
  std::map<std::string, ReadyChunk> ready;
  std::deque<CopyStep> copy;
  std::vector<int64_t> next_versions;
  std::vector<std::pair<std::string, std::string>> discarded, refused, replaced;
  std::vector<std::pair<std::string, uint64_t>> published;
  int streaming = 0;
  int durable = 0;
};

class CaptureWriterSnapshotTest : public CaptureWriterTest {
 protected:
  CaptureWriterSnapshotTest() { port_ = &fake_; }
  ~CaptureWriterSnapshotTest() override { gate_.reset(); }  // answers what is in flight

  static Value Note(std::string_view note) {
    return note == "(unchanged)" ? Value::Unchanged() : Value::Text(note);
  }
  static ReadyChunk Rows(const std::vector<std::pair<int64_t, std::string>>& rows,
                         const SchemaPtr& schema = Orders(), std::string addressee = "") {
    ReadyChunk ready;
    ready.chunk.schema = schema;
    ready.chunk.read_at_micros = kReadAt;
    ready.addressee = std::move(addressee);
    ready.chunk.rows.Keep(schema);
    for (const auto& [id, note] : rows) {
      const auto row = ready.chunk.rows.NewRow(2);
      row[0] = Value::Int64(id);
      row[1] = Value::Text(ready.chunk.rows.arena().Copy(note));
      Change& change = ready.chunk.rows.Append();
      change.operation = Operation::kRead;
      change.table = schema->table();
      change.schema = schema.get();
      change.after = row;
    }
    return ready;
  }
  void Low(std::string id) {
    fake_.waiting[id] = "public.orders";
    ASSERT_OK(writer_->OnWatermark({Watermark::Kind::kLow, id, true}));
  }
  Status High(std::string_view id, bool sound = true) {
    return writer_->OnWatermark({Watermark::Kind::kHigh, id, sound});
  }
  // One transaction with one change.
  void Change1(Operation operation, int64_t id, std::string_view note = "x",
               const SchemaPtr& schema = Orders()) {
    const Value row[] = {Value::Int64(id), Note(note)};
    Change change;
    change.operation = operation;
    change.table = schema->table();
    change.schema = schema.get();
    if (operation != Operation::kTruncate) {
      (operation == Operation::kDelete ? change.before : change.after) = row;
    }
    ++transactions_;
    ASSERT_OK(Begin(fmt::format("1/{}", transactions_)));
    ASSERT_OK(writer_->Append(change));
    ASSERT_OK(writer_->Commit(fmt::format("1/{}", transactions_)));
  }
  std::vector<std::string> LogWithoutFrontiers() {
    auto log = Log();
    std::erase_if(log, [](const std::string& line) { return line.starts_with("frontier"); });
    return log;
  }

  FakePort fake_;
  int transactions_ = 0;
};

TEST_F(CaptureWriterSnapshotTest, PublishesTheRowsOfAChunkAtItsHighWatermark) {
  Open();
  Low("run/1");
  fake_.ready["run/1"] = Rows({{1, "a"}, {2, "b"}});
  ASSERT_OK(High("run/1"));
  EXPECT_THAT(Log(), ElementsAre("schema public.orders", "read public.orders 1,a",
                                 "read public.orders 2,b"));
  const auto records = Contents(*topic_);
  const auto& row = records[1];
  EXPECT_EQ(row.snapshot, SnapshotMark::kSnapshot);
  EXPECT_EQ(row.source_time_micros, kReadAt);
  EXPECT_EQ(row.id, fmt::format("shop:{}:v{}:0:0", checkpoint_->epoch(), row.version));
  EXPECT_EQ(records[2].version, row.version + 1);
  EXPECT_EQ(row.addressee, "");
  EXPECT_THAT(fake_.published, ElementsAre(Pair("run/1", 2)));
  ExpectUniqueIds();
}

TEST_F(CaptureWriterSnapshotTest, DropsRowsThatChangedBetweenTheMarks) {
  Open();
  Change1(Operation::kInsert, 1, "before");
  Low("run/1");
  Change1(Operation::kUpdate, 2, "new");
  Change1(Operation::kDelete, 3);
  Change1(Operation::kInsert, 4, "new");
  fake_.ready["run/1"] = Rows({{1, "read"}, {2, "read"}, {3, "read"}, {4, "read"}, {5, "read"}});
  ASSERT_OK(High("run/1"));
  Change1(Operation::kUpdate, 5, "after");
  ASSERT_OK(writer_->Flush());
  EXPECT_THAT(LogWithoutFrontiers(),
              ElementsAre("schema public.orders", "insert public.orders 1,before",
                          "update public.orders 2,new", "delete public.orders 3,x",
                          "insert public.orders 4,new", "read public.orders 1,read",
                          "read public.orders 5,read", "update public.orders 5,after"));
  EXPECT_THAT(fake_.published, ElementsAre(Pair("run/1", 2)));
}

TEST_F(CaptureWriterSnapshotTest, AnAddressedChunkDropsThemJustTheSame) {
  Open();
  Low("run/1");
  Change1(Operation::kUpdate, 2, "new");
  fake_.ready["run/1"] = Rows({{1, "a"}, {2, "b"}}, Orders(), "search");
  ASSERT_OK(High("run/1"));
  const auto records = tailwater::Rows(Contents(*topic_));
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].addressee, "");
  EXPECT_EQ(records[1].addressee, "search");
  EXPECT_EQ(records[1].after, "1,a");
}

TEST_F(CaptureWriterSnapshotTest, LaysPartialChangesOverTheRowOfTheChunk) {
  const auto wide = TableSchema::Make(
      {"public", "orders"},
      {{"id", ValueType::kInt64, "int8", true}, {"note", ValueType::kText, "text"}});
  Open();
  Low("run/1");
  Change1(Operation::kUpdate, 1, "(unchanged)");
  fake_.ready["run/1"] = Rows({{1, "whole"}});
  ASSERT_OK(High("run/1"));
  EXPECT_THAT(LogWithoutFrontiers(),
              ElementsAre("schema public.orders", "update public.orders 1,(unchanged)",
                          "read public.orders 1,whole"));
}

TEST_F(CaptureWriterSnapshotTest, TheLastRowThatIsPublishedOfAUnitSaysSo) {
  Open();
  Low("run/1");
  Change1(Operation::kUpdate, 3, "new");
  fake_.ready["run/1"] = Rows({{1, "a"}, {2, "a"}, {3, "a"}});
  fake_.ready["run/1"].last_of_unit = true;
  ASSERT_OK(High("run/1"));
  std::vector<std::pair<std::string, SnapshotMark>> marks;
  for (const auto& record : Contents(*topic_)) {
    if (record.operation == Operation::kRead) marks.emplace_back(record.after, record.snapshot);
  }
  EXPECT_THAT(marks, ElementsAre(Pair("1,a", SnapshotMark::kSnapshot),
                                 Pair("2,a", SnapshotMark::kLastOfTable)));
}

TEST_F(CaptureWriterSnapshotTest, WindowsOfSeveralChunksAreIndependent) {
  Open();
  Low("run/1");
  Change1(Operation::kUpdate, 1, "new");
  Low("run/2");
  Change1(Operation::kUpdate, 2, "new");
  fake_.ready["run/1"] = Rows({{1, "a"}, {2, "a"}, {3, "a"}});
  fake_.ready["run/2"] = Rows({{1, "b"}, {2, "b"}, {3, "b"}});
  ASSERT_OK(High("run/1"));
  ASSERT_OK(High("run/2"));
  EXPECT_THAT(fake_.published, ElementsAre(Pair("run/1", 1), Pair("run/2", 2)));
}

TEST_F(CaptureWriterSnapshotTest, DiscardsWhatCannotBePublished) {
  Open();
  Low("truncated");
  Change1(Operation::kTruncate, 0);
  fake_.ready["truncated"] = Rows({{1, "a"}});
  ASSERT_OK(High("truncated"));

  const auto wider = TableSchema::Make(
      {"public", "orders"},
      {{"id", ValueType::kInt64, "int8", true}, {"note", ValueType::kText, "varchar"}});
  Low("columns");
  Change1(Operation::kInsert, 1, "x", wider);
  fake_.ready["columns"] = Rows({{2, "a"}});
  ASSERT_OK(High("columns"));

  Low("unsound");
  fake_.ready["unsound"] = Rows({{2, "a"}});
  ASSERT_OK(High("unsound", false));

  ASSERT_OK(writer_->Flush());
  EXPECT_THAT(fake_.discarded, ElementsAre(Pair("truncated", HasSubstr("truncated")),
                                           Pair("columns", HasSubstr("columns")),
                                           Pair("unsound", HasSubstr("visible"))));
  EXPECT_THAT(fake_.published, IsEmpty());
  for (const auto& record : Contents(*topic_)) EXPECT_NE(record.operation, Operation::kRead);
}

TEST_F(CaptureWriterSnapshotTest, MarksThatNobodyWaitsForMeanNothing) {
  Open();
  ASSERT_OK(writer_->OnWatermark({Watermark::Kind::kLow, "old/7", true}));
  ASSERT_OK(High("old/7"));
  Low("run/1");
  ASSERT_OK(High("run/1"));  // given up between the marks
  EXPECT_THAT(Log(), IsEmpty());
  EXPECT_THAT(fake_.published, IsEmpty());
}

TEST_F(CaptureWriterSnapshotTest, AWatermarkInsideATransactionBreaksTheContract) {
  Open();
  Low("run/1");
  ASSERT_OK(Begin("0/10"));
  EXPECT_THAT(High("run/1"), IsErrorWith("source_contract_broken"));
}

TEST_F(CaptureWriterSnapshotTest, AChunkAndItsNotesAreOneBatch) {
  Open({.completion = Completion::kManual});
  Change1(Operation::kInsert, 7);
  Low("run/1");
  fake_.ready["run/1"] = Rows({{1, "a"}, {2, "b"}});
  fake_.at_publish.state["snapshot/shop/1"] = "half";
  fake_.at_publish.markers.push_back({Orders(), 4711, "search"});
  ASSERT_OK(High("run/1"));
  Change1(Operation::kInsert, 8);
  ASSERT_OK(writer_->Flush());

  topic_->RunPending(1);
  EXPECT_THAT(LogWithoutFrontiers(),
              ElementsAre("schema public.orders", "insert public.orders 7,x"));
  EXPECT_FALSE(topic_->State().contains("snapshot/shop/1"));
  EXPECT_EQ(fake_.durable, 0);
  topic_->RunPending(1);
  const auto records = Contents(*topic_);
  EXPECT_THAT(
      Describe({records.end() - 3, records.end()}),
      ElementsAre("read public.orders 1,a", "read public.orders 2,b", "sweep public.orders"));
  EXPECT_EQ(records.back().sweep_below, 4711);
  EXPECT_EQ(records.back().addressee, "search");
  EXPECT_EQ(records.back().snapshot, SnapshotMark::kSnapshot);
  EXPECT_EQ(topic_->State().at("snapshot/shop/1"), "half");
  EXPECT_EQ(fake_.durable, 1);
  topic_->RunPending(1);
  EXPECT_EQ(fake_.durable, 1);
  // What was released for the first transaction is not ahead of the chunk.
  EXPECT_THAT(released_, ElementsAre("1/1", "1/2"));
}

TEST_F(CaptureWriterSnapshotTest, ASweepGoesToEveryPartitionWithItsFence) {
  Open({.partitions = 3});
  Low("run/1");
  fake_.ready["run/1"] = Rows({});
  fake_.at_publish.markers.push_back({Orders(), 9, ""});
  ASSERT_OK(High("run/1"));
  std::map<int32_t, size_t> fences;
  for (const auto& record : Contents(*topic_, 3)) {
    if (record.operation == Operation::kSweep) fences[record.partition] = record.fence.size();
  }
  EXPECT_THAT(fences, UnorderedElementsAre(Pair(0, 2), Pair(1, 0), Pair(2, 0)));
}

TEST_F(CaptureWriterSnapshotTest, AFrontierRecordFollowsTheRows) {
  Open();
  ASSERT_OK(writer_->Establish({{"system", "1"}}, Position{"0/1"}));
  Low("run/1");
  fake_.ready["run/1"] = Rows({{1, "a"}});
  ASSERT_OK(High("run/1"));
  clock_.Advance(options_.frontier_interval);
  ASSERT_OK(writer_->Flush());
  writer_->Tick();
  EXPECT_EQ(Log().back(), "frontier 0/1");
  EXPECT_EQ(Log().size(), 4u);
}

TEST_F(CaptureWriterSnapshotTest, ARowThatIsTooLargeIsTheUnitsTrouble) {
  Open({.max_record_bytes = 1000});
  Low("run/1");
  fake_.ready["run/1"] = Rows({{1, "a"}, {2, std::string(2000, 'x')}});
  ASSERT_OK(High("run/1"));
  EXPECT_THAT(fake_.refused, ElementsAre(Pair("run/1", "record_too_large")));
  Change1(Operation::kInsert, 3);
  ASSERT_OK(writer_->Flush());
  EXPECT_THAT(LogWithoutFrontiers(),
              ElementsAre("schema public.orders", "insert public.orders 3,x"));
  ExpectUniqueIds();
}

TEST_F(CaptureWriterSnapshotTest, ARowThatIsTooLargeLosesItsColumnsWhereThatIsAllowed) {
  options_.omit_oversize_columns = true;
  Open({.max_record_bytes = 1000});
  Low("run/1");
  fake_.ready["run/1"] = Rows({{1, "a"}, {2, std::string(2000, 'x')}});
  ASSERT_OK(High("run/1"));
  EXPECT_THAT(LogWithoutFrontiers(), ElementsAre("schema public.orders", "read public.orders 1,a",
                                                 "read public.orders 2,(omitted)"));
}

// --- rows that are replaced ---

TEST_F(CaptureWriterSnapshotTest, ReplacedRowsAreNotedNoLaterThanTheFrontierThatPassesThem) {
  Open({.completion = Completion::kManual});
  Change1(Operation::kInsert, 7);
  ASSERT_OK(writer_->RowsReplaced("public.orders", "RENAME TABLE"));
  EXPECT_THAT(fake_.replaced, ElementsAre(Pair("public.orders", "RENAME TABLE")));
  EXPECT_THAT(fake_.next_versions, ElementsAre(checkpoint_->last_version() + 1));
  ASSERT_OK(writer_->AdvanceIdle("1/9"));
  size_t batches = 0;
  for (; topic_->RunPending(1) > 0; ++batches) {
    if (StoredFrontier() == "1/9") {
      EXPECT_TRUE(topic_->State().contains("snapshot/shop/again"));
    }
  }
  EXPECT_GT(batches, 0u);
  EXPECT_EQ(topic_->State().at("snapshot/shop/again"), "unit");
  EXPECT_EQ(StoredFrontier(), "1/9");
}

TEST_F(CaptureWriterSnapshotTest, ADeathBehindReplacedRowsForgetsThemOnlyWithTheFrontier) {
  for (const bool stored : {false, true}) {
    Open({.completion = Completion::kManual});
    ASSERT_OK(writer_->RowsReplaced("public.orders", "RENAME TABLE"));
    Change1(Operation::kInsert, 7);
    const std::string frontier = fmt::format("1/{}", transactions_);
    ASSERT_OK(writer_->Flush());
    if (stored) {
      EXPECT_EQ(topic_->RunPending(1), 1u);
    }
    Crash();
    EXPECT_EQ(StoredFrontier() == frontier, stored);
    EXPECT_EQ(topic_->State().contains("snapshot/shop/again"), stored);
  }
}

TEST_F(CaptureWriterSnapshotTest, ChunksOfATableWhoseRowsAreReplacedAreDiscarded) {
  Open();
  Low("run/1");
  fake_.waiting["run/2"] = "public.other";
  ASSERT_OK(writer_->OnWatermark({Watermark::Kind::kLow, "run/2", true}));
  fake_.ready["run/1"] = Rows({{1, "a"}});
  ASSERT_OK(writer_->RowsReplaced("public.orders", "RENAME TABLE"));
  EXPECT_THAT(fake_.discarded, ElementsAre(Pair("run/1", HasSubstr("replaced"))));
  ASSERT_OK(High("run/1"));
  EXPECT_THAT(Log(), IsEmpty());
}

TEST_F(CaptureWriterSnapshotTest, ReplacedRowsInsideATransactionBreakTheContract) {
  Open();
  ASSERT_OK(Begin("0/10"));
  EXPECT_THAT(writer_->RowsReplaced("public.orders", "RENAME TABLE"),
              IsErrorWith("source_contract_broken"));
}

TEST_F(CaptureWriterTest, ReplacedRowsThatNobodyCanCopyEndTheRun) {
  Open();
  EXPECT_THAT(writer_->RowsReplaced("public.orders", "RENAME TABLE"), IsErrorWith("rows_replaced"));
}

// --- notes ---

TEST_F(CaptureWriterSnapshotTest, NotesAreStoredWithTheIntent) {
  Open();
  fake_.Want({{}, {{"snapshot/shop", "plan"}}});
  ASSERT_OK(writer_->Establish({{"system", "1"}}, std::nullopt));
  EXPECT_EQ(topic_->State().at("snapshot/shop"), "plan");
  EXPECT_THAT(fake_.next_versions, ElementsAre(checkpoint_->last_version() + 1));
}

TEST_F(CaptureWriterSnapshotTest, NotesAreTakenWhenTheSourceHasTheTurn) {
  Open();
  Change1(Operation::kInsert, 1);
  EXPECT_THAT(fake_.next_versions, IsEmpty());
  fake_.Want({{}, {{"a", "1"}}});
  EXPECT_FALSE(writer_->Tick());
  EXPECT_THAT(fake_.next_versions, IsEmpty());  // not the time keeper's turn
  ASSERT_OK(writer_->Flush());
  EXPECT_EQ(topic_->State().at("a"), "1");

  ASSERT_OK(Begin("5/1"));
  fake_.Want({{}, {{"b", "1"}}});
  ASSERT_OK(Insert(0, 5));
  ASSERT_OK(writer_->Flush());
  EXPECT_FALSE(topic_->State().contains("b"));  // not inside a transaction
  ASSERT_OK(writer_->Commit("5/2"));
  ASSERT_OK(writer_->Flush());
  EXPECT_EQ(topic_->State().at("b"), "1");
  EXPECT_EQ(fake_.next_versions.back(), tailwater::Rows(Contents(*topic_)).back().version + 1);

  fake_.Want({{}, {{"c", "1"}}});
  ASSERT_OK(writer_->AdvanceIdle("5/2"));
  EXPECT_EQ(topic_->State().at("c"), "1");
}

TEST_F(CaptureWriterSnapshotTest, TheTimeKeeperStoresNotesOfAQuietSource) {
  Open();
  ASSERT_OK(writer_->Flush());
  fake_.Want({{}, {{"a", "1"}}});
  writer_->Tick();
  EXPECT_EQ(topic_->State().at("a"), "1");
  EXPECT_EQ(fake_.durable, 1);
  // A commit that only moved the frontier leaves them to nobody.
  fake_.Want({{}, {{"b", "1"}}});
  ASSERT_OK(Begin("2/1"));
  ASSERT_OK(writer_->Commit("2/2"));
  ASSERT_OK(writer_->Flush());
  EXPECT_EQ(topic_->State().at("b"), "1");
}

TEST_F(CaptureWriterSnapshotTest, WhoComesWhileTheSourceHasTheTurnWakesTheTimeKeeperAfterIt) {
  Open();
  ASSERT_OK(writer_->Flush());
  const int wakes = wakes_;
  ASSERT_OK(writer_->OnWatermark({Watermark::Kind::kLow, "old/1", true}));
  ASSERT_OK(writer_->Flush());
  EXPECT_EQ(wakes_, wakes);
  fake_.Want({{{Orders(), 3, ""}}, {}});
  writer_->Tick();
  EXPECT_THAT(LogWithoutFrontiers(), ElementsAre("schema public.orders", "sweep public.orders"));
}

TEST_F(CaptureWriterSnapshotTest, DurableMeansEverythingThatWasAnswered) {
  Open({.completion = Completion::kManual});
  ASSERT_OK(writer_->Flush());
  fake_.Want({{}, {{"a", "1"}}});
  writer_->Tick();
  fake_.Want({{}, {{"b", "1"}}});
  writer_->Tick();
  topic_->RunPending(1);
  EXPECT_EQ(fake_.durable, 0);
  topic_->RunPending(1);
  EXPECT_EQ(fake_.durable, 1);
}

TEST_F(CaptureWriterSnapshotTest, NothingIsDurableOnceABatchFailed) {
  Open();
  ASSERT_OK(writer_->Flush());
  topic_->FailNextAppend({Disposition::kRetry, "topic_io", "the test failed this batch"});
  fake_.Want({{}, {{"a", "1"}}});
  writer_->Tick();
  EXPECT_EQ(fake_.durable, 0);
  EXPECT_EQ(topic_failures_, 1);
}

TEST_F(CaptureWriterSnapshotTest, WorkersMayBeginOnceTheServerWasHeard) {
  Open();
  ASSERT_OK(writer_->Establish({{"system", "1"}}, Position{"0/1"}));
  EXPECT_EQ(fake_.streaming, 0);
  ASSERT_OK(writer_->Flush());
  ASSERT_OK(writer_->Flush());
  EXPECT_EQ(fake_.streaming, 1);
}

// --- copies of keyless tables ---

TEST_F(CaptureWriterSnapshotTest, ServesACopyUntilItHasEnded) {
  const auto log = TableSchema::Make(
      {"public", "log"}, {{"at", ValueType::kInt64, "int8"}, {"line", ValueType::kText, "text"}});
  Open();
  const auto serve = [&] { return writer_->ServeCopy("run/9", milliseconds(0)); };
  Result<bool> ended = serve();
  ASSERT_OK(ended);
  EXPECT_FALSE(*ended);
  fake_.copy.push_back({{{log, 0, ""}}, Rows({{1, "a"}, {1, "a"}}, log), false});
  fake_.copy.push_back({{}, Rows({{2, "b"}}, log), false});
  fake_.copy.push_back({{}, std::nullopt, true});
  for (int i = 0; i < 3; ++i) {
    ended = serve();
    ASSERT_OK(ended);
  }
  EXPECT_TRUE(*ended);
  EXPECT_THAT(LogWithoutFrontiers(),
              ElementsAre("schema public.log", "sweep public.log", "read public.log 1,a",
                          "read public.log 1,a", "read public.log 2,b"));
  EXPECT_THAT(fake_.published, ElementsAre(Pair("run/9", 2), Pair("run/9", 1)));
  const auto sweep = Contents(*topic_)[1];
  EXPECT_EQ(sweep.sweep_below, sweep.version);  // everything in front of it
}

TEST_F(CaptureWriterSnapshotTest, ACopyWaitsForRoomInFrontOfTheTopic) {
  options_.frontier_interval = std::chrono::hours(1);
  Open({.completion = Completion::kManual, .capacity_bytes = 100});
  Change1(Operation::kInsert, 1, std::string(200, 'x'));
  ASSERT_OK(writer_->Flush());
  fake_.copy.push_back({{}, Rows({{1, "a"}}), true});
  Result<bool> ended = writer_->ServeCopy("run/9", milliseconds(1));
  ASSERT_OK(ended);
  EXPECT_FALSE(*ended);
  EXPECT_THAT(fake_.published, IsEmpty());
  topic_->RunPending();
  ended = writer_->ServeCopy("run/9", milliseconds(1));
  ASSERT_OK(ended);
  EXPECT_TRUE(*ended);
}

}  // namespace
}  // namespace tailwater
