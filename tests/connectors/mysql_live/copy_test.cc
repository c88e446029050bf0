// Tables with a key, in chunks beside the stream.
#include <atomic>
#include <random>
#include <thread>

#include "connectors/mysql_live/copy_fixture.h"
#include "mysql/described_table.h"

namespace tailwater::mysql {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CopyLiveTest : public CopyTest {};
INSTANTIATE_TEST_SUITE_P(Live, CopyLiveTest, BothFlavours(), FlavourName);

// Writers of a table (id, v), until they are told to stop: rows come, change, move and go.
class Writers {
 public:
  Writers(const MysqlConfig& config, int count, int keys) {
    for (int number = 0; number < count; ++number) {
      threads_.emplace_back([this, config, number, keys] {
        Sql sql(config);
        std::mt19937 random(static_cast<unsigned>(number));
        for (int turn = 0; !stop_; ++turn) {
          try {
            const auto key = [&] { return std::to_string(random() % static_cast<unsigned>(keys)); };
            sql.Run("start transaction");
            for (int i = 0; i < 3; ++i) {
              const std::string value = fmt::format("'{} {} {}'", number, turn, i);
              switch (random() % 4) {
                case 0:
                  sql.Run("replace into t values (" + key() + ", " + value + ")");
                  break;
                case 1:
                  sql.Run("delete from t where id = " + key());
                  break;
                case 2:
                  sql.Run("update ignore t set id = " + key() + ", v = " + value +
                          " where id = " + key());
                  break;
                default:
                  sql.Run("update t set v = " + value + " where id = " + key());
              }
            }
            sql.Run("commit");
            ++transactions_;
          } catch (const std::exception&) {  // a deadlock
            sql.Run("rollback");
          }
        }
      });
    }
  }
  ~Writers() { Stop(); }
  void Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  int transactions() const { return transactions_; }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<int> transactions_{0};
  std::vector<std::thread> threads_;
};

TEST_P(CopyLiveTest, ChunksBesideWritersEqualTheSourceAtTheEnd) {
  Run("create table t (id int primary key, v varchar(40)) engine=innodb");
  Run("insert into t with recursive s(n) as (select 0 union all select n + 1 from s where n < 399) "
      "select n, 'first' from s");
  Start();
  Writers writers(config_, 3, 500);
  auto second = OpenReader();
  std::thread beside([&] {
    for (int i = 0; i < 4; ++i) CopyInChunks(*second, Name("t"), 60);
  });
  for (int i = 0; i < 4; ++i) CopyInChunks(*reader_, Name("t"), 37);
  beside.join();
  second.reset();
  writers.Stop();
  CatchUp();
  EXPECT_GT(writers.transactions(), 20);
  EXPECT_THAT(Model("t"), ElementsAreArray(Actual("t")));
  const auto model = writer_.table(Name("t"));
  EXPECT_EQ(model.schema->fingerprint(), model.stream_fingerprint);
}

TEST_P(CopyLiveTest, AnIdleServerHoldsUpNoChunk) {
  Run("create table t (id int primary key, v varchar(40)) engine=innodb");
  Run("insert into t values (1, 'a'), (2, 'b'), (3, 'c')");
  Start();
  const auto begun = std::chrono::steady_clock::now();
  CopyInChunks(*reader_, Name("t"), 1);
  // The end of the log is in a new file, where nothing is.
  Run("flush binary logs");
  CopyInChunks(*reader_, Name("t"), 1);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(10));
  EXPECT_THAT(Model("t"), ElementsAreArray(Actual("t")));
  EXPECT_EQ(writer_.changes(), 0u);
}

TEST_P(CopyLiveTest, MaxBytesCutAChunkAndTheRestBeginsBehindIt) {
  Run("create table t (id int primary key, v varchar(400)) engine=innodb");
  Run("insert into t with recursive s(n) as (select 0 union all select n + 1 from s where n < 99) "
      "select n, repeat('x', 300) from s");
  Start();
  CopyInChunks(*reader_, Name("t"), 50, "", 3000);
  EXPECT_GT(cut_, 5);
  EXPECT_THAT(copied_, SizeIs(100));
  EXPECT_THAT(Model("t"), ElementsAreArray(Actual("t")));
}

