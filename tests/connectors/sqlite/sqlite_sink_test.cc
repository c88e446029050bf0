#include "sqlite/sqlite_sink.h"

#include <cmath>
#include <limits>

#include "connectors/sqlite/sqlite_harness.h"
#include "support/delivery_batch.h"
#include "support/short_values.h"
#include "support/topic_feeder.h"
#include "tailwater/array.h"

namespace tailwater {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SqliteSinkTest : public ::testing::Test {
 protected:
  void Open() {
    sink_.reset();
    sink_ = harness_.NewSink();
    ASSERT_OK(sink_->Open());
  }
  std::vector<Verdict> Write(DeliveryBatchBuilder& batch) {
    if (!sink_) Open();
    auto verdicts = sink_->Write(batch.Build());
    EXPECT_OK(verdicts);
    Commit();
    return verdicts ? *std::move(verdicts) : std::vector<Verdict>();
  }
  void Commit() {
    TransactionalSink* transaction = sink_->transactional();
    const auto stored = transaction->StoredOffsets();
    ASSERT_OK(stored);
    const auto held = stored->offsets.find(0);
    const int64_t next = held == stored->offsets.end() ? 1 : held->second + 1;
    const auto outcome = transaction->Commit("log", stored->offsets, {{0, next}});
    ASSERT_OK(outcome);
    ASSERT_EQ(*outcome, CommitOutcome::kCommitted);
  }

  SqliteHarness harness_;
  std::unique_ptr<Sink> sink_;
  SchemaPtr orders_ = TestSchema("orders", {"id*:int64", "note:text"});
};

TEST_F(SqliteSinkTest, KeepsEveryTypeLossless) {
  const SchemaPtr schema = TestSchema(
      "types", {"id*:int64",   "b:bool",       "u:uint64",       "big:uint64", "f:float64",
                "nan:float64", "inf:float64",  "d:decimal",      "raw:bytes",  "day:date",
                "t:time",      "ts:timestamp", "tz:timestamptz", "i:interval", "u4:uuid",
                "j:json",      "a:array",      "e:enum",         "o:other",    "far:date"});
  std::string array;
  ArrayWriter writer(array);
  writer.AddDimension({.length = 2});
  writer.AddElement(Int(std::numeric_limits<int64_t>::min()));
  writer.AddElement(Value::Null());
  const Interval interval{14, 3, 4'500'000};
  DeliveryBatchBuilder batch;
  batch.Insert(schema, 1,
               {Int(std::numeric_limits<int64_t>::max()),
                Value::Bool(true),
                Value::Uint64(7),
                Value::Uint64(std::numeric_limits<uint64_t>::max()),
                Value::Float64(0.1),
                Value::Float64(std::nan("")),
                Value::Float64(-INFINITY),
                Value::Decimal("123456789012345678901234567890.10"),
                Value::Blob(std::string_view("\0\xff", 2)),
                Value::Date(-1),
                Value::Time(86'400'000'000),
                Value::Timestamp(1'500'000),
                Value::TimestampTz(-1),
                Value::OfInterval(&interval),
                Value::Uuid("0123456789abcdef"),
                Value::Json("{\"a\":  1.0}"),
                Value::Array(array),
                Value::Enum("ok"),
                Value::Other("(1,2)"),
                Value::Other("infinity")});
  for (const Verdict& verdict : Write(batch)) EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied);
  EXPECT_THAT(
      harness_.Query(
          "SELECT id, b, u, big, f, nan, inf, d, hex(raw), day, t, ts, tz, i, u4, j, a, e, o, far, "
          "typeof(u), typeof(big), typeof(d), typeof(nan) FROM types"),
      ElementsAre(
          "9223372036854775807|1|7|18446744073709551615|0.1|NaN|-Inf|"
          "123456789012345678901234567890.10|00FF|1969-12-31|24:00:00|1970-01-01 00:00:01.5|"
          "1969-12-31 23:59:59.999999+00:00|1 year 2 mons 3 days 00:00:04.5|"
          "30313233-3435-3637-3839-616263646566|{\"a\":  1.0}|[-9223372036854775808,null]|ok|(1,2)|"
          "infinity|integer|text|text|text"));
}

TEST_F(SqliteSinkTest, FindsTextAndKeepsTheIndexInStep) {
  harness_.set_options({.table = "", .search = {"note"}});
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("red bicycle")})
      .Insert(orders_, 2, {Int(2), Text("green bicycle")})
      .Insert(orders_, 3, {Int(3), Text("red car")})
      .Update(orders_, 4, {Int(2), Text("green tractor")})
      .Delete(orders_, 5, {Int(3), Value::Omitted()});
  Write(batch);
  const std::string find =
      "SELECT o.id FROM orders_search s JOIN orders o ON o._tailwater_row = s.rowid "
      "WHERE orders_search MATCH ";
  EXPECT_THAT(harness_.Query(find + "'red'"), ElementsAre("1"));
  EXPECT_THAT(harness_.Query(find + "'bicycle'"), ElementsAre("1"));
  EXPECT_THAT(harness_.Query(find + "'tractor'"), ElementsAre("2"));
  // Consistent with its table, as FTS5 itself sees it.
  ASSERT_OK(sink_->Sweep({"shop", "public.orders", 100, true}));
  Commit();
  EXPECT_THAT(harness_.Query(find + "'red OR tractor'"), IsEmpty());
  sink_.reset();
  auto database = sqlite::Database::Open(harness_.path(), sqlite::OpenMode::kReadWrite);
  EXPECT_OK(database->Execute(
      "INSERT INTO orders_search(orders_search, rank) VALUES('integrity-check', 1)"));
}

