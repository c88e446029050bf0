// What the conformance suite does not ask: values, refusals by column, tables without a key, what
// the server says.
#include <cmath>
#include <limits>

#include "connectors/postgres_sink_live/postgres_sink_harness.h"
#include "support/short_values.h"
#include "support/topic_feeder.h"
#include "tailwater/array.h"

namespace tailwater::postgres {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Kind = Verdict::Kind;

class PostgresSinkLive : public PostgresSinkTest {
 protected:
  SchemaPtr orders_ = TestSchema("orders", {"id*:int64", "note:text"});
};

TEST_F(PostgresSinkLive, KeepsEveryKindOfValue) {
  const SchemaPtr schema = TestSchema(
      "types", {"id*:int64",    "b:bool",         "big:uint64", "f:float64", "nan:float64",
                "inf:float64",  "d:decimal",      "raw:bytes",  "day:date",  "t:time",
                "ts:timestamp", "tz:timestamptz", "i:interval", "u4:uuid",   "j:json",
                "a:array",      "e:enum",         "o:other",    "far:date",  "text:text"});
  std::string array;
  ArrayWriter writer(array);
  writer.AddDimension({.length = 3});
  writer.AddElement(Text("a \"b\"\\,{\n"));
  writer.AddElement(Value::Null());
  writer.AddElement(Text(""));
  const Interval interval{14, 3, 4'500'000};
  DeliveryBatchBuilder batch;
  batch.Insert(schema, 1,
               {Int(std::numeric_limits<int64_t>::max()),
                Value::Bool(true),
                Value::Uint64(std::numeric_limits<uint64_t>::max()),
                Value::Float64(0.1),
                Value::Float64(std::nan("")),
                Value::Float64(-INFINITY),
                Value::Decimal("123456789012345678901234567890.10"),
                Value::Blob(std::string_view("\0\xff\\\n", 4)),
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
                Value::Other("infinity"),
                Text("tab\tline\nreturn\r\\N \\. é€😀")});
  EXPECT_THAT(Write(batch), Each(Field(&Verdict::kind, Kind::kApplied)));
  EXPECT_THAT(
      harness_.Query("select id, b, big, f, nan, inf, d, raw, day, t, ts, tz, i, u4, j, e, o, far "
                     "from types"),
      ElementsAre("9223372036854775807|t|18446744073709551615|0.1|NaN|-Infinity|"
                  "123456789012345678901234567890.10|\\x00ff5c0a|1969-12-31|24:00:00|1970-01-01 "
                  "00:00:01.5|1969-12-31 23:59:59.999999+00|1 year 2 mons 3 days 00:00:04.5|"
                  "30313233-3435-3637-3839-616263646566|{\"a\":  1.0}|ok|(1,2)|infinity"));
  EXPECT_EQ(harness_.Value("select text from types"), "tab\tline\nreturn\r\\N \\. é€😀");
  EXPECT_EQ(harness_.Value("select (a::text[])[1] from types"), "a \"b\"\\,{\n");
  EXPECT_EQ(harness_.Value("select (a::text[])[2] is null and (a::text[])[3] = '' from types"),
            "t");
}

TEST_F(PostgresSinkLive, TablesOfPostgresKeepTheirTypes) {
  harness_.set_sources({{"shop", "postgres", "shop"}});
  harness_.Run("create type mood as enum ('sad', 'ok')");
  const auto table = [](std::vector<Column> columns) {
    return TableSchema::Make({"sales", "orders"}, std::move(columns));
  };
  const SchemaPtr schema = table({{"id", ValueType::kInt64, "integer", true},
                                  {"price", ValueType::kDecimal, "numeric(12,2)"},
                                  {"at", ValueType::kTimestampTz, "timestamp(3) with time zone"},
                                  {"tags", ValueType::kArray, "text[]"},
                                  {"mood", ValueType::kEnum, "public.mood"},
                                  {"spot", ValueType::kOther, "point"},
                                  {"gone", ValueType::kOther, "public.no_such_type"},
                                  {"moods", ValueType::kArray, "public.no_such_type[]"}});
  std::string array;
  ArrayWriter writer(array);
  writer.AddDimension({.length = 2});
  writer.AddElement(Text("a"));
  writer.AddElement(Text("b"));
  EXPECT_EQ(Insert(schema, 1,
                   {Int(1), Value::Decimal("1.50"), Value::TimestampTz(2'000), Value::Array(array),
                    Value::Enum("ok"), Value::Other("(1,2)"), Value::Other("as it was"),
                    Value::Array(array)})
                .kind,
            Kind::kApplied);
  EXPECT_THAT(harness_.Query("select attname, format_type(atttypid, atttypmod) from pg_attribute "
                             "where attrelid = 'sales.orders'::regclass and attnum > 0 order by "
                             "attnum"),
              ElementsAre("id|integer", "price|numeric(12,2)", "at|timestamp(3) with time zone",
                          "tags|text[]", "mood|mood", "spot|point", "gone|text", "moods|text",
                          "_tailwater_version|bigint"));
  EXPECT_THAT(harness_.Query("select id, price, at, tags, mood, spot, gone, moods from "
                             "sales.orders"),
              ElementsAre("1|1.50|1970-01-01 00:00:00.002+00|{a,b}|ok|(1,2)|as it was|"
                          "{\"a\",\"b\"}"));
}

TEST_F(PostgresSinkLive, TablesOfMysqlGetTypesThatFit) {
  harness_.set_sources({{"shop", "mysql", "shop"}});
  std::vector<Column> columns = {{"id", ValueType::kInt64, "int unsigned", true},
                                 {"small", ValueType::kInt64, "tinyint"},
                                 {"big", ValueType::kUint64, "bigint unsigned"},
                                 {"price", ValueType::kDecimal, "decimal(12,2)"},
                                 {"name", ValueType::kText, "varchar(20)"},
                                 {"note", ValueType::kText, "longtext"},
                                 {"kind", ValueType::kEnum, "enum('a','b')"},
                                 {"doc", ValueType::kJson, "json"},
                                 {"at", ValueType::kTimestamp, "datetime(6)"},
                                 {"stamp", ValueType::kTimestampTz, "timestamp"},
                                 {"spent", ValueType::kTime, "time(3)"},
                                 {"flags", ValueType::kUint64, "bit(3)"},
                                 {"single", ValueType::kFloat64, "float"},
                                 {"raw", ValueType::kBytes, "varbinary(16)"},
                                 {"year", ValueType::kInt64, "year"}};
  const SchemaPtr schema = TableSchema::Make({"shop", "orders"}, std::move(columns));
  EXPECT_EQ(Insert(schema, 1,
                   {Int(4'294'967'295), Int(-128), Value::Uint64(UINT64_MAX),
                    Value::Decimal("9999999999.99"), Text("n"), Text("long"), Value::Enum("b"),
                    Value::Json("{\"b\": 1, \"a\": 2}"), Value::Timestamp(1), Value::TimestampTz(0),
                    Value::Other("-838:59:59"), Value::Uint64(5), Value::Float64(0.1),
                    Value::Blob("\xff"), Int(2026)})
                .kind,
            Kind::kApplied);
  EXPECT_THAT(harness_.Query("select format_type(atttypid, atttypmod) from pg_attribute where "
                             "attrelid = 'shop.orders'::regclass and attnum > 0 order by attnum"),
              ElementsAre("bigint", "smallint", "numeric(20,0)", "numeric(12,2)",
                          "character varying(20)", "text", "text", "jsonb",
                          "timestamp(6) without time zone", "timestamp(0) with time zone",
                          "interval", "bigint", "real", "bytea", "smallint", "bigint"));
  EXPECT_THAT(harness_.Query("select id, small, big, price, doc, at, spent, flags, single, raw "
                             "from shop.orders"),
              ElementsAre("4294967295|-128|18446744073709551615|9999999999.99|{\"a\": 2, \"b\": "
                          "1}|1970-01-01 00:00:00.000001|-838:59:59|5|0.1|\\xff"));
}

TEST_F(PostgresSinkLive, ARowThatIsRefusedIsNamedByItsColumnAndHidesItsValue) {
  harness_.Run(
      "create table orders (id bigint primary key, note varchar(5), _tailwater_version "
      "bigint not null default 0)");
  harness_.set_sources({{"shop", "postgres", "shop"}});
  const SchemaPtr schema =
      TableSchema::Make({"public", "orders"}, {{"id", ValueType::kInt64, "bigint", true},
                                               {"note", ValueType::kText, "character varying(5)"}});
  DeliveryBatchBuilder batch;
  for (int i = 0; i < 100; ++i) {
    batch.Insert(schema, i + 1, {Int(i), Text(i == 37 ? "secret value" : "ok")});
  }
  batch.Insert(schema, 200, {Int(200), Value::Text(std::string_view("a\0b", 3))});
  const auto verdicts = Write(batch);
  ASSERT_EQ(verdicts.size(), 101u);
  for (size_t i = 0; i < verdicts.size(); ++i) {
    EXPECT_EQ(verdicts[i].kind, i == 37 || i == 100 ? Kind::kRejected : Kind::kApplied) << i;
  }
  EXPECT_EQ(verdicts[37].code, "pg_value_too_long");
  EXPECT_THAT(verdicts[37].reason,
              AllOf(HasSubstr("public.orders"), HasSubstr("'note'"), HasSubstr("varying(5)"),
                    HasSubstr("22001"), Not(HasSubstr("secret"))));
  EXPECT_EQ(verdicts[100].code, "pg_value_unreadable");
  EXPECT_THAT(verdicts[100].reason, HasSubstr("U+0000"));
  EXPECT_EQ(harness_.Value("select count(*) from orders"), "99");
}

TEST_F(PostgresSinkLive, AConstraintOfTheTargetRefusesItsRowAlone) {
  Insert(orders_, 1, {Int(1), Text("a")});
  harness_.Run("alter table orders add check (note <> 'bad')");
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 2, {Int(2), Text("b")})
      .Insert(orders_, 3, {Int(3), Text("bad")})
      .Update(orders_, 4, {Int(1), Text("bad")})
      .Delete(orders_, 5, {Int(2), Value::Omitted()});
  const auto verdicts = Write(batch);
  ASSERT_EQ(verdicts.size(), 4u);
  EXPECT_EQ(verdicts[1].code, "pg_constraint_violated");
  EXPECT_EQ(verdicts[2].code, "pg_constraint_violated");
  EXPECT_EQ(verdicts[3].kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|a"));
}

TEST_F(PostgresSinkLive, ATableWithoutAKeyIsAMultiset) {
  const SchemaPtr log = TestSchema("orders", {"id:int64", "note:text"});
  DeliveryBatchBuilder batch;
  batch.Insert(log, 1, {Int(1), Text("a")})
      .Insert(log, 2, {Int(1), Text("a")})
      .Insert(log, 3, {Int(1), Value::Null()})
      .Insert(log, 4, {Int(2), Text("b")});
  Write(batch);
  DeliveryBatchBuilder more;
  more.Delete(log, 5, {Int(1), Text("a")})
      .Delete(log, 6, {Int(1), Value::Null()})
      .Update(log, 7, {Int(2), Text("c")}, {Int(2), Text("b")})
      .Update(log, 8, {Int(2), Text("d")}, {Int(2), Text("c")})
      .Insert(log, 9, {Int(3), Text("gone at once")})
      .Delete(log, 10, {Int(3), Text("gone at once")})
      .Delete(log, 11, {Int(9), Text("never there")});
  EXPECT_THAT(Write(more), Each(Field(&Verdict::kind, Kind::kApplied)));
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|a", "2|d"));
  // A row that was written before a column came is still found.
  const SchemaPtr wider = TestSchema("orders", {"id:int64", "note:text", "extra:int64"});
  const SchemaPtr narrow = TestSchema("orders", {"id:int64", "extra:int64"});
  DeliveryBatchBuilder after;
  after.Update(wider, 12, {Int(1), Text("a"), Int(5)}, {Int(1), Text("a"), Value::Null()});
  Write(after);
  EXPECT_THAT(Rows("id, note, extra"), ElementsAre("1|a|5", "2|d|NULL"));
  DeliveryBatchBuilder dropped;
  dropped.Delete(narrow, 13, {Int(2), Value::Null()}).Delete(narrow, 14, {Int(1), Int(5)});
  Write(dropped);
  EXPECT_THAT(Rows("id"), IsEmpty());
}

TEST_F(PostgresSinkLive, DeletedKeysAreRememberedOverRestartsAndForgottenInTime) {
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")}).Delete(orders_, 2, {Int(1), Value::Omitted()});
  Write(batch);
  Open();
  EXPECT_EQ(Insert(orders_, 1, {Int(1), Text("a")}).kind, Kind::kSuperseded);
  EXPECT_EQ(Update(orders_, 1, {Int(1), Value::Unchanged()}).kind, Kind::kSuperseded);
  EXPECT_THAT(Rows("id"), IsEmpty());
  harness_.Run("update tailwater.tombstones set deleted_at = now() - interval '8 days'");
  for (int i = 0; i < 64; ++i) Commit();
  EXPECT_EQ(harness_.Value("select count(*) from tailwater.tombstones"), "0");
}

TEST_F(PostgresSinkLive, AKeyOfAnyLengthIsRememberedToo) {
  const SchemaPtr named = TestSchema("orders", {"id*:text", "note:text"});
  std::string key;  // does not compress
  for (uint32_t i = 0, x = 1; i < 2'500; ++i) {
    x = x * 1'664'525 + 1'013'904'223;
    key += static_cast<char>('a' + (x >> 24) % 26);
  }
  DeliveryBatchBuilder batch;
  batch.Insert(named, 1, {Text(key), Text("a")});
  EXPECT_THAT(Write(batch), Each(Field(&Verdict::kind, Kind::kApplied)));
  DeliveryBatchBuilder gone;
  gone.Delete(named, 2, {Text(key), Value::Omitted()});
  EXPECT_THAT(Write(gone), Each(Field(&Verdict::kind, Kind::kApplied)));
  EXPECT_EQ(Insert(named, 1, {Text(key), Text("a")}).kind, Kind::kSuperseded);
}

TEST_F(PostgresSinkLive, TwoSinksShareADatabaseButNoTable) {
  Insert(orders_, 1, {Int(1), Text("a")});
  const auto other = harness_.NewSink("other");
  ASSERT_OK(other->Open());
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(2), Text("b")});
  const auto verdicts = other->Write(batch.Build());
  ASSERT_OK(verdicts);
  EXPECT_TRUE(verdicts->at(0).table_stopped);
  EXPECT_THAT(verdicts->at(0).reason, HasSubstr("pipe/copy (shop:public.orders)"));
  other->transactional()->Rollback();
  const auto outcome = other->transactional()->Commit("another log", {}, {{0, 7}});
  ASSERT_OK(outcome);
  EXPECT_EQ(*outcome, CommitOutcome::kCommitted);
  EXPECT_EQ(sink_->transactional()->StoredOffsets()->offsets, (Offsets{{0, 1}}));
}

TEST_F(PostgresSinkLive, ALostSessionIsOpenedAnewAndLosesNothing) {
  Insert(orders_, 1, {Int(1), Text("a")});
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 2, {Int(2), Text("b")});
  ASSERT_OK(sink_->Write(batch.Build()));
  Sql(harness_.server().Config("postgres"))
      .Run(
          "select pg_terminate_backend(pid) from pg_stat_activity where application_name = "
          "'tailwater pipe/copy' and datname = '" +
          harness_.database() + "'");
  const auto outcome = sink_->transactional()->Commit("log", {{0, 1}}, {{0, 2}});
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().disposition, Disposition::kRetry);
  EXPECT_EQ(sink_->transactional()->StoredOffsets()->offsets, (Offsets{{0, 1}}));
  EXPECT_THAT(Rows("id"), ElementsAre("1"));
  Write(batch);
  EXPECT_THAT(Rows("id"), ElementsAre("1", "2"));
}

