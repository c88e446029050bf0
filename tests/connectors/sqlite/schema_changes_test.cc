// What the mirror does when a table of the source changes its columns, by policy.
#include "connectors/sqlite/sqlite_harness.h"
#include "support/delivery_batch.h"
#include "support/short_values.h"
#include "support/topic_feeder.h"

namespace tailwater {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using Kind = Verdict::Kind;

class SqliteSchemaChangesTest : public ::testing::Test {
 protected:
  void Policy(SchemaChanges policy) {
    sink_.reset();
    harness_.set_schema_changes(policy);
    sink_ = harness_.NewSink();
    ASSERT_OK(sink_->Open());
  }
  // As the runner: a stopped table is rolled back.
  std::vector<Verdict> Write(DeliveryBatchBuilder& batch) {
    if (!sink_) Policy(SchemaChanges::kApply);
    auto verdicts = sink_->Write(batch.Build());
    EXPECT_OK(verdicts);
    if (!verdicts) return {};
    TransactionalSink* transaction = sink_->transactional();
    for (const Verdict& verdict : *verdicts) {
      if (verdict.kind != Kind::kRetry) continue;
      transaction->Rollback();
      return *std::move(verdicts);
    }
    const auto stored = transaction->StoredOffsets();
    EXPECT_OK(stored);
    const auto held = stored->offsets.find(0);
    const int64_t next = held == stored->offsets.end() ? 1 : held->second + 1;
    EXPECT_OK(transaction->Commit("log", stored->offsets, {{0, next}}));
    return *std::move(verdicts);
  }
  Verdict Insert(const SchemaPtr& schema, int64_t version, std::initializer_list<Value> row) {
    DeliveryBatchBuilder batch;
    batch.Insert(schema, version, row);
    const auto verdicts = Write(batch);
    return verdicts.empty() ? Verdict() : verdicts.back();
  }
  Verdict Update(const SchemaPtr& schema, int64_t version, std::initializer_list<Value> row) {
    DeliveryBatchBuilder batch;
    batch.Update(schema, version, row);
    const auto verdicts = Write(batch);
    return verdicts.empty() ? Verdict() : verdicts.back();
  }
  std::vector<std::string> Rows(const std::string& columns) {
    return harness_.Query("SELECT " + columns + " FROM orders ORDER BY id");
  }
  void ExpectStopped(const Verdict& verdict, std::string_view code, const std::string& to_run) {
    EXPECT_TRUE(verdict.table_stopped);
    EXPECT_EQ(verdict.code, code);
    EXPECT_THAT(verdict.reason, HasSubstr(to_run));
  }

