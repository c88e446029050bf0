// What the sink does when a table of the source changes its columns, by policy; and with tables
// that were there before it.
#include "connectors/postgres_sink_live/postgres_sink_harness.h"
#include "support/short_values.h"
#include "support/topic_feeder.h"

namespace tailwater::postgres {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using Kind = Verdict::Kind;

class PostgresSchemaChanges : public PostgresSinkTest {
 protected:
  SchemaPtr orders_ = TestSchema("orders", {"id*:int64", "note:text"});
  SchemaPtr wider_ = TestSchema("orders", {"id*:int64", "note:text", "extra:int64"});
  SchemaPtr narrow_ = TestSchema("orders", {"id*:int64"});
  SchemaPtr retyped_ = TestSchema("orders", {"id*:int64", "note:int64"});
};

TEST_F(PostgresSchemaChanges, AColumnThatIsGoneStaysAndIsNullFromThenOn) {
  Insert(orders_, 1, {Int(1), Text("a")});
  Insert(orders_, 2, {Int(2), Text("b")});
  EXPECT_EQ(Update(narrow_, 3, {Int(1)}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|NULL", "2|b"));
}

TEST_F(PostgresSchemaChanges, ALateRowOfTheOldSchemaErasesNothing) {
  Insert(orders_, 1, {Int(1), Text("a")});
  Insert(wider_, 5, {Int(2), Text("b"), Int(7)});
  EXPECT_EQ(Update(wider_, 8, {Int(1), Text("c"), Int(9)}).kind, Kind::kApplied);
  EXPECT_EQ(Update(orders_, 3, {Int(1), Text("late")}).kind, Kind::kSuperseded);
  EXPECT_EQ(Insert(orders_, 4, {Int(3), Text("late")}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note, extra"), ElementsAre("1|c|9", "2|b|7", "3|late|NULL"));
  Policy(SchemaChanges::kApply);  // after a restart too
  Insert(wider_, 9, {Int(4), Text("d"), Int(1)});
  const SchemaPtr older = TestSchema("orders", {"id*:int64", "ancient:bool"});
  EXPECT_EQ(Insert(older, 2, {Int(5), Value::Bool(true)}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note, extra"),
              ElementsAre("1|c|9", "2|b|7", "3|late|NULL", "4|d|1", "5|NULL|NULL"));
}

// A large value that did not change is not in the log: a new column's old rows never held it.
TEST_F(PostgresSchemaChanges, AnUnchangedValueOfANewColumnHasNoBase) {
  const SchemaPtr renamed = TestSchema("orders", {"id*:int64", "text:text", "n:int64"});
  const SchemaPtr before = TestSchema("orders", {"id*:int64", "note:text", "n:int64"});
  Insert(before, 1, {Int(1), Text("large"), Int(1)});
  EXPECT_EQ(Update(renamed, 2, {Int(1), Value::Unchanged(), Int(2)}).code, kBaseMissing);
  EXPECT_EQ(Update(renamed, 3, {Int(1), Text("large"), Int(3)}).kind, Kind::kApplied);
  EXPECT_EQ(Update(renamed, 4, {Int(1), Value::Unchanged(), Int(4)}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, text, n, note"), ElementsAre("1|large|4|NULL"));
}

TEST_F(PostgresSchemaChanges, AColumnThatComesBackShowsNothingOfTheOldOne) {
  Insert(orders_, 1, {Int(1), Text("old")});
  Update(narrow_, 2, {Int(2)});
  DeliveryBatchBuilder batch;
  batch.Add({.operation = Operation::kSchema, .schema = orders_.get(), .version = 3})
      .Insert(orders_, 4, {Int(3), Text("new")});
  EXPECT_THAT(Write(batch), Each(Field(&Verdict::kind, Kind::kApplied)));
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|NULL", "2|NULL", "3|new"));
}

TEST_F(PostgresSchemaChanges, AnotherTypeStopsTheTableUntilItIsMade) {
  const SchemaPtr flag = TestSchema("orders", {"id*:int64", "note:bool"});
  Insert(retyped_, 1, {Int(1), Int(1)});
  ExpectStopped(Insert(flag, 2, {Int(2), Value::Bool(false)}), "schema_incompatible",
                "ALTER TABLE \"public\".\"orders\" ALTER COLUMN \"note\" TYPE boolean USING "
                "\"note\"::text::boolean");
  harness_.Run("alter table orders alter note type boolean using note::text::boolean");
  EXPECT_EQ(Insert(flag, 2, {Int(2), Value::Bool(false)}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|t", "2|f"));
}

// A text takes every value, and what was there stays as it is.
TEST_F(PostgresSchemaChanges, ATextTakesNumbersToo) {
  Insert(orders_, 1, {Int(1), Text("a")});
  EXPECT_EQ(Insert(retyped_, 2, {Int(2), Int(5)}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|a", "2|5"));
}

TEST_F(PostgresSchemaChanges, AWiderTypeIsMadeByItself) {
  harness_.set_sources({{"shop", "postgres", "shop"}});
  const auto table = [](const char* type, const char* length) {
    return TableSchema::Make({"public", "orders"}, {{"id", ValueType::kInt64, type, true},
                                                    {"note", ValueType::kText, length}});
  };
  const SchemaPtr narrow = table("integer", "character varying(3)");
  const SchemaPtr wide = table("bigint", "character varying(9)");
  Insert(narrow, 1, {Int(1), Text("abc")});
  DeliveryBatchBuilder batch;
  batch.Update(narrow, 2, {Int(1), Text("abd")})
      .Insert(wide, 3, {Int(5'000'000'000), Text("abcdefghi")})
      .Insert(narrow, 2, {Int(2), Text("x")});
  EXPECT_THAT(Write(batch), Each(Field(&Verdict::kind, Kind::kApplied)));
  EXPECT_THAT(Rows("id, note, pg_typeof(id)"),
              ElementsAre("1|abd|bigint", "2|x|bigint", "5000000000|abcdefghi|bigint"));
}

TEST_F(PostgresSchemaChanges, SeesWhatAPersonAltersWhileItRuns) {
  Insert(orders_, 1, {Int(1), Text("a")});
  harness_.Run("alter table orders drop column note");
  EXPECT_EQ(Insert(orders_, 2, {Int(2), Text("b")}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|NULL", "2|b"));
  harness_.Run("drop table orders");
  EXPECT_EQ(Insert(orders_, 3, {Int(3), Text("c")}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note"), ElementsAre("3|c"));
}

TEST_F(PostgresSchemaChanges, AnotherKeyStopsTheTableUntilItIsDropped) {
  const SchemaPtr rekeyed = TestSchema("orders", {"id:int64", "note*:text"});
  Insert(orders_, 1, {Int(1), Text("a")});
  ExpectStopped(Insert(rekeyed, 3, {Int(2), Text("b")}), "schema_incompatible",
                "DROP TABLE \"public\".\"orders\"");
  harness_.Run("drop table orders");
  // A late row of the old layout must not make the table as it was.
  EXPECT_EQ(Insert(orders_, 2, {Int(3), Text("c")}).code, "schema_outdated");
  EXPECT_EQ(Insert(rekeyed, 3, {Int(2), Text("b")}).kind, Kind::kApplied);
  EXPECT_EQ(Insert(orders_, 2, {Int(3), Text("c")}).code, "schema_outdated");
  EXPECT_THAT(Rows("id, note"), ElementsAre("2|b"));
}

TEST_F(PostgresSchemaChanges, IgnoreLeavesColumnsOutAndRefusesOtherTypesOneByOne) {
  Policy(SchemaChanges::kIgnore);
  Insert(orders_, 1, {Int(1), Text("a")});
  EXPECT_EQ(Insert(wider_, 2, {Int(2), Text("b"), Int(7)}).kind, Kind::kApplied);
  EXPECT_EQ(Update(wider_, 3, {Int(2), Value::Unchanged(), Int(8)}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|a", "2|b"));
  EXPECT_EQ(harness_.metrics().Value("tailwater_sink_left_out_columns_total"), 2);
  const Verdict refused = Insert(retyped_, 4, {Int(3), Int(5)});
  EXPECT_EQ(refused.kind, Kind::kApplied) << "a text takes it";
  harness_.Run("alter table orders alter note type bytea using null");
  EXPECT_EQ(Insert(retyped_, 5, {Int(3), Int(5)}).code, "schema_incompatible");
}

TEST_F(PostgresSchemaChanges, HaltStopsForEveryDifferenceUntilItIsMade) {
  Policy(SchemaChanges::kHalt);
  EXPECT_EQ(Insert(orders_, 1, {Int(1), Text("a")}).kind, Kind::kApplied) << "the first use";
  ExpectStopped(Insert(wider_, 2, {Int(2), Text("b"), Int(7)}), "schema_change_halted",
                "ALTER TABLE \"public\".\"orders\" ADD COLUMN \"extra\" bigint");
  harness_.Run("alter table orders add column extra bigint");
  EXPECT_EQ(Insert(wider_, 2, {Int(2), Text("b"), Int(7)}).kind, Kind::kApplied);
  ExpectStopped(Insert(orders_, 3, {Int(3), Text("c")}), "schema_change_halted",
                "ALTER TABLE \"public\".\"orders\" DROP COLUMN \"extra\"");
  harness_.Run("alter table orders drop column extra");
  EXPECT_EQ(Insert(orders_, 3, {Int(3), Text("c")}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|a", "2|b", "3|c"));
}

TEST_F(PostgresSchemaChanges, AColumnOfSomebodyElseIsLeftAlone) {
  Insert(orders_, 1, {Int(1), Text("a")});
  harness_.Run("alter table orders add column mine text; update orders set mine = 'kept'");
  Insert(wider_, 2, {Int(2), Text("b"), Int(7)});
  Update(narrow_, 3, {Int(1)});
  EXPECT_THAT(Rows("id, note, mine"), ElementsAre("1|NULL|kept", "2|b|NULL"));
}

TEST_F(PostgresSchemaChanges, ATableThatIsThereIsTakenOnceEveryDifferenceIsGone) {
  harness_.Run(
      "create schema reports; create table reports.o (id bigint, note integer, must integer not "
      "null, email text unique); insert into reports.o values (1, 2, 3, 'kept')");
  harness_.options().table = "reports.o";
  const Verdict stopped = Insert(wider_, 1, {Int(1), Text("a"), Int(2)});
  ExpectStopped(stopped, "schema_incompatible", "column 'extra' (bigint) is missing");
  for (const char* part :
       {"column 'note' is text, but holds integer",
        "ALTER TABLE \"reports\".\"o\" ALTER COLUMN \"note\" TYPE text",
        "ALTER TABLE \"reports\".\"o\" ADD COLUMN \"extra\" bigint",
        "CREATE UNIQUE INDEX ON \"reports\".\"o\" (\"id\")",
        "ADD COLUMN _tailwater_version bigint NOT NULL DEFAULT 0",
        "ALTER COLUMN \"must\" DROP NOT NULL",
        "DROP CONSTRAINT \"o_email_key\", ADD CONSTRAINT \"o_email_key\" UNIQUE (\"email\") "
        "DEFERRABLE INITIALLY DEFERRED"}) {
    EXPECT_THAT(stopped.reason, HasSubstr(part));
  }
  // What it says to run is what it takes.
  const std::string start = "Run in the target: ";
  const size_t begin = stopped.reason.find(start) + start.size();
  harness_.Run(stopped.reason.substr(begin, stopped.reason.find("then it goes on") - begin));
  EXPECT_EQ(Insert(wider_, 1, {Int(1), Text("a"), Int(2)}).kind, Kind::kApplied);
  EXPECT_THAT(harness_.Query("select id, note, must, email, extra from reports.o"),
              ElementsAre("1|a|3|kept|2"));
  ASSERT_OK(sink_->Sweep({"shop", "public.orders", 5, true}));
  Commit();
  EXPECT_EQ(harness_.Value("select count(*) from reports.o"), "0");
}

TEST_F(PostgresSchemaChanges, AnIdentityOfTheTargetGivesWay) {
  harness_.Run(
      "create table orders (id bigint primary key, note text, extra bigint generated always as "
      "identity, _tailwater_version bigint not null default 0)");
  const std::string sql =
      "ALTER TABLE \"public\".\"orders\" ALTER COLUMN \"extra\" SET GENERATED BY DEFAULT";
  ExpectStopped(Insert(wider_, 1, {Int(2), Text("a"), Int(99)}), "schema_incompatible", sql);
  harness_.Run(sql);
  EXPECT_EQ(Insert(wider_, 1, {Int(2), Text("a"), Int(99)}).kind, Kind::kApplied);
  EXPECT_EQ(Update(wider_, 2, {Int(2), Text("a"), Int(98)}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, extra"), ElementsAre("2|98"));
}

TEST_F(PostgresSchemaChanges, WhatRowsOfTheTargetRefuseIsNoFaultOfTheChangeAtHand) {
  Insert(wider_, 1, {Int(1), Text("a"), Int(1)});
  Insert(orders_, 2, {Int(2), Text("b")});
  harness_.Run("alter table orders add constraint must check (extra is not null) not valid");
  // The column comes back: rows that held a value of the old one are to lose it.
  DeliveryBatchBuilder batch;
  batch.Add({.operation = Operation::kSchema, .schema = wider_.get(), .version = 3})
      .Insert(wider_, 4, {Int(3), Text("c"), Int(3)});
  ExpectStopped(Write(batch).at(1), "schema_incompatible", "must");
  harness_.Run("alter table orders drop constraint must");
  EXPECT_THAT(Write(batch), Each(Field(&Verdict::kind, Kind::kApplied)));
  EXPECT_THAT(Rows("id, extra"), ElementsAre("1|NULL", "2|NULL", "3|3"));
}

TEST_F(PostgresSchemaChanges, AViewIsNoTarget) {
  harness_.Run("create view orders as select 1::bigint as id, ''::text as note");
  ExpectStopped(Insert(orders_, 1, {Int(1), Text("a")}), "schema_incompatible", "not a table");
}

TEST_F(PostgresSchemaChanges, AColumnThatTheTargetComputesIsLeftToIt) {
  harness_.Run(
      "create table orders (id bigint primary key, note text, extra bigint generated always as (id "
      "* 2) stored, _tailwater_version bigint not null default 0)");
  EXPECT_EQ(Insert(wider_, 1, {Int(2), Text("a"), Int(99)}).kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note, extra"), ElementsAre("2|a|4"));
}

}  // namespace
}  // namespace tailwater::postgres