TEST_P(CopyLiveTest, AConditionSelectsAndABadOneIsTold) {
  Run("create table t (id int primary key, v varchar(40)) engine=innodb");
  Run("insert into t values (1, 'a'), (2, 'b'), (3, 'a'), (4, 'a')");
  Start();
  CopyInChunks(*reader_, Name("t"), 2, "v = 'a' -- only these");
  EXPECT_THAT(copied_, ElementsAreArray({"1|a", "3|a", "4|a"}));
  const auto bound = reader_->NextBound(Name("t"), "colour = 1", {}, 2);
  EXPECT_THAT(bound, IsErrorWith("mysql_snapshot_condition"));
  const auto wrong = reader_->NextBound(Name("t"), "v = = 1", {}, 2);
  EXPECT_THAT(wrong, IsErrorWith("mysql_snapshot_condition"));
}

// What a key may be made of: each with values that the next one's order tells apart.
struct KeyCase {
  std::string columns;
  std::string key;
  std::vector<std::string> values;
};

TEST_P(CopyLiveTest, KeysOfAnyTypeAndOrderAreMetOnce) {
  std::vector<KeyCase> cases = {
      {"k bigint unsigned",
       "k",
       {"0", "1", "9223372036854775807", "9223372036854775808", "18446744073709551615"}},
      {"k bigint", "k", {"-9223372036854775808", "-1", "0", "9223372036854775807"}},
      {"k int(5) unsigned zerofill", "k", {"0", "7", "12345", "4294967295"}},
      {"k decimal(30,10)", "k", {"-1.5", "0.0000000001", "12345678901234567890.0000000001", "0"}},
      {"k float", "k", {"0.1", "0.2", "-1.5", "1e30", "16777216"}},
      {"k double", "k", {"0.1", "1e-300", "1.7976931348623157e308", "-0.3"}},
      {"k bit(64)", "k", {"0", "1", "18446744073709551615", "18446744073709551614"}},
      {"k year", "k", {"0", "1901", "2024", "2155"}},
      {"k date", "k", {"'0000-00-00'", "'2024-00-00'", "'2024-02-29'", "'9999-12-31'"}},
      {"k datetime(6)",
       "k",
       {"'2024-01-01 00:00:00.000001'", "'2024-01-01 00:00:00'", "'0000-00-00 00:00:00'"}},
      {"k timestamp(3)",
       "k",
       {"'2024-01-01 00:00:00.001'", "'2024-01-01 00:00:00'", "'2030-01-01 00:00:00'"}},
      {"k time(6)", "k", {"'-838:59:59'", "'-00:00:00.000001'", "'00:00:00'", "'838:59:59'"}},
      {"k enum('z','m','a','it''s','Ä\\\\b')", "k", {"'z'", "'m'", "'a'", "'it''s'", "5"}},
      {"k set('z','m','a')", "k", {"''", "'z'", "'z,a'", "'m'", "'z,m,a'"}},
      {"k varchar(20) collate utf8mb4_general_ci",
       "k",
       {"''", "'a'", "'B'", "'c'", "'ÄÖ'", "'ß'", "'😀'", "'it''s'", "'\\\\'"}},
      {"k varchar(20) collate utf8mb4_unicode_ci", "k", {"'a'", "'B'", "'ss'", "'t'", "'Z'"}},
      {"k varchar(20) collate utf8mb4_bin", "k", {"'a'", "'A'", "'b'", "'ä'", "'ss'", "'ß'"}},
      {"k char(20) character set latin1", "k", {"'a'", "'B'", "'ü'", "'€'", "'z'"}},
      {"k varchar(20) character set ucs2", "k", {"'a'", "'B'", "'ü'", "'€'", "'z'"}},
      {"k varchar(20) character set utf16le", "k", {"'a'", "'B'", "'ü'", "'€'", "'z'"}},
      {"k varchar(20) character set gbk", "k", {"'a'", "'B'", "'阿'", "'z'"}},
      {"k binary(4)", "k", {"X'00'", "X'0000000A'", "X'FF'", "'ab'", "X'61620001'"}},
      {"k varbinary(8)", "k", {"''", "X'00'", "X'0000'", "X'FF'", "X'5C27'"}},
      // Equal as a whole, and different to the index.
      {"k text collate utf8mb4_unicode_ci", "k(1)", {"'ab'", "'ß'", "'ss'", "'t'", "'Z'", "''"}},
      {"k blob", "k(2)", {"'ab'", "'ac'", "X'00'", "X'FFFF'", "''"}},
      {"k int, l varchar(9) collate utf8mb4_general_ci, m datetime",
       "k, l, m",
       {"1, 'a', '2024-01-01'", "1, 'a', '2024-01-02'", "1, 'B', '2024-01-01'",
        "2, 'a', '2024-01-01'", "-1, '', '2024-01-01'"}},
      {"k int, l int", "k desc, l", {"1, 1", "1, 2", "2, 1", "2, 2", "3, 0"}},
      {"k int, l int", "k desc, l desc", {"1, 1", "1, 2", "2, 1", "2, 2", "3, 0"}},
      {"k enum('z','m','a'), l int", "k, l", {"'z', 2", "'z', 1", "'m', 7", "'a', 0", "'a', 9"}},
      {"k varchar(20), l int", "l, k", {"'b', 1", "'a', 1", "'c', 0"}},
  };
  if (is_mariadb()) {
    cases.push_back(
        {"k uuid",
         "k",
         {"'00000000-0000-0000-0000-000000000001'", "'ffffffff-0000-1000-8000-000000000000'",
          "'00000000-ffff-1000-8000-000000000000'"}});
    cases.push_back({"k inet6", "k", {"'::'", "'::1'", "'ffff::'", "'1:2::'"}});
    cases.push_back({"k varchar(20) collate utf8mb4_uca1400_ai_ci", "k", {"'a'", "'B'", "'z'"}});
  } else {
    cases.push_back({"k varchar(20) collate utf8mb4_0900_ai_ci",
                     "k",
                     {"'a'", "'a '", "'B'", "'ss'", "'z'", "'😀'"}});
  }
  for (size_t i = 0; i < cases.size(); ++i) {
    const std::string table = "k" + std::to_string(i);
    // Columns of a key are never NULL.
    Run(
        fmt::format("create table {} ({}, v int, primary key ({})) engine=innodb default character "
                    "set utf8mb4",
                    table, cases[i].columns, cases[i].key));
    Run("set sql_mode = 'ALLOW_INVALID_DATES'");
    for (size_t v = 0; v < cases[i].values.size(); ++v)
      Run(fmt::format("insert into {} values ({}, {})", table, cases[i].values[v], v));
  }
  Start();
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(cases[i].columns + ", key " + cases[i].key);
    const std::string table = "k" + std::to_string(i);
    copied_.clear();
    CopyInChunks(*reader_, Name(table), 2);
    EXPECT_THAT(copied_, SizeIs(cases[i].values.size()));
    copied_.clear();
    // The place of a row that was read is as good as a bound.
    bool more = true;
    const auto cut = CopyChunk(*reader_, Name(table), {}, 100, more, "", 1);
    ASSERT_TRUE(cut && more);
    CopyChunk(*reader_, Name(table), *cut, 100, more);
    std::set<std::string> numbers;
    for (const std::string& row : copied_) numbers.insert(row.substr(row.rfind('|') + 1));
    EXPECT_THAT(copied_, SizeIs(cases[i].values.size()));
    EXPECT_THAT(numbers, SizeIs(cases[i].values.size()));
    if (HasFailure()) return;
  }
}

