// Sessions that break, stand still or meet somebody else's; settings, triggers and constraints of
// the target that would change what is written.
#include <thread>

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
using Kind = Verdict::Kind;

class PostgresSinkTrouble : public PostgresSinkTest {
 protected:
  // Runs `sql`, which answers with a row once it is time, again and again.
  void Await(const std::string& sql) {
    Sql session(harness_.config().server);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (session.Run(sql).empty()) ASSERT_LT(std::chrono::steady_clock::now(), end) << sql;
  }
  void ExpectRetry(DeliveryBatchBuilder& batch, std::string_view code) {
    const auto refused = sink_->Write(batch.Build());
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, code) << refused.error().message;
    EXPECT_EQ(refused.error().disposition, Disposition::kRetry);
    sink_->transactional()->Rollback();
  }
  void CreateTrigger(const std::string& events, const std::string& body) {
    harness_.Run("create or replace function f() returns trigger language plpgsql as $$ " + body +
                 " $$; create trigger f before " + events +
                 " on orders for each row execute function f()");
  }

  SchemaPtr orders_ = TestSchema("orders", {"id*:int64", "note:text"});
  const std::string of_sink_ =
      "application_name = 'tailwater pipe/copy' and datname = current_database()";
};

TEST_F(PostgresSinkTrouble, ASessionThatIsCutInMidCopyLosesNothing) {
  Insert(orders_, 1, {Int(-1), Text("a")});
  DeliveryBatchBuilder batch;
  const std::string large(4'000, 'x');
  for (int i = 0; i < 10'000; ++i) batch.Insert(orders_, i + 2, {Int(i), Text(large)});
  std::jthread cutter([&] {
    Await("select from pg_stat_activity where query like 'COPY%' and state = 'active' and " +
          of_sink_ + " and pg_terminate_backend(pid)");
  });
  const auto cut = sink_->Write(batch.Build());
  cutter.join();
  ASSERT_FALSE(cut.has_value());
  EXPECT_EQ(cut.error().disposition, Disposition::kRetry) << cut.error().code;
  sink_->transactional()->Rollback();
  EXPECT_THAT(Write(batch), Each(Field(&Verdict::kind, Kind::kApplied)));
  EXPECT_EQ(harness_.Value("select count(*) from orders"), "10001");
}

TEST_F(PostgresSinkTrouble, AProcessThatIsFrozenInMidCopyDoesNotHoldItsSuccessor) {
  Insert(orders_, 1, {Int(1), Text("a")});
  auto frozen = Connection::Open(harness_.config().server, Connection::Kind::kTarget,
                                 "tailwater pipe/copy", {});
  ASSERT_OK(frozen);
  ASSERT_OK((*frozen)->Query(
      "begin; create temporary table stage (a int); select from tailwater.sinks for update"));
  // Its bytes never come.
  EXPECT_FALSE((*frozen)->Query("copy stage from stdin").has_value());
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 2, {Int(2), Text("b")});
  ExpectRetry(batch, "pg_lock_timeout");
  EXPECT_THAT(Write(batch), Each(Field(&Verdict::kind, Kind::kApplied)));
  EXPECT_THAT(Rows("id"), ElementsAre("1", "2"));
}

TEST_F(PostgresSinkTrouble, ASessionOfSomebodyElseIsLeftAlone) {
  Insert(orders_, 1, {Int(1), Text("a")});
  Sql person(harness_.config().server);
  person.Run("begin; select from tailwater.sinks for update");
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 2, {Int(2), Text("b")});
  ExpectRetry(batch, "pg_lock_timeout");
  ExpectRetry(batch, "pg_lock_timeout");
  person.Run("commit");
  EXPECT_THAT(Write(batch), Each(Field(&Verdict::kind, Kind::kApplied)));
}

TEST_F(PostgresSinkTrouble, ADeadlockWithSomebodyElseEndsAndTheBatchComesAgain) {
  harness_.config().lock_timeout = std::chrono::seconds(20);
  DeliveryBatchBuilder both;
  both.Insert(orders_, 1, {Int(1), Text("a")}).Insert(orders_, 2, {Int(2), Text("a")});
  Write(both);
  Sql other(harness_.config().server);
  other.Run("set deadlock_timeout = '60s'; begin; update orders set note = 'o' where id = 2");
  std::jthread writer([&] {
    Await("select from pg_stat_activity where wait_event_type = 'Lock' and " + of_sink_);
    other.Run("update orders set note = 'o' where id = 1; commit");
  });
  DeliveryBatchBuilder batch;
  batch.Update(orders_, 3, {Int(1), Text("b")}).Update(orders_, 4, {Int(2), Text("b")});
  ExpectRetry(batch, "pg_conflict");
  writer.join();
  EXPECT_THAT(Write(batch), Each(Field(&Verdict::kind, Kind::kApplied)));
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|b", "2|b"));
}