TEST_F(SqliteSinkTest, BuildsTheSearchIndexOfRowsThatAreThereAlready) {
  DeliveryBatchBuilder first;
  first.Insert(orders_, 1, {Int(1), Text("red bicycle")});
  Write(first);
  harness_.set_options({.table = "", .search = {"note"}});
  Open();
  DeliveryBatchBuilder second;
  second.Insert(orders_, 2, {Int(2), Text("blue bicycle")});
  Write(second);
  EXPECT_THAT(harness_.Query("SELECT rowid FROM orders_search WHERE orders_search MATCH 'bicycle'"),
              ElementsAre("1", "2"));
  harness_.set_options({});
  Open();
  DeliveryBatchBuilder third;
  third.Insert(orders_, 3, {Int(3), Text("c")});
  Write(third);
  EXPECT_THAT(harness_.Query("SELECT name FROM sqlite_schema WHERE name LIKE '%search%'"),
              IsEmpty());
}

TEST_F(SqliteSinkTest, RefusesToSearchAColumnThatIsNotThere) {
  harness_.set_options({.table = "", .search = {"title"}});
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")}).Insert(orders_, 2, {Int(2), Text("a")});
  for (const Verdict& verdict : Write(batch)) {
    EXPECT_TRUE(verdict.table_stopped);
    EXPECT_EQ(verdict.code, "search_column_missing");
    EXPECT_THAT(verdict.reason, HasSubstr("title"));
  }
}

TEST_F(SqliteSinkTest, WritesIntoTheTableThatIsAskedFor) {
  harness_.set_options({.table = "order \"copy\"", .search = {"note"}});
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("it's")});
  Write(batch);
  EXPECT_THAT(harness_.Query("SELECT note FROM \"order \"\"copy\"\"\""), ElementsAre("it's"));
}

TEST_F(SqliteSinkTest, KeepsRowsOfTwoSourcesApartInOneTable) {
  DeliveryBatchBuilder batch;
  const auto row = [&](std::string_view source, int64_t version, std::string_view note) {
    batch.Add({.operation = Operation::kInsert,
               .source = source,
               .schema = orders_.get(),
               .version = version},
              {Int(1), Text(note)});
  };
  row("shop", 5, "of shop");
  row("billing", 3, "of billing");
  row("billing", 2, "older");
  Write(batch);
  ASSERT_OK(sink_->Sweep({"shop", "public.orders", 9, true}));
  Commit();
  EXPECT_THAT(harness_.Query("SELECT o.source, note FROM orders JOIN _tailwater_origins o "
                             "ON o.origin = _tailwater_origin"),
              ElementsAre("billing|of billing"));
}