TEST_P(CopyLiveTest, ACopiedRowIsTheStreamedOne) {
  std::string columns =
      "id int primary key, a tinyint, b smallint unsigned, c mediumint, d int unsigned, e bigint, "
      "f bigint unsigned, g decimal(20,5), h float, i double, j bit(9), k bool, l year, m date, n "
      "time(3), o datetime(6), p timestamp(2) null, q char(5), r varchar(300), s tinytext, t text, "
      "u mediumtext, w longtext, x binary(5), y varbinary(300), z tinyblob, aa blob, ab "
      "mediumblob, "
      "ac longblob, ad enum('x','it''s','ä'), ae set('p','q','ü'), af varchar(20) character set "
      "latin1, ag char(5) character set ucs2, ah text character set gbk, ai json, aj point, ak int "
      "as (id + 1) stored, al int as (id + 2) virtual, am varchar(10) character set ascii, an "
      "geometry, ao int unsigned zerofill";
  if (is_mariadb()) {
    columns +=
        ", ba uuid, bb inet6, bc inet4, bd varchar(100) compressed, be text compressed, bf int "
        "invisible";
  } else {
    columns += ", ba vector(3), bb int invisible";
  }
  Run("create table t (" + columns + ") engine=innodb default character set utf8mb4");
  const std::string first =
      "1, -1, 65535, -8388608, 4294967295, -9223372036854775808, 18446744073709551615, "
      "-123456789012345.12345, 0.1, 1e-300, 257, true, 2155, '2024-02-29', '-00:00:01.5', "
      "'2024-01-01 00:00:00.000001', '2024-01-01 00:00:00.12', 'ab ', 'ä😀', 'tt', 'te', 'mt', "
      "'lt', X'6100', X'00FF', X'01', X'02', X'03', X'04', 'it''s', 'p,ü', 'ü€', 'ü', '阿', "
      "'{\"b\": [1, 2.5, \"x\"], \"a\": null}', st_geomfromtext('POINT(1 2)'), default, default, "
      "'ascii', st_geomfromtext('LINESTRING(0 0, 1 1)'), 7";
  Run("insert into t values (" + first +
      (is_mariadb() ? ", '123e4567-e89b-12d3-a456-426614174000', '::1', '10.0.0.1', 'cv', "
                      "repeat('ct', 200))"
                    : ", string_to_vector('[1,2.5,-3]'))"));
  Run("insert into t (id) values (2)");
  Run(is_mariadb() ? "update t set bf = 5" : "update t set bb = 5");
  Run("create table again like t");
  Start();
  // Written once more, for the stream.
  std::string names;
  const Rows listed = Run(fmt::format(
      "select column_name from information_schema.columns where table_schema = '{}' and table_name "
      "= 't' and column_name not in ('ak', 'al') order by ordinal_position",
      database_));
  for (int i = 0; i < listed.size(); ++i)
    names += (i == 0 ? "" : ", ") + Connection::QuoteName(listed.Text(i, 0));
  Run(fmt::format("insert into again ({0}) select {0} from t order by id", names));
  CatchUp();
  CopyInChunks(*reader_, Name("t"), 10);
  const auto streamed = writer_.table(Name("again"));
  std::vector<std::string> expected;
  for (const auto& [unused, row] : streamed.rows) expected.push_back(row);
  EXPECT_THAT(copied_, ElementsAreArray(expected));
  CopyInChunks(*reader_, Name("again"), 10);
  const auto again = writer_.table(Name("again"));
  ASSERT_NE(again.schema, nullptr);
  EXPECT_EQ(again.schema->fingerprint(), again.stream_fingerprint);
  for (const Column& column : again.schema->columns()) {
    EXPECT_EQ(column.generated, column.name == "ak" || column.name == "al") << column.name;
  }
}