TEST_F(PostgresSinkLive, ARoleWithoutRightsIsToldWhatToGrant) {
  harness_.Run(
      "do $$ begin create role poor login; exception when duplicate_object then null; end "
      "$$");
  harness_.config().server.user = "poor";
  auto poor = harness_.NewSink();
  const Status refused = poor->Open();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().disposition, Disposition::kNeedsOperator);
  EXPECT_EQ(refused.error().code, "pg_privilege_missing");
  EXPECT_THAT(refused.error().message,
              HasSubstr("CREATE SCHEMA \"tailwater\" AUTHORIZATION \"poor\""));
  harness_.Run(
      "create schema tailwater authorization poor; revoke create on schema public from "
      "public");
  ASSERT_OK(poor->Open());
  sink_ = std::move(poor);
  const Verdict stopped = Insert(orders_, 1, {Int(1), Text("a")});
  ExpectStopped(stopped, "pg_privilege_missing", "CREATE TABLE");
  harness_.Run("grant create on schema public to poor");
  EXPECT_EQ(Insert(orders_, 1, {Int(1), Text("a")}).kind, Kind::kApplied);
}

TEST_F(PostgresSinkLive, AReadOnlyServerIsNamed) {
  Insert(orders_, 1, {Int(1), Text("a")});
  harness_.Run("alter database " + harness_.database() + " set default_transaction_read_only = on");
  auto sink = harness_.NewSink();
  const Status refused = sink->Open();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, "pg_read_only");
  EXPECT_EQ(refused.error().disposition, Disposition::kNeedsOperator);
}