TEST_F(PostgresSinkTrouble, AStatementThatTakesTooLongIsGivenUp) {
  Insert(orders_, 1, {Int(1), Text("a")});
  CreateTrigger("insert", "begin perform pg_sleep(30); return new; end");
  harness_.config().write_timeout = std::chrono::milliseconds(300);
  Open();
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 2, {Int(2), Text("b")});
  ExpectRetry(batch, "pg_timeout");
  Await(
      "select where not exists (select from pg_stat_activity where query like 'INSERT%' and "
      "state = 'active' and " +
      of_sink_ + ")");
  harness_.Run("drop trigger f on orders");
  EXPECT_THAT(Write(batch), Each(Field(&Verdict::kind, Kind::kApplied)));
}

TEST_F(PostgresSinkTrouble, SettingsOfTheDatabaseChangeNoValue) {
  for (const char* setting :
       {"statement_timeout = '1ms'", "lock_timeout = '1ms'", "DateStyle = 'German, DMY'",
        "IntervalStyle = 'sql_standard'", "TimeZone = 'Asia/Kolkata'", "bytea_output = 'escape'",
        "extra_float_digits = -15", "standard_conforming_strings = off", "array_nulls = off",
        "xmloption = 'document'", "search_path = 'nowhere'",
        "default_transaction_isolation = 'serializable'", "client_encoding = 'LATIN1'"}) {
    harness_.Run("alter database " + harness_.database() + " set " + setting);
  }
  if (harness_.server().version() >= 17) {
    harness_.Run("alter database " + harness_.database() + " set transaction_timeout = '1ms'");
  }
  harness_.set_sources({{"shop", "postgres", "shop"}});
  const SchemaPtr schema = TableSchema::Make(
      {"public", "orders"}, {{"id", ValueType::kInt64, "bigint", true},
                             {"x", ValueType::kOther, "xml"},
                             {"a", ValueType::kArray, "text[]"},
                             {"d", ValueType::kDate, "date"},
                             {"i", ValueType::kInterval, "interval"},
                             {"t", ValueType::kTimestampTz, "timestamp with time zone"},
                             {"b", ValueType::kBytes, "bytea"},
                             {"n", ValueType::kText, "text"}});
  std::string array;
  ArrayWriter writer(array);
  writer.AddDimension({.length = 2});
  writer.AddElement(Value::Null());
  writer.AddElement(Text("NULL"));
  const Interval interval{-14, 3, -4'500'000};
  EXPECT_EQ(Insert(schema, 1,
                   {Int(1), Value::Other("a <b/>"), Value::Array(array), Value::Date(40),
                    Value::OfInterval(&interval), Value::TimestampTz(0),
                    Value::Blob(std::string_view("\0\\'", 3)), Text("it's \\ €")})
                .kind,
            Kind::kApplied);
  EXPECT_THAT(Rows("id, x, a, d, i, t, b, n"),
              ElementsAre("1|a <b/>|{NULL,\"NULL\"}|1970-02-10|-1 years -2 mons +3 days "
                          "-00:00:04.5|1970-01-01 00:00:00+00|\\x005c27|it's \\ €"));
  harness_.Run("alter database " + harness_.database() + " reset all");
}

TEST_F(PostgresSinkTrouble, ACommitIsOnTheTargetsDisk) {
  Insert(orders_, 1, {Int(0), Text("a")});
  harness_.Run(
      "create function says() returns trigger language plpgsql as $$ begin "
      "new.note := current_setting('synchronous_commit'); return new; end $$");
  harness_.Run(
      "create trigger s before insert on orders for each row execute function says(); "
      "alter table orders enable always trigger s");
  int next = 1;
  for (const auto& [given, used] : {std::pair("off", "on"), std::pair("local", "local")}) {
    harness_.Run("alter database " + harness_.database() + " set synchronous_commit = " + given);
    Open();
    Insert(orders_, next + 1, {Int(next), Text("b")});
    EXPECT_EQ(harness_.Value("select note from orders where id = " + std::to_string(next)), used);
    ++next;
  }
}