  SqliteHarness harness_;
  std::unique_ptr<Sink> sink_;
  SchemaPtr orders_ = TestSchema("orders", {"id*:int64", "note:text"});
  SchemaPtr wider_ = TestSchema("orders", {"id*:int64", "note:text", "extra:int64"});
  SchemaPtr narrow_ = TestSchema("orders", {"id*:int64"});
  SchemaPtr retyped_ = TestSchema("orders", {"id*:int64", "note:int64"});
};

TEST_F(SqliteSchemaChangesTest, AColumnThatIsGoneStaysAndIsNullFromThenOn) {
  Insert(orders_, 1, {Int(1), Text("a")});
  Insert(orders_, 2, {Int(2), Text("b")});
  EXPECT_EQ(Update(narrow_, 3, {Int(1)}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|NULL", "2|b"));
}

TEST_F(SqliteSchemaChangesTest, ALateRowOfTheOldSchemaErasesNothing) {
  Insert(orders_, 1, {Int(1), Text("a")});
  Insert(wider_, 5, {Int(2), Text("b"), Int(7)});
  EXPECT_EQ(Update(wider_, 8, {Int(1), Text("c"), Int(9)}).kind, Kind::kApplied);
  EXPECT_EQ(Update(orders_, 3, {Int(1), Text("late")}).kind, Kind::kSuperseded);
  EXPECT_EQ(Insert(orders_, 4, {Int(3), Text("late")}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note, extra"), ElementsAre("1|c|9", "2|b|7", "3|late|NULL"));
  // After a restart too, and with a column that the table never had.
  Policy(SchemaChanges::kApply);
  Insert(wider_, 9, {Int(4), Text("d"), Int(1)});
  const SchemaPtr older = TestSchema("orders", {"id*:int64", "ancient:bool"});
  EXPECT_EQ(Insert(older, 2, {Int(5), Value::Bool(true)}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note, extra"),
              ElementsAre("1|c|9", "2|b|7", "3|late|NULL", "4|d|1", "5|NULL|NULL"));
}

// A large value that did not change is not in the log: a new column's old rows never held it.
TEST_F(SqliteSchemaChangesTest, AnUnchangedValueOfANewColumnHasNoBase) {
  const SchemaPtr renamed = TestSchema("orders", {"id*:int64", "text:text", "n:int64"});
  const SchemaPtr before = TestSchema("orders", {"id*:int64", "note:text", "n:int64"});
  Insert(before, 1, {Int(1), Text("large"), Int(1)});
  const Verdict verdict = Update(renamed, 2, {Int(1), Value::Unchanged(), Int(2)});
  EXPECT_EQ(verdict.code, kBaseMissing);
  EXPECT_EQ(Update(renamed, 3, {Int(1), Text("large"), Int(3)}).kind, Kind::kApplied);
  EXPECT_EQ(Update(renamed, 4, {Int(1), Value::Unchanged(), Int(4)}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, text, n, note"), ElementsAre("1|large|4|NULL"));
}

TEST_F(SqliteSchemaChangesTest, AnotherTypeStopsTheTableUntilItsColumnIsGone) {
  Insert(orders_, 1, {Int(1), Text("a")});
  ExpectStopped(Insert(retyped_, 2, {Int(2), Int(5)}), "schema_incompatible",
                "ALTER TABLE \"orders\" DROP COLUMN \"note\"");
  harness_.Run("ALTER TABLE orders DROP COLUMN note");
  EXPECT_EQ(Insert(retyped_, 2, {Int(2), Int(5)}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note, typeof(note)"), ElementsAre("1|NULL|null", "2|5|integer"));
}

TEST_F(SqliteSchemaChangesTest, SeesWhatAPersonAltersWhileItRuns) {
  Insert(orders_, 1, {Int(1), Text("a")});
  harness_.Run("ALTER TABLE orders DROP COLUMN note");
  EXPECT_EQ(Insert(orders_, 2, {Int(2), Text("b")}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|NULL", "2|b"));
  harness_.Run("DROP TABLE orders");
  EXPECT_EQ(Insert(orders_, 3, {Int(3), Text("c")}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note"), ElementsAre("3|c"));
}

TEST_F(SqliteSchemaChangesTest, AnotherKeyStopsTheTableUntilItIsDropped) {
  const SchemaPtr rekeyed = TestSchema("orders", {"id:int64", "note*:text"});
  Insert(orders_, 1, {Int(1), Text("a")});
  ExpectStopped(Insert(rekeyed, 3, {Int(2), Text("b")}), "schema_incompatible",
                "DROP TABLE \"orders\"");
  harness_.Run("DROP TABLE orders");
  // A late row of the old layout must not make the table as it was.
  EXPECT_EQ(Insert(orders_, 2, {Int(3), Text("c")}).code, "schema_outdated");
  EXPECT_EQ(Insert(rekeyed, 3, {Int(2), Text("b")}).kind, Kind::kApplied);
  EXPECT_EQ(Insert(orders_, 2, {Int(3), Text("c")}).code, "schema_outdated");
  EXPECT_THAT(Rows("id, note"), ElementsAre("2|b"));
}

TEST_F(SqliteSchemaChangesTest, WholeNumbersBecomeTextInTheFile) {
  harness_.set_options({.table = "", .search = {"note"}});
  Insert(retyped_, 1, {Int(1), Int(5)});
  EXPECT_EQ(Insert(orders_, 2, {Int(2), Text("six")}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note, typeof(note)"), ElementsAre("1|5|text", "2|six|text"));
  EXPECT_THAT(harness_.Query("SELECT rowid FROM orders_search WHERE orders_search MATCH 'six'"),
              ElementsAre("2"));
}

TEST_F(SqliteSchemaChangesTest, IgnoreLeavesColumnsOutAndRefusesOtherTypesOneByOne) {
  Policy(SchemaChanges::kIgnore);
  Insert(orders_, 1, {Int(1), Text("a")});
  EXPECT_EQ(Insert(wider_, 2, {Int(2), Text("b"), Int(7)}).kind, Kind::kApplied);
  EXPECT_EQ(Update(wider_, 3, {Int(2), Value::Unchanged(), Int(8)}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("*").size(), 2u);
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|a", "2|b"));
  EXPECT_EQ(harness_.metrics().Value("tailwater_sink_left_out_columns_total"), 2);
  const Verdict refused = Insert(retyped_, 4, {Int(3), Int(5)});
  EXPECT_EQ(refused.kind, Kind::kRejected);
  EXPECT_EQ(refused.code, "schema_incompatible");
}

TEST_F(SqliteSchemaChangesTest, IgnoreTakesAKeylessRowWithoutItsNewColumn) {
  Policy(SchemaChanges::kIgnore);
  const SchemaPtr log = TestSchema("orders", {"id:int64"});
  const SchemaPtr wider = TestSchema("orders", {"id:int64", "extra:text"});
  Insert(log, 1, {Int(1)});
  Insert(wider, 2, {Int(2), Text("x")});
  DeliveryBatchBuilder batch;
  batch.Delete(wider, 3, {Int(2), Text("x")}).Delete(wider, 4, {Int(1), Value::Null()});
  EXPECT_THAT(Write(batch), Each(Field(&Verdict::kind, Kind::kApplied)));
  EXPECT_THAT(Rows("id"), ElementsAre());
}

TEST_F(SqliteSchemaChangesTest, HaltStopsForEveryDifferenceUntilItIsMade) {
  Policy(SchemaChanges::kHalt);
  EXPECT_EQ(Insert(orders_, 1, {Int(1), Text("a")}).kind, Kind::kApplied) << "the first use";
  ExpectStopped(Insert(wider_, 2, {Int(2), Text("b"), Int(7)}), "schema_change_halted",
                "ALTER TABLE \"orders\" ADD COLUMN \"extra\" INTEGER");
  harness_.Run("ALTER TABLE orders ADD COLUMN extra INTEGER");
  EXPECT_EQ(Insert(wider_, 2, {Int(2), Text("b"), Int(7)}).kind, Kind::kApplied);
  ExpectStopped(Insert(orders_, 3, {Int(3), Text("c")}), "schema_change_halted",
                "ALTER TABLE \"orders\" DROP COLUMN \"extra\"");
  harness_.Run("ALTER TABLE orders DROP COLUMN extra");
  EXPECT_EQ(Insert(orders_, 3, {Int(3), Text("c")}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|a", "2|b", "3|c"));
}

TEST_F(SqliteSchemaChangesTest, AColumnOfSomebodyElseIsLeftAlone) {
  Insert(orders_, 1, {Int(1), Text("a")});
  harness_.Run("ALTER TABLE orders ADD COLUMN mine TEXT; UPDATE orders SET mine = 'kept'");
  Insert(wider_, 2, {Int(2), Text("b"), Int(7)});
  Update(narrow_, 3, {Int(1)});
  EXPECT_THAT(Rows("id, note, mine"), ElementsAre("1|NULL|kept", "2|b|NULL"));
}

TEST_F(SqliteSchemaChangesTest, AFileOfAnEarlierReleaseIsFollowedToo) {
  Insert(orders_, 1, {Int(1), Text("a")});
  sink_.reset();
  harness_.Run(
      "INSERT INTO _tailwater_columns SELECT origin, name FROM _tailwater_column_history; "
      "DROP TABLE _tailwater_column_history");
  Update(narrow_, 2, {Int(1)});
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|NULL"));
}

}  // namespace
}  // namespace tailwater