TEST_P(CopyLiveTest, AUniqueIndexStandsInForAPrimaryKeyAsInTheLog) {
  Run("create table t (a int not null, n int, b int not null, unique u1 (n), unique u3 (b), unique "
      "u2 (a)) engine=innodb");
  Run("create table n (a int, unique (a)) engine=innodb");
  Run("insert into t values (1, 1, 3), (2, null, 2), (3, null, 1)");
  Start();
  Run("insert into t values (4, 4, 0)");
  CatchUp();
  CopyInChunks(*reader_, Name("t"), 1);
  const auto model = writer_.table(Name("t"));
  EXPECT_EQ(model.schema->fingerprint(), model.stream_fingerprint);
  EXPECT_EQ(model.schema->columns()[2].name, "b");
  EXPECT_TRUE(model.schema->columns()[2].key);
  EXPECT_THAT(Model("t"), ElementsAreArray(Actual("t")));
  auto tables = reader_->Tables();
  ASSERT_OK(tables);
  ASSERT_THAT(*tables, SizeIs(2));
  EXPECT_EQ((*tables)[0].table, Name("n"));
  EXPECT_TRUE((*tables)[0].schema->keyless());
  EXPECT_EQ((*tables)[1].schema->fingerprint(), model.stream_fingerprint);
  EXPECT_EQ((*tables)[1].identity, "");
}

