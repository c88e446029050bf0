// Chunks of tables beside the stream: the same rows, the same values, in every kind of table.
#include "connectors/postgres_live/snapshot_fixture.h"

namespace tailwater::postgres {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

struct KeyCase {
  const char* name;
  const char* column;  // type and collation of the key
  const char* values;  // of a select of one column k, unique by it
};

class SnapshotKeys : public SnapshotTest, public ::testing::WithParamInterface<KeyCase> {};

TEST_P(SnapshotKeys, EveryRowOnceInChunksOfThreeAndAsTheStreamShowsIt) {
  const KeyCase& key = GetParam();
  Run("create type mood as enum ('sad', 'ok', 'happy', 'over', 'the', 'moon', 'z''s')");
  Run("create type pair as (a int, b text); create domain code as varchar(20) collate \"C\"");
  Run("create extension if not exists citext with schema public");
  Run("create collation if not exists loose (provider = icu, locale = 'und-u-ks-level2', "
      "deterministic = false)");
  Run(fmt::format("create table t (note text, k {} primary key, n int)", key.column));
  Run(fmt::format("insert into t select 'a\\b\tc' || chr(10), k, null from ({}) v(k)", key.values));
  const size_t rows = std::stoul(Value("select count(*) from t"));
  ASSERT_GE(rows, 5u);
  config_.format = ValueFormat::kBinary;
  StartWithReader();
  const auto copied = CopyInChunks("public.t", 3);
  EXPECT_EQ(copied.size(), rows);
  EXPECT_GE(chunks_read_, static_cast<int>(rows / 3));
  StartAgainIn(ValueFormat::kText);
  EXPECT_EQ(CopyInChunks("public.t", 3), copied);
  EXPECT_EQ(Sorted(copied), Sorted(StreamAgain("t", rows)));
  // Each chunk ends by its bytes: the next begins behind its last row.
  StartAgainIn(ValueFormat::kBinary);
  EXPECT_EQ(CopyInChunks("public.t", rows, "", 1), copied);
  EXPECT_OK(Stop());
}

INSTANTIATE_TEST_SUITE_P(
    Types, SnapshotKeys,
    ::testing::Values(
        KeyCase{"int8", "int8",
                "values (-9223372036854775808), (-1), (0), (7), (9223372036854775807)"},
        KeyCase{"uuid", "uuid", "select md5(i::text)::uuid from generate_series(1, 10) i"},
        KeyCase{"text", "text",
                "values ('a'), ('B'), ('''q'''), ('\\'), (''), ('ß'), (' x'), ('$1')"},
        KeyCase{"text_icu", "text collate \"und-x-icu\"",
                "values ('a'), ('B'), ('b'), ('A'), ('á'), ('-a'), ('Z'), ('z')"},
        KeyCase{"text_loose", "text collate loose",
                "values ('a'), ('B'), ('c'), ('D'), ('e'), ('F'), ('G')"},
        KeyCase{"citext", "citext", "values ('a'), ('B'), ('c'), ('D'), ('e'), ('F'), ('_')"},
        KeyCase{"bpchar", "char(4)", "values ('a'), ('ab'), ('b'), ('B'), ('abcd'), ('')"},
        KeyCase{"varchar_domain", "code", "values ('a'), ('ab'), ('b'), ('B'), ('abcd'), ('')"},
        KeyCase{"byte_char", "\"char\"", "values ('a'), ('b'), ('Z'), ('0'), ('')"},
        KeyCase{"name", "name", "values ('a'), ('b'), ('Z'), ('0'), ('x y')"},
        KeyCase{"float8", "float8",
                "values (0.1::float8), (1e-300), ('NaN'::float8), ('Infinity'::float8), "
                "('-Infinity'::float8), (1e300), "
                "(0.30000000000000004)"},
        KeyCase{"float4", "float4", "values (0.1), (0.2), ('NaN'), (16777216), (1e-30), (-0.1)"},
        KeyCase{"numeric", "numeric",
                "values (0.10), (1e-20), ('NaN'), (123456789012345678901234567890.5), (-1), (2)"},
        KeyCase{"money", "money", "values ('1'::money), ('-2.5'), ('1000000'), ('0'), ('99')"},
        KeyCase{"bool_pair", "bool[]",
                "values ('{t}'::bool[]), ('{f}'), ('{}'), ('{t,f}'), ('{NULL}')"},
        KeyCase{"date", "date",
                "values ('2026-01-01'::date), ('0044-03-15 BC'), ('infinity'), ('-infinity'), "
                "('1999-12-31')"},
        KeyCase{"timestamptz", "timestamptz",
                "values ('2026-01-01 00:00:00.000001+00'::timestamptz), ('0044-03-15 BC'), "
                "('infinity'), ('-infinity'), ('2026-01-01 00:00:00+00')"},
        KeyCase{"time", "time",
                "values ('00:00'::time), ('24:00'), ('12:00:00.000001'), ('12:00'), ('23:59')"},
        KeyCase{"timetz", "timetz",
                "values ('00:00+02'::timetz), ('00:00+01'), ('12:00-08'), ('12:00'), ('24:00+00')"},
        KeyCase{"interval", "interval",
                "values ('1 mon'::interval), ('-1 day'), ('2 years 3 mons -4 days +05:06:07.8'), "
                "('0'), ('1 hour')"},
        KeyCase{"bytea", "bytea",
                "values ('\\x'::bytea), ('\\x00'), ('\\xff'), ('\\x0001'), ('\\x5c')"},
        KeyCase{"enum", "mood", "select unnest(enum_range(null::mood))"},
        KeyCase{"composite", "pair",
                "values (row(1, 'a,b')::pair), (row(1, '\"')::pair), (row(2, null)::pair), "
                "(row(-1, '')::pair), (row(3, ')')::pair)"},
        KeyCase{"range", "int4range",
                "values ('[1,2)'::int4range), ('empty'), ('(,)'), ('[3,)'), ('(,1)')"},
        KeyCase{"inet", "inet",
                "values ('10.0.0.1/8'::inet), ('10.0.0.1'), ('::1'), ('::1/64'), ('1.1.1.1')"},
        KeyCase{"macaddr", "macaddr",
                "select ('08:00:2b:01:02:0' || i)::macaddr from generate_series(1, 6) i"},
        KeyCase{"varbit", "varbit", "values (b''), (b'0'), (b'00'), (b'1'), (b'0101')"},
        KeyCase{"bit", "bit(3)", "values (b'000'), (b'001'), (b'100'), (b'111'), (b'010')"},
        KeyCase{"jsonb", "jsonb",
                "values ('1'::jsonb), ('{\"a\": \"\\\"\"}'), ('[]'), ('null'), ('\"x\"')"},
        KeyCase{"lsn", "pg_lsn",
                "values ('0/1'::pg_lsn), ('1/0'), ('16/B374D848'), ('0/0'), ('F/F')"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(SnapshotTest, CompositeKeysGoInTheOrderOfTheirIndex) {
  Run("create collation if not exists loose (provider = icu, locale = 'und-u-ks-level2', "
      "deterministic = false)");
  Run("create extension if not exists citext with schema public");
  Run("create table t (a int, b text collate loose, c citext, d int, primary key (c, b, a))");
  Run("insert into t select i % 3, (array['x', 'Y', 'z'])[1 + i % 2], (array['k', 'L'])[1 + i / "
      "6], "
      "i from generate_series(0, 11) i");
  Run("create table alike (tenant int, id bigint, x text, primary key (tenant, id))");
  Run("insert into alike select i % 3, i, 'x' from generate_series(1, 20) i");
  Run("create table chosen (id int primary key, u text not null, v int not null); create unique "
      "index chosen_uv on chosen (v desc, u); alter table chosen replica identity using index "
      "chosen_uv; insert into chosen select i, 'u' || i, i % 4 from generate_series(1, 20) i");
  StartWithReader();
  EXPECT_EQ(CopyInChunks("public.t", 5).size(), 12u);
  EXPECT_EQ(schema_->key_columns().size(), 3u);
  EXPECT_EQ(CopyInChunks("public.alike", 3).size(), 20u);
  EXPECT_EQ(CopyInChunks("public.chosen", 3).size(), 20u);
  EXPECT_THAT(CopyInChunks("public.alike", 3, "id > 18 -- the last\n"),
              ElementsAre("read public.alike after{tenant=1, id=19, x=x}",
                          "read public.alike after{tenant=2, id=20, x=x}"));
}

TEST_F(SnapshotTest, AChunkOfWideRowsEndsEarlyAndItsRestFollows) {
  Run("create table t (id int primary key, x text)");
  Run("insert into t select i, repeat('x', 1000) from generate_series(1, 300) i");
  StartWithReader();
  EXPECT_EQ(CopyInChunks("public.t", 200, "", 20'000).size(), 300u);
  EXPECT_GE(chunks_read_, 14);
}

TEST_F(SnapshotTest, FollowsTheShapeOfThePublication) {
  if (version() < 15) GTEST_SKIP() << "no column lists or row filters before 15";
  Run("create schema \"Odd.One\"");
  Run("create table \"Odd.One\".\"t \"\"1\"\"\" (id int primary key, \"b B\" text, c int, g int "
      "generated always as (id * 2) stored)");
  Run("insert into \"Odd.One\".\"t \"\"1\"\"\" select i, 'b' || i, i from generate_series(1, 10) "
      "i");
  Run("create publication p for table \"Odd.One\".\"t \"\"1\"\"\" (id, \"b B\") where (id > 3 and "
      "id "
      "<> 7)");
  config_.publication = {"p", false};
  tables_ = Tables({"\"Odd.One\".*"});
  StartWithReader();
  const auto tables = reader_->Tables();
  ASSERT_OK(tables);
  ASSERT_EQ(tables->size(), 1u);
  const auto rows = CopyInChunks((*tables)[0].table, 2);
  EXPECT_EQ(rows.size(), 6u);
  EXPECT_EQ(rows[0], "read \"Odd.One\".\"t \"\"1\"\"\" after{id=4, b B=b4}");
  EXPECT_EQ(schema_->fingerprint(), (*tables)[0].schema->fingerprint());
}

TEST_F(SnapshotTest, GeneratedColumnsAreThereWhereTheStreamHasThem) {
  Run("create table t (id int primary key, g int generated always as (id * 2) stored, w text)");
  Run("insert into t (id) values (1), (2)");
  StartWithReader();
  EXPECT_THAT(CopyInChunks("public.t", 10), ElementsAre("read public.t after{id=1, w=NULL}",
                                                        "read public.t after{id=2, w=NULL}"));
}

TEST_F(SnapshotTest, PartitionedTablesAreReadThroughTheirRootAndOthersWithoutTheirChildren) {
  Run("create table parent (id int primary key, x text); create table child (y int, primary key "
      "(id)) inherits (parent); insert into parent values (1, 'p'); insert into child values (2, "
      "'c', 3)");
  Run("create table parts (id int, day int, primary key (day, id)) partition by range (day)");
  Run("create table parts_1 partition of parts for values from (1) to (10)");
  Run("create table parts_2 (day int not null, id int not null, primary key (day, id))");
  Run("alter table parts attach partition parts_2 for values from (10) to (20)");
  Run("insert into parts select i, i from generate_series(1, 19) i");
  if (version() < 13) {
    tables_ = Tables({"public.parent", "public.child", "public.parts_1", "public.parts_2"});
    StartWithReader();
    EXPECT_EQ(CopyInChunks("public.parts_2", 4).size(), 10u);
  } else {
    StartWithReader();
    EXPECT_EQ(CopyInChunks("public.parts", 4).size(), 19u);
    const auto tables = reader_->Tables();
    ASSERT_OK(tables);
    EXPECT_EQ(tables->size(), 3u);
  }
  EXPECT_THAT(CopyInChunks("public.parent", 4), ElementsAre("read public.parent after{id=1, x=p}"));
  EXPECT_THAT(CopyInChunks("public.child", 4),
              ElementsAre("read public.child after{id=2, x=c, y=3}"));
}

TEST_F(SnapshotTest, FortyColumnsOfManyTypesReadAsTheyAreStreamed) {
  std::string columns, values;
  const std::vector<std::pair<std::string, std::string>> types = {
      {"int2", "3"},           {"numeric(10,2)", "1.50"}, {"text", "E'a\\\\b\\t\\n\\r'"},
      {"bytea", "'\\x00ff'"},  {"timestamptz", "now()"},  {"jsonb", "'{\"a\": [1, null]}'"},
      {"int[]", "'{1,NULL}'"}, {"interval", "'1 day'"},   {"uuid", "md5('x')::uuid"},
      {"float4", "0.1"}};
  for (int i = 0; i < 40; ++i) {
    const auto& [type, value] = types[static_cast<size_t>(i) % types.size()];
    columns += fmt::format(", c{} {}", i, type);
    values += i % 7 == 6 ? std::string(", null") : ", " + value;
  }
  Run("create table t (id int primary key" + columns + ")");
  for (int i = 0; i < 5; ++i) Run(fmt::format("insert into t values ({}{})", i, values));
  StartWithReader();
  const auto copied = CopyInChunks("public.t", 2);
  EXPECT_EQ(copied.size(), 5u);
  StartAgainIn(ValueFormat::kText);
  EXPECT_EQ(CopyInChunks("public.t", 2), copied);
  EXPECT_EQ(Sorted(copied), Sorted(StreamAgain("t", 5)));
}

// Columns in binary beside columns that only the server's text tells; names that a SELECT might
// make up itself.
TEST_F(SnapshotTest, BinaryAndTextAreMixedInOneCopy) {
  Run("create type pair as (a int, b text); create type mood as enum ('sad', 'glad')");
  Run("create domain spans as int4range[]");
  const std::vector<std::vector<std::string>> columns = {
      {"bpchar(5)", "'ab'", "''"},
      {"xml", "'<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>é</a>'", "'x'"},
      {"inet", "'10.0.0.1'", "'10.0.0.0/8'"},
      {"inet[]", "'{10.0.0.1,NULL,::1/64}'", "'{}'"},
      {"pair", "row(null, null)", "row(1, 'a b')"},
      {"pair[]", "array[row(null, null)::pair, null]", "'{}'"},
      {"spans", "'{\"[1,3)\",empty}'", "'{}'"},
      {"int4range", "'empty'", "'[1,)'"},
      {"point", "'(0.1,-0)'", "'(1e300,NaN)'"},
      {"money", "'-1234.5'", "'0'"},
      {"tsvector", "'a:1 b:2'", "''"},
      {"pg_lsn", "'16/B374D848'", "'0/0'"},
      {"regclass", "'pg_class'", "0"},
      {"\"char\"", "(-61)::\"char\"", "'x'"},
      {"\"char\"[]", "'{x,NULL}'", "array[(-61)::\"char\"]"},
      {"interval", version() >= 17 ? "'infinity'" : "'1 day'",
       "'178956970 years 7 mons 2147483647 days'"},
      {"interval[]", version() >= 17 ? "'{-infinity,NULL}'" : "'{-1 mon}'", "'{}'"},
      {"aclitem[]", "'{=r/postgres}'", "'{}'"},
      {"mood", "'glad'", "'sad'"},
      {"mood[]", "'{sad,NULL}'", "'{}'"},
      {"numeric", "'NaN'", "1.50"},
      {"numeric[]", "'{1.0,NULL}'", "'{}'"},
      {"timestamptz", "'infinity'", "'0044-03-15 12:00+00 BC'"},
      {"date", "'-infinity'", "'2024-02-29'"},
      {"float4", "0.1", "'-0'"},
      {"bytea", "'\\x00ff'", "''"},
      {"jsonb", "'{\"a\": [1.50]}'", "'null'"},
      {"text", "E'\\\\N\\t\\n'", "''"},
      {"int8[]", "'[0:1]={5,6}'", "'{{1,NULL}}'"},
      {"uuid", "md5('x')::uuid", "md5('y')::uuid"},
      {"bit(5)", "'10110'", "'00000'"},
      {"timetz", "'24:00-15:59'", "'01:02:03.000004+05:30'"},
  };
  std::string list, first, second;
  for (size_t i = 0; i < columns.size(); ++i) {
    list += fmt::format(", c{} {}", i, columns[i][0]);
    first += ", " + columns[i][1];
    second += ", " + columns[i][2];
  }
  Run("create table t (id int4, \"case\" int4range, as_text date" + list +
      ", primary key (as_text, \"case\", id))");
  Run("insert into t values (10, '[2,3)', '2000-01-02'" + first + ")");
  Run("insert into t values (9, '[10,11)', '1000-01-01'" + second + ")");
  Run("insert into t values (8, '[10,11)', '2000-01-02'), (7, 'empty', 'infinity'), (6, '(,)', "
      "'0044-01-01 BC')");
  config_.format = ValueFormat::kBinary;
  StartWithReader();
  for (const size_t max_bytes : {0, 1}) {
    const auto copied = CopyInChunks("public.t", max_bytes == 0 ? 2 : 9, "", max_bytes);
    ASSERT_EQ(copied.size(), 5u);
    EXPECT_THAT(copied[0], HasSubstr("{id=6, "));
    EXPECT_THAT(copied[2], HasSubstr("{id=10, "));
    EXPECT_THAT(copied[2], HasSubstr("c4=(,), "));
    if (max_bytes != 0) break;
    StartAgainIn(ValueFormat::kText);
    EXPECT_EQ(CopyInChunks("public.t", 2), copied);
    EXPECT_EQ(Sorted(copied), Sorted(StreamAgain("t", 5)));
    StartAgainIn(ValueFormat::kBinary);
  }
}

TEST_F(SnapshotTest, MarksLieBetweenTransactionsAndAreNoMessages) {
  Run("create table t (id int primary key)");
  Run("insert into t values (1)");
  config_.messages = {"tailwater.watermark", "app"};
  StartWithReader();
  Run("insert into t values (2)");
  const ChunkRequest request = Request("public.t");
  const auto chunk = reader_->Read(request);
  ASSERT_OK(chunk);
  Run("insert into t values (3)");
  ASSERT_OK(reader_->Finish(request.id));
  ASSERT_TRUE(writer_.WaitForMark("high"));
  EXPECT_THAT(writer_.marks(), ElementsAre("low run/1 @1", "high run/1 @2"));
  EXPECT_THAT(writer_.changes(),
              ElementsAre("insert public.t after{id=2}", "insert public.t after{id=3}"));
  for (const RecordedTransaction& transaction : writer_.transactions())
    EXPECT_THAT(transaction.ordinals, ElementsAre(std::pair<uint64_t, uint32_t>(0, 0)));
  // What is durable already shows no marks again.
  EXPECT_OK(Stop());
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("insert into t values (4)");
  ASSERT_TRUE(writer_.WaitForChanges(3));
  for (const std::string& mark : writer_.marks()) EXPECT_THAT(mark, HasSubstr("run/1"));
}

// PROTOCOLS A11: a commit is in the log before anybody sees it.
TEST_F(SnapshotTest, AChunkThatMissesAStreamedCommitIsNotSound) {
  Run("create table t (id int primary key, x text); insert into t values (1, 'old')");
  StartWithReader();
  Sql admin = this->admin();
  admin.Run("alter system set synchronous_standby_names = 'nobody'");
  admin.Run("select pg_reload_conf()");
  ASSERT_TRUE(WaitForSql("select current_setting('synchronous_standby_names')", "nobody"));
  Sql writer(config_);
  writer.Run("set synchronous_commit = on");
  const std::string pid = writer.Value("select pg_backend_pid()");
  auto update =
      std::async(std::launch::async, [&] { writer.Run("update t set x = 'new' where id = 1"); });
  ASSERT_TRUE(writer_.WaitForChanges(1));  // streamed, and waits for a standby that never comes
  EXPECT_EQ(Value("select x from t"), "old");

  const ChunkRequest early = Request("public.t");
  const auto chunk = reader_->Read(early);
  ASSERT_OK(chunk);
  EXPECT_EQ(Describe(chunk->rows.changes()[0]), "read public.t after{id=1, x=old}");
  ASSERT_OK(reader_->Finish(early.id));
  ASSERT_TRUE(writer_.WaitForMark("high"));
  EXPECT_THAT(writer_.marks(), ElementsAre("low run/1 @1", "high run/1 unsound @1"));

  admin.Run("alter system reset synchronous_standby_names");
  admin.Run("select pg_reload_conf()");
  update.get();
  const ChunkRequest late = Request("public.t");
  const auto again = reader_->Read(late);
  ASSERT_OK(again);
  EXPECT_EQ(Describe(again->rows.changes()[0]), "read public.t after{id=1, x=new}");
  ASSERT_OK(reader_->Finish(late.id));
  EXPECT_TRUE(writer_.WaitForMark("high run/2 @1"));
}

TEST_F(SnapshotTest, SettlingNamesWhomItWaitsForAndIgnoresOtherDatabases) {
  Run("create table t (id int primary key)");
  StartWithReader();
  Sql other(server_.Config("postgres"));
  other.Run("begin; select txid_current()");
  Sql open(config_);
  const std::string pid = open.Value("select pg_backend_pid()");
  open.Run("begin; insert into t values (1)");
  Run("begin; insert into t values (2); prepare transaction 'p" + database_ + "'");
  std::atomic<int> told = 0;
  std::string text;
  std::mutex mutex;
  auto settled = std::async(std::launch::async, [&] {
    return reader_->Settle([&](const std::string& waiting) {
      std::lock_guard lock(mutex);
      text = waiting;
      ++told;
    });
  });
  while (told == 0) std::this_thread::yield();
  {
    std::lock_guard lock(mutex);
    EXPECT_THAT(text, AllOf(HasSubstr("pid " + pid + " (open for "), HasSubstr("prepared"),
                            HasSubstr("insert into t values (1)")));
  }
  open.Run("commit");
  const int before = told;
  while (told == before) std::this_thread::yield();
  {
    std::lock_guard lock(mutex);
    EXPECT_THAT(text, AllOf(Not(HasSubstr("pid " + pid)), HasSubstr("prepared transaction")));
  }
  Run("rollback prepared 'p" + database_ + "'");
  EXPECT_OK(settled.get());
  other.Run("rollback");

  open.Run("begin; insert into t values (3)");
  told = 0;
  settled = std::async(std::launch::async,
                       [&] { return reader_->Settle([&](const std::string&) { ++told; }); });
  while (told == 0) std::this_thread::yield();
  reader_stop_.request_stop();
  EXPECT_THAT(settled.get(), IsErrorWith("stopped"));
}

TEST_F(SnapshotTest, SaysWhichPrivilegeIsMissingAndNeverReadsLessThanAll) {
  Run("create schema hidden; create table hidden.t (id int primary key); insert into hidden.t "
      "values (1)");
  Run("create table guarded (id int primary key); insert into guarded values (1); alter table "
      "guarded enable row level security");
  const std::string role = "reader_" + database_;
  Run(fmt::format("create role {0} login replication; grant select on guarded to {0}", role));
  Run("create publication p for table hidden.t, guarded");
  if (version() < 14) {
    Run("create table tailwater_watermarks (reader int primary key, mark text not null); grant "
        "select, insert, update on tailwater_watermarks to " +
        role + "; alter publication p add table tailwater_watermarks");
  }
  config_.publication = {"p", false};
  config_.user = role;
  tables_ = Tables({"hidden.t", "public.guarded"});
  StartWithReader();
  auto chunk = reader_->Read(Request("hidden.t"));
  ASSERT_THAT(chunk, IsErrorWith("pg_privilege_missing"));
  EXPECT_EQ(chunk.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(chunk.error().message, AllOf(HasSubstr("GRANT USAGE ON SCHEMA \"hidden\" TO " + role),
                                           HasSubstr("GRANT SELECT ON hidden.t TO " + role)));
  chunk = reader_->Read(Request("public.guarded"));
  ASSERT_THAT(chunk, IsErrorWith("pg_privilege_missing"));
  EXPECT_THAT(chunk.error().message, HasSubstr("ALTER ROLE " + role + " BYPASSRLS"));
  Run(fmt::format("grant usage on schema hidden to {0}; grant select on hidden.t to {0}", role));
  EXPECT_EQ(CopyInChunks("hidden.t", 5).size(), 1u);
  reader_.reset();
  EXPECT_OK(Stop());
  Run(fmt::format("drop owned by {0}; drop role {0}", role));
}

TEST_F(SnapshotTest, OtherTroublesOfATableHaveTheirNames) {
  Run("create table t (id int primary key, x text); insert into t values (1, 'a'), (2, 'b'), (3, "
      "'c')");
  StartWithReader();
  EXPECT_THAT(reader_->Read(Request("public.nowhere")), IsErrorWith("table_gone"));
  for (const char* where : {"nothing = 1", "id = ", "id = 'x'", "id = 1); drop table t; --"}) {
    const auto chunk = reader_->Read(Request("public.t", where));
    ASSERT_THAT(chunk, IsErrorWith("pg_snapshot_condition")) << where;
    EXPECT_EQ(chunk.error().disposition, Disposition::kNeedsOperator);
    EXPECT_THAT(reader_->NextBound("public.t", where, "", 2), IsErrorWith("pg_snapshot_condition"));
  }
  const auto bound = reader_->NextBound("public.t", "", "", 2);
  ASSERT_OK(bound);
  // A migration holds the table: not for long, and it is told.
  Sql migration(config_);
  migration.Run("begin; lock table t in access exclusive mode");
  EXPECT_THAT(reader_->Read(Request("public.t")), IsErrorWith("pg_lock_timeout"));
  migration.Run("alter table t drop constraint t_pkey; alter table t add primary key (x); commit");
  ChunkRequest request = Request("public.t");
  request.after = *bound;
  EXPECT_THAT(reader_->Read(request), IsErrorWith("pg_snapshot_key_changed"));
  EXPECT_EQ(CopyInChunks("public.t", 2).size(), 3u) << "the session goes on after an error";
}

// A truncated table is empty to every snapshot, older ones too.
TEST_F(SnapshotTest, ATruncateThatIsUnderWayIsWaitedForBeforeTheSnapshot) {
  Run("create table t (id int primary key); insert into t values (1)");
  StartWithReader();
  Sql other(config_);
  other.Run("begin; truncate t; insert into t values (2)");
  auto chunk = std::async(std::launch::async, [&] { return reader_->Read(Request("public.t")); });
  ASSERT_TRUE(
      WaitForSql("select count(*) > 0 from pg_locks where not granted and mode = "
                 "'AccessShareLock' and database = (select oid from pg_database where "
                 "datname = current_database())"));
  other.Run("commit");
  const auto read = chunk.get();
  ASSERT_OK(read);
  ASSERT_EQ(read->rows.changes().size(), 1u);
  EXPECT_EQ(Describe(read->rows.changes()[0]), "read public.t after{id=2}");
}

TEST_F(SnapshotTest, NewTablesAreTakenIntoOurPublication) {
  Run("create table t (id int primary key)");
  StartWithReader();
  Run("create table later (id int primary key); insert into later values (1)");
  Run("create table bare (id int)");
  const auto tables = reader_->Tables();
  ASSERT_OK(tables);
  std::vector<std::string> names;
  for (const SnapshotTable& table : *tables) names.push_back(table.table);
  EXPECT_THAT(names, ElementsAre("public.later", "public.t"));
  ASSERT_OK(reader_->Settle(nullptr));
  Run("insert into later values (2)");
  EXPECT_TRUE(writer_.WaitForChanges(1));
  EXPECT_EQ(CopyInChunks("public.later", 10).size(), 2u);
  Run("analyze later");
  const auto again = reader_->Tables();
  ASSERT_OK(again);
  EXPECT_EQ((*again)[0].rows, 2u);
  EXPECT_GT((*again)[0].bytes.value_or(0), 0u);
}

TEST_F(SnapshotTest, MarksMayBeRowsOfATable) {
  Run("create table t (id int primary key); insert into t values (1), (2)");
  config_.watermark_table = "public.marks";
  StartWithReader();
  EXPECT_EQ(CopyInChunks("public.t", 1).size(), 2u);
  EXPECT_THAT(writer_.changes(), IsEmpty());
  EXPECT_EQ(Value("select count(*) from marks"), "1");
  const auto tables = reader_->Tables();
  ASSERT_OK(tables);
  EXPECT_EQ(tables->size(), 1u) << "public.* does not take it along";
}

TEST_F(SnapshotTest, AMarkTableThatWeMayNotMakeIsAskedFor) {
  Run("create table t (id int primary key); insert into t values (1)");
  Run("create schema marks");
  const std::string role = "reader_" + database_;
  Run(fmt::format("create role {0} login replication; grant select on t to {0}", role));
  Run("create publication p for table t");
  config_.publication = {"p", false};
  config_.user = role;
  config_.watermark_table = "marks.t";
  Start();
  ASSERT_TRUE(WaitForStreaming());
  auto opened = source_->OpenSnapshotReader({});
  ASSERT_THAT(opened, IsErrorWith("pg_watermark_table"));
  EXPECT_EQ(opened.error().disposition, Disposition::kNeedsOperator);
  // What it says is what helps.
  const std::string& message = opened.error().message;
  const size_t from = message.find("CREATE TABLE"),
               to = message.find(" (", message.find("ALTER PUBLICATION"));
  ASSERT_NE(from, std::string::npos) << message;
  Run(message.substr(from, to - from));
  OpenReader();
  EXPECT_EQ(CopyInChunks("public.t", 5).size(), 1u);
  reader_.reset();
  EXPECT_OK(Stop());
  Run(fmt::format("drop owned by {0}; drop role {0}", role));
}

}  // namespace
}  // namespace tailwater::postgres