TEST_F(SqliteSinkTest, AddsColumnsAndKeepsWritingRowsOfTheOldSchema) {
  const SchemaPtr wider = TestSchema("orders", {"id*:int64", "extra:int64", "note:text"});
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")})
      .Add({.operation = Operation::kSchema, .schema = wider.get(), .version = 2})
      .Insert(wider, 3, {Int(2), Int(7), Text("b")})
      .Update(orders_, 4, {Int(1), Text("c")});
  for (const Verdict& verdict : Write(batch)) EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied);
  EXPECT_THAT(harness_.Query("SELECT id, note, extra FROM orders ORDER BY id"),
              ElementsAre("1|c|NULL", "2|b|7"));
}

TEST_F(SqliteSinkTest, AColumnThatComesBackDoesNotShowWhatTheOldOneHeld) {
  const SchemaPtr narrow = TestSchema("orders", {"id*:int64"});
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("old")})
      .Insert(narrow, 2, {Int(2)})
      .Add({.operation = Operation::kSchema, .schema = orders_.get(), .version = 3})
      .Insert(orders_, 4, {Int(3), Text("new")});
  Write(batch);
  EXPECT_THAT(*harness_.Orders(), ElementsAre("1|NULL", "2|NULL", "3|new"));
}

TEST_F(SqliteSinkTest, RefusesAnotherTypeOrKeyByNameAndLeavesOtherTablesAlone) {
  const SchemaPtr retyped = TestSchema("orders", {"id*:int64", "note:int64"});
  const SchemaPtr rekeyed = TestSchema("orders", {"id:int64", "note*:text"});
  const SchemaPtr keyless = TestSchema("orders", {"id:int64", "note:text"});
  const SchemaPtr clash = TestSchema("clash", {"id*:int64", "ID:int64"});
  const SchemaPtr reserved = TestSchema("reserved", {"id*:int64", "_tailwater_version:int64"});
  const SchemaPtr users = TestSchema("users", {"id*:int64"});
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")})
      .Insert(retyped, 2, {Int(2), Int(5)})
      .Insert(rekeyed, 3, {Int(3), Text("c")})
      .Insert(keyless, 4, {Int(3), Text("c")})
      .Insert(clash, 5, {Int(3), Int(4)})
      .Insert(reserved, 6, {Int(3), Int(4)})
      .Insert(users, 7, {Int(3)});
  const auto verdicts = Write(batch);
  ASSERT_EQ(verdicts.size(), 7u);
  for (size_t i = 1; i < 6; ++i) {
    EXPECT_EQ(verdicts[i].code, "schema_incompatible") << i;
    EXPECT_THAT(verdicts[i].reason, HasSubstr("public.")) << i;
  }
  EXPECT_EQ(verdicts[6].kind, Verdict::Kind::kApplied);
}

TEST_F(SqliteSinkTest, TakesOverNoTableThatIsNotAMirror) {
  {
    auto database = sqlite::Database::Open(harness_.path(), sqlite::OpenMode::kCreate);
    ASSERT_OK(database->Execute("CREATE TABLE orders (id INTEGER, note TEXT)"));
  }
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")});
  const auto verdicts = Write(batch);
  EXPECT_EQ(verdicts.at(0).code, "schema_incompatible");
}