TEST_P(CopyLiveTest, AChangedKeyATableThatIsGoneAndAMissingPrivilegeAreTold) {
  Run("create table t (id int primary key, v varchar(40)) engine=innodb");
  Run("insert into t values (1, 'a'), (2, 'b')");
  Start();
  auto bound = reader_->NextBound(Name("t"), "", {}, 1);
  ASSERT_OK(bound);
  Run("alter table t drop primary key, add primary key (v, id)");
  EXPECT_THAT(reader_->NextBound(Name("t"), "", *bound, 1),
              IsErrorWith("mysql_snapshot_key_changed"));
  EXPECT_THAT(reader_->NextBound(Name("gone"), "", {}, 1), IsErrorWith("table_gone"));
  ChunkRequest request;
  request.id = "run/gone";
  request.table = Name("gone");
  EXPECT_THAT(reader_->Read(request), IsErrorWith("table_gone"));

  const std::string user = "r" + database_;
  Run("create user " + user + "@'127.0.0.1'");
  Run("grant replication client on *.* to " + user + "@'127.0.0.1'");
  config_.user = user;
  auto poor = OpenReader();
  const auto denied = poor->NextBound(Name("t"), "", {}, 1);
  ASSERT_THAT(denied, IsErrorWith("mysql_privilege_missing"));
  EXPECT_THAT(denied.error().message,
              HasSubstr("GRANT SELECT ON `" + database_ + "`.`t` TO '" + user + "'@'127.0.0.1';"));
  // Some columns alone are not enough: a copied row would lack the others.
  Run("grant select (id) on t to " + user + "@'127.0.0.1'");
  request.id = "run/poor";
  request.table = Name("t");
  EXPECT_THAT(poor->Read(request), IsErrorWith("mysql_privilege_missing"));
  poor.reset();
  Run("drop user " + user + "@'127.0.0.1'");
}

TEST_P(CopyLiveTest, ATableThatIsAlteredOrTruncatedMeanwhileIsReadAgain) {
  Run("create table t (id int primary key, v varchar(40)) engine=innodb");
  Run("insert into t with recursive s(n) as (select 0 union all select n + 1 from s where n < 199) "
      "select n, 'first' from s");
  Start();
  std::atomic<bool> stop{false};
  std::thread alters([&] {
    Sql sql(config_);
    for (int i = 0; !stop; ++i) {
      sql.Run("alter table t add column c int default 7");
      sql.Run("alter table t drop column c");
      if (i % 5 == 4) sql.Run("truncate table t");
      if (i % 5 == 4) sql.Run("insert into t values (1, 'again')");
    }
  });
  int read = 0;
  for (int i = 0; i < 30; ++i) {
    ChunkRequest request;
    request.id = "alter/" + std::to_string(i);
    request.table = Name("t");
    auto chunk = reader_->Read(request);
    if (chunk) {
      ++read;
      for (const Change& row : chunk->rows.changes())
        EXPECT_EQ(row.after.size(), chunk->schema->columns().size());
    } else {
      EXPECT_EQ(chunk.error().disposition, Disposition::kRetry) << chunk.error().message;
    }
    EXPECT_OK(reader_->Finish(request.id));
  }
  stop = true;
  alters.join();
  EXPECT_GT(read, 5);
}