TEST_F(PostgresSinkLive, AMissingDatabaseAndAWrongPortAreNamed) {
  harness_.config().server.database = "no_such_database";
  Status refused = harness_.NewSink()->Open();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, "pg_database_missing");
  EXPECT_THAT(refused.error().message, HasSubstr("CREATE DATABASE"));
  harness_.config().server.port = 1;
  refused = harness_.NewSink()->Open();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().disposition, Disposition::kRetry);
  EXPECT_EQ(refused.error().code, "pg_unreachable");
}

TEST_F(PostgresSinkLive, ALockOfSomebodyElseIsWaitedForAgainAndAgain) {
  Insert(orders_, 1, {Int(1), Text("a")});
  Sql other(harness_.config().server);
  other.Run("begin; lock table orders in access exclusive mode");
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 2, {Int(2), Text("b")});
  const auto waited = sink_->Write(batch.Build());
  ASSERT_FALSE(waited.has_value());
  EXPECT_EQ(waited.error().disposition, Disposition::kRetry);
  EXPECT_EQ(waited.error().code, "pg_lock_timeout");
  sink_->transactional()->Rollback();
  other.Run("rollback");
  EXPECT_THAT(Write(batch), Each(Field(&Verdict::kind, Kind::kApplied)));
}

TEST_F(PostgresSinkLive, TriggersOfTheTargetFireOnlyWhereTheyShall) {
  Insert(orders_, 1, {Int(1), Text("a")});
  harness_.Run(
      "create function refuse() returns trigger language plpgsql as $$ begin raise 'not "
      "%', new.note; end $$; create trigger refuse before insert on orders for each row "
      "execute function refuse()");
  const Verdict refused = Insert(orders_, 2, {Int(2), Text("secret")});
  EXPECT_EQ(refused.code, "pg_trigger_refused");
  EXPECT_THAT(refused.reason, AllOf(HasSubstr("fire_triggers"), Not(HasSubstr("secret"))));
  harness_.config().fire_triggers = false;
  Open();
  EXPECT_EQ(Insert(orders_, 2, {Int(2), Text("b")}).kind, Kind::kApplied);
}

TEST_F(PostgresSinkLive, ManyTablesDoNotPileUpStages) {
  for (int i = 0; i < 70; ++i) {
    const SchemaPtr schema =
        TestSchema(fmt::format("t{}", i), {"id*:int64", fmt::format("c{}:text", i)});
    EXPECT_EQ(Insert(schema, i + 1, {Int(1), Text("a")}).kind, Kind::kApplied);
  }
  EXPECT_EQ(Insert(TestSchema("t0", {"id*:int64", "c0:text"}), 100, {Int(2), Text("b")}).kind,
            Kind::kApplied);
  EXPECT_EQ(harness_.Value("select count(*) < 10 from pg_class where relname like "
                           "'tailwater_stage_%'"),
            "t");
}

}  // namespace
}  // namespace tailwater::postgres