TEST_F(SqliteSinkTest, HoldsAKeylessTableAsAMultiset) {
  const SchemaPtr log = TestSchema("log", {"a:int64", "b:text"});
  DeliveryBatchBuilder batch;
  for (int64_t version = 1; version <= 3; ++version)
    batch.Insert(log, version, {Int(1), Text("x")});
  batch.Insert(log, 4, {Int(1), Value::Null()})
      .Delete(log, 5, {Int(1), Text("x")})
      .Update(log, 6, {Int(2), Value::Unchanged()}, {Int(1), Text("x")})
      .Delete(log, 7, {Int(1), Value::Null()})
      .Delete(log, 8, {Int(9), Text("was there before the copy")});
  for (const Verdict& verdict : Write(batch)) EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied);
  EXPECT_THAT(harness_.Query("SELECT a, b FROM log ORDER BY a"), ElementsAre("1|x", "2|x"));
  // A column more changes no row's identity.
  const SchemaPtr wider = TestSchema("log", {"a:int64", "b:text", "c:text"});
  DeliveryBatchBuilder more;
  more.Delete(wider, 9, {Int(1), Text("x"), Value::Null()});
  Write(more);
  EXPECT_THAT(harness_.Query("SELECT a, b FROM log"), ElementsAre("2|x"));
}

TEST_F(SqliteSinkTest, CountsColumnsThatTheRecordLacked) {
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Value::Omitted()});
  Write(batch);
  EXPECT_THAT(*harness_.Orders(), ElementsAre("1|NULL"));
  EXPECT_EQ(harness_.metrics().Value("tailwater_sink_omitted_columns_total"), 1);
}

TEST_F(SqliteSinkTest, RefusesTheFileOfAnotherSinkAndOneOfANewerVersion) {
  Open();
  sink_.reset();
  EXPECT_THAT(harness_.NewSink("another")->Open(), IsErrorWith("sqlite_foreign_file"));
  auto database = sqlite::Database::Open(harness_.path(), sqlite::OpenMode::kReadWrite);
  ASSERT_OK(database->Execute("UPDATE _tailwater_meta SET value = 2 WHERE name = 'format'"));
  EXPECT_THAT(harness_.NewSink()->Open(), IsErrorWith("sqlite_newer_file"));
}

TEST_F(SqliteSinkTest, WritesNothingIntoAFileThatWasTakenAway) {
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")});
  Write(batch);
  const std::string aside = harness_.path() + ".aside";
  std::filesystem::rename(harness_.path(), aside);
  EXPECT_THAT(sink_->Write(batch.Build()), IsErrorWith("sqlite_file_moved"));
  std::filesystem::rename(aside, harness_.path());
  Write(batch);
  EXPECT_THAT(*harness_.Orders(), ElementsAre("1|a"));
}

TEST_F(SqliteSinkTest, NamesTheFileThatItCannotOpen) {
  std::filesystem::create_directory(harness_.path());
  EXPECT_THAT(harness_.NewSink()->Open(), IsErrorWith("sqlite_cannot_open"));
}

// Not a bench: prints the rate, and fails only when something is grossly wrong.
TEST_F(SqliteSinkTest, WritesManyRowsPerSecond) {
  const SchemaPtr schema = TestSchema(
      "items", {"id*:int64", "customer:int64", "total:decimal", "status:text", "at:timestamptz"});
  Open();
  constexpr int kBatch = 10'000;
  double seconds = 0;
  int rows = 0;
  for (int round = 0; round < 10; ++round) {
    DeliveryBatchBuilder batch;
    for (int i = 0; i < kBatch; ++i) {
      const int64_t id = round < 5 ? round * kBatch + i : (i * 7919) % (5 * kBatch);
      batch.Insert(schema, round * kBatch + i + 1,
                   {Int(id), Int(i % 1000), Value::Decimal("12.50"), Text("paid and shipped"),
                    Value::TimestampTz(1'700'000'000'000'000 + i)});
    }
    const DeliveryBatch deliveries = batch.Build();
    const auto start = std::chrono::steady_clock::now();
    ASSERT_OK(sink_->Write(deliveries));
    Commit();
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    rows += kBatch;
  }
  std::printf("%.0f rows/s\n", rows / seconds);
  EXPECT_GT(rows / seconds, 20'000);
}

}  // namespace
}  // namespace tailwater
