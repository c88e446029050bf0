// Every type of the server, through the stream, on a server whose own settings would spoil the
// text.
#include "connectors/postgres_live/live_fixture.h"
#include "postgres/postgres_tools.h"

namespace tailwater::postgres {
namespace {

struct TypeCase {
  const char* type;
  const char* literal;  // as SQL
  ValueType value_type;
  const char* readable;  // as AppendReadable() prints it
  int since = 12;
};

const TypeCase kCases[] = {
    {"bool", "true", ValueType::kBool, "true"},
    {"int2", "'-32768'", ValueType::kInt64, "-32768"},
    {"int4", "2147483647", ValueType::kInt64, "2147483647"},
    {"int8", "'-9223372036854775808'", ValueType::kInt64, "-9223372036854775808"},
    {"oid", "4294967295", ValueType::kInt64, "4294967295"},
    {"float4", "'0.1'", ValueType::kFloat64, nullptr},
    {"float8", "'0.1'", ValueType::kFloat64, nullptr},
    {"float8", "'NaN'", ValueType::kFloat64, nullptr},
    {"float8", "'-Infinity'", ValueType::kFloat64, nullptr},
    {"float8", "'5e-324'", ValueType::kFloat64, nullptr},
    {"numeric", "'-0.0001'", ValueType::kDecimal, "-0.0001"},
    {"numeric", "'NaN'", ValueType::kDecimal, "NaN"},
    {"numeric", "'-Infinity'", ValueType::kDecimal, "-Infinity", 14},
    {"numeric(12,2)", "'9.5'", ValueType::kDecimal, "9.50"},
    {"text", "E'a\\nb\\t\\\\ \\u00e9 \\U0001F600'", ValueType::kText, "a\nb\t\\ é 😀"},
    {"varchar(5)", "'abc'", ValueType::kText, "abc"},
    {"bpchar(5)", "'abc'", ValueType::kText, "abc  "},
    {"name", "'abc'", ValueType::kText, "abc"},
    {"\"char\"", "'x'", ValueType::kText, "x"},
    {"bytea", "'\\x00ff10'", ValueType::kBytes, "\\x00ff10"},
    {"date", "'2024-02-29'", ValueType::kDate, "2024-02-29"},
    {"date", "'infinity'", ValueType::kOther, "infinity"},
    {"date", "'0044-03-15 BC'", ValueType::kOther, "0044-03-15 BC"},
    {"time", "'24:00:00'", ValueType::kTime, "24:00:00"},
    {"time", "'04:05:06.789'", ValueType::kTime, nullptr},
    {"timetz", "'04:05:06.789+15:59'", ValueType::kOther, "04:05:06.789+15:59"},
    {"timestamp", "'2024-02-29 12:30:00.5'", ValueType::kTimestamp, nullptr},
    {"timestamp", "'-infinity'", ValueType::kOther, "-infinity"},
    {"timestamptz", "'2024-02-29 12:30:00.5+02'", ValueType::kTimestampTz, nullptr},
    {"timestamptz", "'infinity'", ValueType::kOther, "infinity"},
    {"interval", "'1 year 2 mons 3 days 04:05:06.7'", ValueType::kInterval, nullptr},
    {"uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", ValueType::kUuid,
     "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
    {"json", "'{\"a\": 1,  \"a\": 1e400}'", ValueType::kJson, "{\"a\": 1,  \"a\": 1e400}"},
    {"jsonb", "'{\"b\": 1.50}'", ValueType::kJson, "{\"b\": 1.50}"},
    {"int4[]", "'{1,NULL,3}'", ValueType::kArray, "{1,NULL,3}"},
    {"text[]", "'{\"NULL\",NULL,\"a,b\",\"q\\\"\",\"\"}'", ValueType::kArray, nullptr},
    {"int4[]", "'[0:1]={7,8}'", ValueType::kArray, nullptr},
    {"public.mood", "'glad'", ValueType::kEnum, "glad"},
    {"public.mood[]", "'{sad,NULL}'", ValueType::kArray, nullptr},
    {"public.cents", "'12.50'", ValueType::kDecimal, "12.50"},
    {"public.pair", "row(1, 'a b')", ValueType::kOther, "(1,\"a b\")"},
    {"money", "'-1234.5'", ValueType::kOther, nullptr},
    {"inet", "'::1/64'", ValueType::kOther, "::1/64"},
    {"cidr", "'10.0.0.0/8'", ValueType::kOther, "10.0.0.0/8"},
    {"macaddr", "'08:00:2b:01:02:03'", ValueType::kOther, "08:00:2b:01:02:03"},
    {"macaddr8", "'08:00:2b:01:02:03:04:05'", ValueType::kOther, "08:00:2b:01:02:03:04:05"},
    {"bit(5)", "B'10110'", ValueType::kOther, "10110"},
    {"varbit", "B'101'", ValueType::kOther, "101"},
    {"point", "'(1,2)'", ValueType::kOther, "(1,2)"},
    {"circle", "'<(0,0),5>'", ValueType::kOther, "<(0,0),5>"},
    {"box[]", "'{(1,1),(0,0);(2,2),(1,1)}'", ValueType::kArray, nullptr},
    {"tsvector", "'a:1 b:2'", ValueType::kOther, "'a':1 'b':2"},
    {"int4range", "'(,5]'", ValueType::kOther, "(,6)"},
    {"tstzrange", "'empty'", ValueType::kOther, "empty"},
    {"int4multirange", "'{[1,2),[5,6)}'", ValueType::kOther, "{[1,2),[5,6)}", 14},
    {"pg_lsn", "'16/B374D848'", ValueType::kOther, "16/B374D848"},
    {"xml", "'<a>1</a>'", ValueType::kText, "<a>1</a>"},
    {"int2vector", "'1 2'", ValueType::kOther, "1 2"},
};

class AllTypesTest : public LiveTest {
 protected:
  AllTypesTest() {
    Run("create type public.mood as enum ('sad', 'glad'); create domain public.cents as "
        "numeric(8,2); create type public.pair as (a int, b text)");
    for (const char* setting :
         {"DateStyle = 'SQL, DMY'", "TimeZone = 'America/New_York'", "bytea_output = 'escape'",
          "IntervalStyle = 'sql_standard'", "extra_float_digits = 0"})
      Run("alter database " + database_ + " set " + setting);
    for (const TypeCase& c : kCases)
      if (c.since <= version()) cases_.push_back(&c);
    std::string columns, values;
    for (size_t i = 0; i < cases_.size(); ++i) {
      columns += fmt::format(", c{} {}", i, cases_[i]->type);
      values += fmt::format(", {}::{}", cases_[i]->literal, cases_[i]->type);
    }
    create_ = "create table t (id int primary key" + columns + ")";
    insert_ = "insert into t select 1" + values;
  }
  std::vector<const TypeCase*> cases_;
  std::string create_, insert_;
};

TEST_F(AllTypesTest, ReadsEachAsWhatItIs) {
  Run(create_);
  std::vector<std::pair<ValueType, std::string>> values;
  writer_.inspect = [&](const Change& change) {
    values.clear();
    for (const tailwater::Value& value : change.after) {
      std::string text;
      AppendReadable(value, text);
      values.emplace_back(value.type(), text);
    }
  };
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run(insert_);
  ASSERT_TRUE(writer_.WaitForChanges(1));
  EXPECT_OK(Stop());
  ASSERT_EQ(values.size(), cases_.size() + 1);
  for (size_t i = 0; i < cases_.size(); ++i) {
    const TypeCase& c = *cases_[i];
    EXPECT_EQ(ValueTypeName(values[i + 1].first), ValueTypeName(c.value_type))
        << c.type << " " << c.literal << " is " << values[i + 1].second;
    if (c.readable != nullptr) {
      EXPECT_EQ(values[i + 1].second, c.readable) << c.type;
    }
  }
}

TEST_F(AllTypesTest, DescribesEachAsTheStreamDoes) {
  Run(create_);
  const auto described = PostgresTools(config_, Context()).DescribeTables();
  ASSERT_OK(described);
  ASSERT_EQ(described->size(), 1u);
  std::vector<Column> streamed;
  uint64_t fingerprint = 0;
  writer_.inspect = [&](const Change& change) {
    streamed = change.schema->columns();
    fingerprint = change.schema->fingerprint();
  };
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run(insert_);
  ASSERT_TRUE(writer_.WaitForChanges(1));
  EXPECT_OK(Stop());
  const std::vector<Column>& columns = (*described)[0].schema->columns();
  ASSERT_EQ(columns.size(), streamed.size());
  for (size_t i = 0; i < columns.size(); ++i) {
    EXPECT_EQ(columns[i].name, streamed[i].name);
    EXPECT_EQ(columns[i].type_name, streamed[i].type_name);
    EXPECT_EQ(ValueTypeName(columns[i].type), ValueTypeName(streamed[i].type))
        << streamed[i].type_name;
  }
  EXPECT_EQ((*described)[0].schema->fingerprint(), fingerprint);
}

TEST_F(AllTypesTest, ReadsBackTheSameValuesAsItStreams) {
  // Toasted columns of several types, left out by a key change.
  Run("create table t (id int primary key, a text, b jsonb, c int[], d bytea, e numeric)");
  for (const char* column : {"a", "b", "c", "d", "e"})
    Run(fmt::format("alter table t alter {} set storage external", column));
  Start();
  ASSERT_TRUE(WaitForStreaming());
  Run("insert into t select 1, repeat('x', 3000), jsonb_build_object('k', repeat('y', 3000)), "
      "array(select generate_series(1, 1000)), decode(repeat('00ff', 2000), 'hex'), "
      "('1' || repeat('2', 9000))::numeric");
  Run("update t set id = 2");
  ASSERT_TRUE(writer_.WaitForChanges(3));
  EXPECT_OK(Stop());
  const std::string first = writer_.changes()[0], second = writer_.changes()[2];
  EXPECT_EQ(first.substr(first.find("a=")), second.substr(second.find("a=")));
  EXPECT_EQ(metrics_.Value("tailwater_source_read_backs_total"), 1);
}

}  // namespace
}  // namespace tailwater::postgres