TEST_P(CopyLiveTest, TransactionsThatAreOpenOrPreparedHoldUpNothingAndComeWithTheStream) {
  Run("create table t (id int primary key, v varchar(40)) engine=innodb");
  Run("insert into t values (1, 'a')");
  Sql open(config_);
  open.Run("begin");
  open.Run("insert into t values (2, 'open')");
  Start();
  Sql prepared(config_);
  prepared.Run("xa start 'copy'");
  prepared.Run("insert into t values (3, 'prepared')");
  prepared.Run("xa end 'copy'");
  prepared.Run("xa prepare 'copy'");
  CopyInChunks(*reader_, Name("t"), 10);
  EXPECT_THAT(Model("t"), ElementsAreArray({"1|a"}));
  open.Run("commit");
  CopyInChunks(*reader_, Name("t"), 1);
  prepared.Run("xa commit 'copy'");
  EXPECT_TRUE(writer_.WaitUntil([&](ModelWriter&) { return Model("t").size() == 3; }));
  EXPECT_THAT(Model("t"), ElementsAreArray(Actual("t")));
}

TEST_P(CopyLiveTest, TablesWithoutTransactionsAreCopiedToo) {
  Run("create table t (id int primary key, v varchar(40)) engine=myisam");
  Run("insert into t with recursive s(n) as (select 0 union all select n + 1 from s where n < 199) "
      "select n, 'first' from s");
  Start();
  Run("update t set v = 'second' where id < 20");
  CopyInChunks(*reader_, Name("t"), 50);
  Run("update t set v = 'third' where id > 150");
  CatchUp();
  EXPECT_THAT(Model("t"), ElementsAreArray(Actual("t")));
}

TEST_P(CopyLiveTest, OfASystemVersionedTableTheRowsThatHoldAreCopied) {
  if (!is_mariadb()) GTEST_SKIP() << "MySQL has no such tables";
  Run("create table t (id int primary key, v int) engine=innodb with system versioning");
  Run("create table u (id int primary key, v int, s timestamp(6) generated always as row start, e "
      "timestamp(6) generated always as row end, period for system_time (s, e)) engine=innodb with "
      "system versioning");
  for (const char* table : {"t", "u"}) {
    Run(fmt::format("insert into {} (id, v) values (1, 1), (2, 1), (3, 1)", table));
    Run(fmt::format("update {} set v = 2 where id = 2", table));
    Run(fmt::format("delete from {} where id = 3", table));
  }
  Start();
  for (const char* table : {"t", "u"}) {
    Run(fmt::format("insert into {} (id, v) values (4, 4)", table));
    CatchUp();
    CopyInChunks(*reader_, Name(table), 1);
    const auto model = writer_.table(Name(table));
    ASSERT_NE(model.schema, nullptr);
    EXPECT_EQ(model.schema->fingerprint(), model.stream_fingerprint);
    Run(fmt::format("update {} set v = 5 where id = 1", table));
    Run(fmt::format("delete from {} where id = 2", table));
    CatchUp();
    EXPECT_THAT(Model(table), SizeIs(2));
  }
}

TEST(MysqlTableDescription, LabelsComeOutOfTheTypeAsTheyAre) {
  EXPECT_THAT(ParseLabels("enum('a','it''s','x\\\\y','ä,b')"),
              ElementsAreArray({"a", "it's", "x\\y", "ä,b"}));
  EXPECT_THAT(ParseLabels("set('')"), ElementsAreArray({""}));
  EXPECT_THAT(ParseLabels("int"), IsEmpty());
}

}  // namespace
}  // namespace tailwater::mysql
