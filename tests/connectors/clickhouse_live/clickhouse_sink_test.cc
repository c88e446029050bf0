#include "clickhouse/clickhouse_sink.h"

#include <gmock/gmock.h>

#include <limits>

#include "connectors/clickhouse_live/sink_fixture.h"
#include "tailwater/array.h"

namespace tailwater::clickhouse {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ClickHouseSinkTest, EveryTypeIsHeldExactly) {
  const SchemaPtr all =
      TestSchema("everything", {"id*:int64", "b:bool", "u:uint64", "f:float64", "d:decimal",
                                "t:text", "y:bytes", "day:date", "time:time", "stamp:timestamp",
                                "instant:timestamptz", "span:interval", "uuid:uuid", "json:json",
                                "list:array", "mood:enum", "other:other"});
  std::string wire;
  ArrayWriter array(wire);
  array.AddDimension({2, 1});
  array.AddElement(Text("a"));
  array.AddElement(Value::Null());
  const Interval interval{1, 2, 3};
  DeliveryBatchBuilder batch;
  batch
      .Insert(
          all, 1,
          {Int(std::numeric_limits<int64_t>::min()), Value::Bool(true), Value::Uint64(~uint64_t{0}),
           Value::Float64(0.1), Value::Decimal("123456789012345678901234567890.10"),
           Text("\xc3\xa9\t\\'"), Value::Blob("\xff\x01"), Value::Date(-25'567),
           Value::Time(86'400'000'000), Value::Timestamp(1'700'000'000'123'456),
           Value::TimestampTz(-1), Value::OfInterval(&interval), Value::Uuid("0123456789abcdef"),
           Value::Json(R"({"a": 1e400})"), Value::Array(wire), Value::Enum("sad"),
           Value::Other("(1,2)")})
      .Insert(
          all, 2,
          {Int(2), Value::Null(), Value::Null(), Value::Null(), Value::Null(), Value::Null(),
           Value::Null(), Value::Null(), Value::Null(), Value::Null(), Value::Null(), Value::Null(),
           Value::Null(), Value::Null(), Value::Null(), Value::Null(), Value::Null()})
      .Insert(all, 3,
              {Int(3), Value::Bool(false), Value::Uint64(0),
               Value::Float64(std::numeric_limits<double>::quiet_NaN()), Value::Decimal("NaN"),
               Text(""), Value::Blob(""), Value::Date(120'529), Value::Time(0), Value::Timestamp(0),
               Value::TimestampTz(0), Value::OfInterval(&interval), Value::Uuid("0123456789abcdef"),
               Value::Json("[1]"), Value::Array(""), Value::Enum(""), Value::Other("")});
  for (const Verdict& verdict : Write(batch)) {
    EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied) << verdict.code << ": " << verdict.reason;
  }
  EXPECT_THAT(
      server_.Rows("SELECT id, b, u, f, d, t, hex(y), day, time, stamp, instant, span, uuid, json, "
                   "toString(list), mood, other, _null_arrays FROM " +
                   Place("everything") + " FINAL ORDER BY id"),
      ElementsAre(
          "-9223372036854775808|true|18446744073709551615|0.1|"
          "123456789012345678901234567890.10|\xc3\xa9\t\\'|FF01|1900-01-01|24:00:00|"
          "2023-11-14 22:13:20.123456|1969-12-31 23:59:59.999999|1 mon 2 days 00:00:00.000003|"
          "30313233-3435-3637-3839-616263646566|{\"a\": 1e400}|['a',NULL]|sad|(1,2)|[]",
          "2|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|\\N|[]|\\N|\\N|['list']",
          "3|false|0|nan|NaN|||2299-12-31|00:00:00|1970-01-01 00:00:00.000000|"
          "1970-01-01 00:00:00.000000|1 mon 2 days 00:00:00.000003|"
          "30313233-3435-3637-3839-616263646566|[1]|[]|||[]"));
}

TEST_F(ClickHouseSinkTest, BasesAreKeptToTheByteWhateverTheirTypeAndKey) {
  const SchemaPtr wide =
      TestSchema("orders", {"id*:text", "part*:timestamptz", "u*:uuid", "n:int64", "d:decimal",
                            "list:array", "none:array", "json:json", "big:text"});
  std::string wire;
  ArrayWriter array(wire);
  array.AddDimension({1, 1});
  array.AddElement(Text("a"));
  const Value id = Text("it's \\ \x01\n\xff"), part = Value::TimestampTz(-1'234'567),
              uuid = Value::Uuid("0123456789abcdef");
  EXPECT_EQ(WriteOne(wide, 1,
                     {id, part, uuid, Int(7), Value::Decimal("1.50"), Value::Array(wire),
                      Value::Null(), Value::Json("{\"a\":1}"), Text(std::string(100'000, 'x'))})
                .kind,
            Verdict::Kind::kApplied);
  const Value same = Value::Unchanged();
  const Verdict verdict = WriteOne(wide, 2, {id, part, uuid, Int(8), same, same, same, same, same});
  EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied) << verdict.reason;
  EXPECT_THAT(Orders("n, d, list, none, _null_arrays, json, length(big), _version"),
              ElementsAre("8|1.50|['a']|[]|['none']|{\"a\":1}|100000|2"));
}

TEST_F(ClickHouseSinkTest, ANewColumnIsAddedAndOldRowsHaveNoBaseForIt) {
  EXPECT_EQ(WriteOne(orders_, 1, {Int(1), Text("a")}).kind, Verdict::Kind::kApplied);
  const SchemaPtr wider = TestSchema("orders", {"id*:int64", "note:text", "due:date"});
  DeliveryBatchBuilder batch;
  batch.Add({.operation = Operation::kSchema, .schema = wider.get(), .version = 2})
      .Insert(wider, 3, {Int(2), Text("b"), Value::Date(1)})
      .Update(wider, 4, {Int(1), Text("c"), Value::Unchanged()});
  const auto verdicts = Write(batch);
  EXPECT_EQ(verdicts[1].kind, Verdict::Kind::kApplied);
  EXPECT_EQ(verdicts[2].code, kBaseMissing);
  EXPECT_THAT(Orders("id, note, due"), ElementsAre("1|a|\\N", "2|b|1970-01-02"));
  // A partition that lags brings a row of the old schema.
  EXPECT_EQ(WriteOne(orders_, 2, {Int(3), Text("late")}).kind, Verdict::Kind::kApplied);
}

TEST_F(ClickHouseSinkTest, AColumnThatComesBackDoesNotShowWhatItHeld) {
  EXPECT_TRUE(WriteOne(orders_, 1, {Int(1), Text("old")}).final());
  EXPECT_TRUE(WriteOne(orders_, 2, {Int(2), Text("old")}).final());
  const SchemaPtr narrow = TestSchema("orders", {"id*:int64"});
  EXPECT_EQ(WriteOne(narrow, 3, {Int(2)}).kind, Verdict::Kind::kApplied);
  EXPECT_THAT(Orders(), ElementsAre("1|old", "2|\\N")) << "it stays until it comes back";
  Reopen();
  EXPECT_EQ(WriteOne(orders_, 4, {Int(3), Text("new")}).kind, Verdict::Kind::kApplied);
  EXPECT_THAT(Orders(), ElementsAre("1|\\N", "2|\\N", "3|new"));
}

TEST_F(ClickHouseSinkTest, AColumnThatGoesAndComesBackInOneBatchIsEmptiedBehindWhatWasBefore) {
  const SchemaPtr narrow = TestSchema("orders", {"id*:int64"});
  EXPECT_TRUE(WriteOne(orders_, 1, {Int(1), Text("old")}).final());
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 2, {Int(2), Text("old")})
      .Insert(narrow, 3, {Int(3)})
      .Add({.operation = Operation::kSchema, .schema = orders_.get(), .version = 4})
      .Insert(orders_, 5, {Int(4), Text("new")});
  for (const Verdict& verdict : Write(batch)) EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied);
  EXPECT_THAT(Orders(), ElementsAre("1|\\N", "2|\\N", "3|\\N", "4|new"));
}

TEST_F(ClickHouseSinkTest, TypesAreWidenedWhereNothingIsLost) {
  const SchemaPtr number = TestSchema("orders", {"id*:int64", "note:int64"});
  EXPECT_TRUE(WriteOne(number, 1, {Int(1), Int(7)}).final());
  EXPECT_EQ(WriteOne(orders_, 2, {Int(2), Text("eight")}).kind, Verdict::Kind::kApplied);
  EXPECT_THAT(Orders(), ElementsAre("1|7", "2|eight"));
  EXPECT_THAT(server_.Rows("SELECT kind FROM " + Place("_tailwater") + " WHERE kind = 'made'"),
              ElementsAre("made"));
  // And back: text takes numbers.
  EXPECT_EQ(WriteOne(number, 3, {Int(3), Int(9)}).kind, Verdict::Kind::kApplied);
  EXPECT_THAT(Orders(), ElementsAre("1|7", "2|eight", "3|9"));
}

TEST_F(ClickHouseSinkTest, HaltStopsAtAnyChangeAndGoesOnOnceItIsMade) {
  Reopen(SchemaChanges::kHalt);
  EXPECT_TRUE(WriteOne(orders_, 1, {Int(1), Text("a")}).final());
  const SchemaPtr wider = TestSchema("orders", {"id*:int64", "note:text", "due:date"});
  const Verdict stopped = WriteOne(wider, 2, {Int(2), Text("b"), Value::Date(0)});
  EXPECT_TRUE(stopped.table_stopped);
  EXPECT_EQ(stopped.code, "schema_change_halted");
  const size_t sql = stopped.reason.find("ALTER TABLE");
  ASSERT_NE(sql, std::string::npos);
  server_.Execute(stopped.reason.substr(sql, stopped.reason.find(", or set") - sql));
  EXPECT_EQ(WriteOne(wider, 3, {Int(2), Text("b"), Value::Date(0)}).kind, Verdict::Kind::kApplied);
}

TEST_F(ClickHouseSinkTest, IgnoreLeavesOutWhatTheTargetLacks) {
  Reopen(SchemaChanges::kIgnore);
  EXPECT_TRUE(WriteOne(orders_, 1, {Int(1), Text("a")}).final());
  const SchemaPtr wider = TestSchema("orders", {"id*:int64", "note:text", "due:date"});
  EXPECT_EQ(WriteOne(wider, 2, {Int(2), Text("b"), Value::Date(0)}).kind, Verdict::Kind::kApplied);
  EXPECT_THAT(Orders(), ElementsAre("1|a", "2|b"));
  EXPECT_EQ(metrics_.Value("tailwater_sink_left_out_columns_total"), 1);
}

TEST_F(ClickHouseSinkTest, AForeignTableIsToldAllItsDifferencesAndUsedOnceTheyAreGone) {
  server_.Execute("CREATE TABLE " + Place("orders") +
                  " (id Int64, note Int32, extra String DEFAULT 'x', _version UInt64) ENGINE = "
                  "ReplacingMergeTree(_version) ORDER BY id");
  const Verdict stopped = WriteOne(orders_, 1, {Int(1), Text("a")});
  EXPECT_TRUE(stopped.table_stopped);
  EXPECT_EQ(stopped.code, "clickhouse_table_unfit");
  EXPECT_THAT(stopped.reason, HasSubstr("column note is Int32"));
  EXPECT_THAT(stopped.reason, HasSubstr("ADD COLUMN `_deleted` UInt8"));
  server_.Execute("ALTER TABLE " + Place("orders") +
                  " MODIFY COLUMN note Nullable(String), ADD COLUMN _deleted UInt8");
  EXPECT_EQ(WriteOne(orders_, 2, {Int(1), Text("b")}).kind, Verdict::Kind::kApplied);
  EXPECT_THAT(Orders("id, note, extra"), ElementsAre("1|b|x"));
}

TEST_F(ClickHouseSinkTest, WhereNothingMayBeCreatedTheStatementIsTold) {
  config_.create = false;
  server_.Execute("DROP TABLE " + Place("_tailwater"));
  sink_ = NewLiveSink(config_, metrics_, options_);
  const Status opened = sink_->Open();
  EXPECT_THAT(opened, IsErrorWith("clickhouse_state_missing"));
  const auto run = [&](const std::string& reason) {
    server_.Execute(reason.substr(reason.find("CREATE TABLE")));
  };
  run(opened.error().message);
  ASSERT_OK(sink_->Open());
  const Verdict stopped = WriteOne(orders_, 1, {Int(1), Text("a")});
  EXPECT_TRUE(stopped.table_stopped);
  EXPECT_EQ(stopped.code, "clickhouse_table_missing");
  run(stopped.reason);
  EXPECT_EQ(WriteOne(orders_, 2, {Int(1), Text("b")}).kind, Verdict::Kind::kApplied);
}

TEST_F(ClickHouseSinkTest, ATableThatSomebodyAltersOrDropsIsLookedAtAgain) {
  EXPECT_TRUE(WriteOne(orders_, 1, {Int(1), Text("a")}).final());
  server_.Execute("ALTER TABLE " + Place("orders") +
                  " MODIFY COLUMN note LowCardinality(Nullable(String))");
  DeliveryBatchBuilder second;
  second.Update(orders_, 2, {Int(1), Text("b")});
  const auto first_try = sink_->Write(second.Build());
  if (!first_try) {
    EXPECT_EQ(first_try.error().disposition, Disposition::kRetry);
    EXPECT_EQ(Write(second).at(0).kind, Verdict::Kind::kApplied);
  }
  EXPECT_THAT(Orders(), ElementsAre("1|b"));
  server_.Execute("DROP TABLE " + Place("orders"));
  DeliveryBatchBuilder third;
  third.Update(orders_, 3, {Int(1), Text("c")});
  EXPECT_FALSE(sink_->Write(third.Build()).has_value());
  EXPECT_EQ(Write(third).at(0).kind, Verdict::Kind::kApplied);
  EXPECT_THAT(Orders(), ElementsAre("1|c"));
}

TEST_F(ClickHouseSinkTest, TheSameInsertTwiceIsOnePart) {
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")}).Insert(orders_, 2, {Int(2), Text("b")});
  Write(batch);
  Write(batch);
  EXPECT_THAT(server_.Rows("SELECT count() FROM " + Place("orders")), ElementsAre("2"))
      << "by its token, before any merge";
  DeliveryBatchBuilder other;
  other.Insert(orders_, 1, {Int(1), Text("a")}).Insert(orders_, 3, {Int(3), Text("c")});
  Write(other);
  EXPECT_THAT(Orders(), ElementsAre("1|a", "2|b", "3|c")) << "other rows are never dropped";
}

TEST_F(ClickHouseSinkTest, AChangelogHoldsEachChangeOnce) {
  config_.mode = Mode::kChangelog;
  Reopen();
  const SchemaPtr list = TestSchema("orders", {"id*:int64", "note:text", "list:array"});
  DeliveryBatchBuilder batch;
  batch.Insert(list, 1, {Int(1), Text("a"), Value::Null()})
      .Update(list, 2, {Int(1), Text("b"), Value::Unchanged()})
      .Delete(list, 3, {Int(1), Value::Omitted(), Value::Omitted()})
      .Add({.operation = Operation::kTruncate, .schema = list.get(), .version = 4});
  for (int again = 0; again < 2; ++again) {
    for (const Verdict& verdict : Write(batch)) EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied);
  }
  DeliveryBatchBuilder part;  // other boundaries: no token drops it
  part.Update(list, 2, {Int(1), Text("b"), Value::Unchanged()});
  Write(part);
  EXPECT_THAT(server_.Rows("SELECT _version, _op, id, note, _missing, _null_arrays, _id FROM " +
                           Place("orders") + " FINAL ORDER BY _version"),
              ElementsAre("1|insert|1|a|[]|['list']|shop:1:0/1000:1:0",
                          "2|update|1|b|['list']|[]|shop:1:0/1000:2:0",
                          "3|delete|1|\\N|['note','list']|[]|shop:1:0/1000:3:0",
                          "4|truncate|0|\\N|[]|[]|shop:1:0/1000:4:0"));
}

TEST_F(ClickHouseSinkTest, TablesOfSeveralSourcesShareATargetByOrigin) {
  const SchemaPtr users = TestSchema("users", {"id*:int64", "note:text"});
  std::string problem;
  options_.table = NameTemplate::Parse("orders", problem);
  Reopen();
  EXPECT_TRUE(WriteOne(orders_, 1, {Int(1), Text("a")}).final());
  EXPECT_EQ(WriteOne(users, 2, {Int(1), Text("b")}).code, "clickhouse_table_shared");
  server_.Execute("DROP TABLE " + Place("orders"));
  config_.origin_column = "origin";
  Reopen();
  EXPECT_TRUE(WriteOne(orders_, 3, {Int(1), Text("a")}).final());
  EXPECT_TRUE(WriteOne(users, 4, {Int(1), Text("b")}).final());
  EXPECT_TRUE(WriteOne(users, 5, {Int(1), Value::Unchanged()}).final());
  EXPECT_THAT(Orders("origin, note"),
              ::testing::UnorderedElementsAre("shop:public.orders|a", "shop:public.users|b"));
  ASSERT_OK(sink_->Sweep({"shop", "public.users", 9, true}));
  EXPECT_THAT(Orders("origin, note"), ElementsAre("shop:public.orders|a"));
}

TEST_F(ClickHouseSinkTest, EveryCompressionIsUnderstood) {
  int64_t id = 0;
  for (const Compression compression :
       {Compression::kLz4, Compression::kZstd, Compression::kGzip}) {
    config_.compression = compression;
    Reopen();
    ++id;
    const Verdict verdict = WriteOne(orders_, id, {Int(id), Text(std::string(5'000, 'x'))});
    EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied) << verdict.reason;
  }
  EXPECT_EQ(Orders().size(), 3u);
}

TEST_F(ClickHouseSinkTest, NativeJsonTakesObjects) {
  config_.json = JsonColumns::kNative;
  Reopen();
  const SchemaPtr facts = TestSchema("orders", {"id*:int64", "note:json", "big:text"});
  DeliveryBatchBuilder batch;
  batch.Insert(facts, 1, {Int(1), Value::Json(R"({"a": {"b": 1}})"), Text("x")})
      .Insert(facts, 2, {Int(2), Value::Json("[1, 2]"), Text("x")})
      .Insert(facts, 3, {Int(3), Value::Null(), Text("x")});
  const auto verdicts = Write(batch);
  EXPECT_EQ(verdicts[0].kind, Verdict::Kind::kApplied) << verdicts[0].reason;
  EXPECT_EQ(verdicts[1].kind, Verdict::Kind::kRejected);
  EXPECT_EQ(verdicts[2].kind, Verdict::Kind::kApplied);
  const Verdict partial = WriteOne(facts, 4, {Int(1), Value::Unchanged(), Text("y")});
  EXPECT_EQ(partial.kind, Verdict::Kind::kApplied) << partial.reason;
  EXPECT_THAT(Orders("id, note.a.b, big"), ElementsAre("1|1|y", "3|\\N|x"));
}

}  // namespace
}  // namespace tailwater::clickhouse