TEST_F(PostgresSinkTrouble, ASweepWaitsForTheColumnThatItGoesBy) {
  Insert(orders_, 1, {Int(1), Text("a")});
  harness_.Run("alter table orders drop column _tailwater_version");
  const Status swept = sink_->Sweep({"shop", "public.orders", 5, true});
  ASSERT_THAT(swept, IsErrorWith("schema_incompatible"));
  EXPECT_EQ(swept.error().disposition, Disposition::kNeedsOperator);
  sink_->transactional()->Rollback();
  EXPECT_EQ(harness_.Value("select count(*) from orders"), "1");
  const size_t run = swept.error().message.find("ALTER TABLE");
  ASSERT_NE(run, std::string::npos);
  harness_.Run(swept.error().message.substr(run));
  ASSERT_OK(sink_->Sweep({"shop", "public.orders", 5, true}));
  Commit();
  EXPECT_EQ(harness_.Value("select count(*) from orders"), "0");
}

TEST_F(PostgresSinkTrouble, WhatATriggerLeavesOutInSilenceIsADeadLetter) {
  DeliveryBatchBuilder first;
  first.Insert(orders_, 1, {Int(1), Text("a")}).Insert(orders_, 2, {Int(2), Text("a")});
  Write(first);
  CreateTrigger("insert or update or delete",
                "begin if tg_op = 'DELETE' then return null; elsif new.note = 'out' then return "
                "null; end if; return new; end");
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 3, {Int(3), Text("out")})
      .Insert(orders_, 4, {Int(4), Text("in")})
      .Update(orders_, 5, {Int(1), Text("out")})
      .Delete(orders_, 6, {Int(2), Value::Omitted()});
  const auto verdicts = Write(batch);
  ASSERT_EQ(verdicts.size(), 4u);
  for (const size_t i : {0, 2, 3}) {
    EXPECT_EQ(verdicts[i].kind, Kind::kRejected) << i;
    EXPECT_EQ(verdicts[i].code, "pg_trigger_refused") << i;
    EXPECT_THAT(verdicts[i].reason, AllOf(HasSubstr("orders"), HasSubstr("fire_triggers")));
  }
  EXPECT_EQ(verdicts[1].kind, Kind::kApplied);
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|a", "2|a", "4|in"));
}

TEST_F(PostgresSinkTrouble, ATriggerLeavesOutRowsOfATableWithoutAKeyToo) {
  const SchemaPtr log = TestSchema("orders", {"id:int64", "note:text"});
  Insert(log, 1, {Int(1), Text("a")});
  CreateTrigger("insert", "begin if new.note = 'out' then return null; end if; return new; end");
  DeliveryBatchBuilder batch;
  batch.Insert(log, 2, {Int(2), Text("b")})
      .Insert(log, 3, {Int(3), Text("out")})
      .Insert(log, 4, {Int(4), Text("d")});
  const auto verdicts = Write(batch);
  ASSERT_EQ(verdicts.size(), 3u);
  EXPECT_EQ(verdicts[0].kind, Kind::kApplied);
  EXPECT_EQ(verdicts[1].code, "pg_trigger_refused");
  EXPECT_EQ(verdicts[2].kind, Kind::kApplied);
  EXPECT_THAT(Rows("id"), ElementsAre("1", "2", "4"));
}

TEST_F(PostgresSinkTrouble, ADeferredConstraintThatFailsAtTheCommitFindsItsRow) {
  DeliveryBatchBuilder first;
  first.Insert(orders_, 1, {Int(1), Text("a")}).Insert(orders_, 2, {Int(2), Text("b")});
  Write(first);
  harness_.Run("alter table orders add unique (note) deferrable initially deferred");
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 3, {Int(3), Text("c")}).Insert(orders_, 4, {Int(4), Text("a")});
  ASSERT_OK(sink_->Write(batch.Build()));
  const auto refused = sink_->transactional()->Commit("log", {{0, 1}}, {{0, 2}});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().disposition, Disposition::kRetry);
  const auto verdicts = Write(batch);
  ASSERT_EQ(verdicts.size(), 2u);
  EXPECT_EQ(verdicts[0].kind, Kind::kApplied);
  EXPECT_EQ(verdicts[1].code, "pg_unique_violated");
  EXPECT_THAT(verdicts[1].reason, HasSubstr("orders_note_key"));
  // What swaps values still goes.
  DeliveryBatchBuilder swap;
  swap.Update(orders_, 5, {Int(1), Text("b")}).Update(orders_, 6, {Int(2), Text("a")});
  EXPECT_THAT(Write(swap), Each(Field(&Verdict::kind, Kind::kApplied)));
  EXPECT_THAT(Rows("id, note"), ElementsAre("1|b", "2|a", "3|c"));
}

}  // namespace
}  // namespace tailwater::postgres
