// The binding table of src/expression/README.md, row by row.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "condition_testing.h"

namespace tailwater {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Each text answers as written behind it: true, false.
struct Case {
  const char* text;
  const char* answer;
};
void ExpectAll(const OneColumn& table, const Value& value, std::initializer_list<Case> cases) {
  for (const Case& test : cases) {
    EXPECT_EQ(table.Insert(test.text, value), test.answer) << test.text;
  }
}
struct Refusal {
  const char* text;
  const char* problem;
};
void ExpectRefused(const OneColumn& table, std::initializer_list<Refusal> refusals) {
  for (const Refusal& test : refusals) {
    EXPECT_THAT(table.Check(test.text), ElementsAre(test.problem)) << test.text;
  }
}

TEST(Types, Bool) {
  const OneColumn t(ValueType::kBool, "boolean");
  ExpectAll(t, Value::Bool(true),
            {{"NEW.c", "true"},
             {"NOT NEW.c", "false"},
             {"NEW.c = TRUE", "true"},
             {"NEW.c IS TRUE", "true"},
             {"NEW.c IS NOT FALSE", "true"},
             {"NEW.c <> TRUE", "false"},
             {"NEW.c IN (TRUE)", "true"},
             {"CAST(NEW.c AS text) = 'true'", "true"}});
  ExpectAll(t, Value::Bool(false),
            {{"NEW.c", "false"}, {"NOT NEW.c", "true"}, {"NEW.c = FALSE", "true"}});
  ExpectAll(t, Value::Null(),
            {{"NEW.c", "false"},
             {"NOT NEW.c", "false"},
             {"NEW.c IS NULL", "true"},
             {"NEW.c IS NOT TRUE", "true"}});
  ExpectRefused(
      t, {{"NEW.c = 't'", "public.t.c is boolean, 't' is text: compare NEW.c with TRUE or FALSE"},
          {"NEW.c = 1", "public.t.c is boolean, 1 is a number: compare NEW.c with TRUE or FALSE"},
          {"NEW.c > FALSE",
           "public.t.c is boolean: it has no order here; only =, <>, IN and IS work on it"}});
}

TEST(Types, Int64) {
  const OneColumn t(ValueType::kInt64, "bigint");
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  ExpectAll(t, Value::Int64(kMost),
            {{"NEW.c = 9223372036854775807", "true"},
             {"NEW.c < 9223372036854775808", "true"},
             {"NEW.c = 9223372036854775808", "false"},
             {"NEW.c > 9223372036854775806.5", "true"},
             {"NEW.c >= 9223372036854775807.5", "false"},
             {"NEW.c IN (1, 9223372036854775807)", "true"},
             {"NEW.c BETWEEN 9223372036854775806.9 AND 9223372036854775807.1", "true"}});
  ExpectAll(t, Value::Int64(std::numeric_limits<int64_t>::min()),
            {{"NEW.c = -9223372036854775808", "true"}, {"NEW.c < 0", "true"}});
  ExpectAll(t, Value::Int64(9007199254740993),
            {{"NEW.c = 9007199254740993.0", "true"}, {"NEW.c = 9007199254740992.0", "false"}});
  ExpectAll(t, Value::Int64(7),
            {{"NEW.c / 2 = 3", "true"},
             {"NEW.c % 4 = 3", "true"},
             {"NEW.c * 1.1 = 7.7", "true"},
             {"NEW.c / 100.0 = 0.07", "true"},
             {"-NEW.c = -7", "true"},
             {"abs(NEW.c - 10) = 3", "true"},
             {"NEW.c + 0.1 + 0.2 = 7.3", "true"},
             {"max(NEW.c, 9) = 9", "true"},
             {"CASE NEW.c WHEN 7 THEN TRUE END", "true"},
             {"NEW.c / 0 IS NULL", "true"},
             {"CAST(NEW.c AS text) = '7'", "true"},
             {"coalesce(NEW.c, 0) = 7", "true"}});
  ExpectAll(t, Value::Null(),
            {{"NEW.c = 7", "false"},
             {"NEW.c <> 7", "false"},
             {"NOT NEW.c = 7", "false"},
             {"coalesce(NEW.c, 0) = 0", "true"},
             {"NEW.c IS DISTINCT FROM 7", "true"}});
  ExpectRefused(
      t, {{"NEW.c = '7'", "public.t.c is bigint, '7' is text: write 7 without quotes"},
          {"NEW.c = 'x'", "public.t.c is bigint, 'x' is text: compare it with a number"},
          {"NEW.c", "public.t.c is bigint and no condition: write NEW.c <> 0"},
          {"NEW.c = TRUE",
           "public.t.c is bigint, TRUE is true or false: compare TRUE with TRUE or FALSE"},
          {"NEW.c = NULL", "a comparison = NULL is never true: write IS NULL"},
          {"NEW.c LIKE '7%'", "public.t.c is bigint: LIKE takes text; write CAST(NEW.c AS text)"}});
}

TEST(Types, Float64) {
  const OneColumn t(ValueType::kFloat64, "double precision");
  ExpectAll(t, Value::Float64(0.1),
            {{"NEW.c = 0.1", "true"},
             {"NEW.c < 1", "true"},
             {"NEW.c + 0.2 = 0.3", "false"},
             {"round(NEW.c, 1) = 0.1", "true"},
             {"NEW.c BETWEEN 0 AND 1", "true"},
             {"CAST(NEW.c AS text) = '0.1'", "true"}});
  ExpectAll(t, Value::Float64(std::nan("")),
            {{"NEW.c > 1e300", "true"},
             {"NEW.c IS NULL", "false"},
             {"NEW.c = NEW.c", "true"},
             {"NEW.c < 5", "false"},
             {"NEW.c + 1 > 0", "false"},
             {"(NEW.c + 1) IS NULL", "true"}});
  ExpectAll(t, Value::Float64(-INFINITY), {{"NEW.c < -1e300", "true"}});
  ExpectAll(t, Value::Float64(9007199254740992.0), {{"NEW.id < NEW.c", "true"}});
  ExpectRefused(
      t,
      {{"NEW.c = '0.1'", "public.t.c is double precision, '0.1' is text: write 0.1 without quotes"},
       {"CAST(NEW.c AS numeric) = 1",
        "public.t.c is double precision: CAST AS numeric is not possible: a floating-point "
        "number is no exact one; compare it as real"}});
}

TEST(Types, Uint64) {
  const OneColumn t(ValueType::kUint64, "bigint unsigned");
  ExpectAll(t, Value::Uint64(std::numeric_limits<uint64_t>::max()),
            {{"NEW.c = 18446744073709551615", "true"},
             {"NEW.c > 18446744073709551614", "true"},
             {"NEW.c < 18446744073709551616", "true"},
             {"NEW.c > NEW.id", "true"},
             {"NEW.c IN (18446744073709551614)", "false"},
             {"NEW.c <> 18446744073709551615", "false"},
             {"NEW.c + 1 = 18446744073709551616", "true"}});
}

TEST(Types, Decimal) {
  const OneColumn t(ValueType::kDecimal, "numeric(38,2)");
  ExpectAll(t, Value::Decimal("12345678901234567890.10"),
            {{"NEW.c = 12345678901234567890.1", "true"},
             {"NEW.c = 12345678901234567890.11", "false"},
             {"NEW.c > 12345678901234567890.09", "true"},
             {"NEW.c > 12345678901234567890.1", "false"},
             {"NEW.c IN (1, 12345678901234567890.100)", "true"},
             {"NEW.c NOT IN (1)", "true"},
             {"NEW.c BETWEEN 12345678901234567890.1 AND 12345678901234567890.1", "true"},
             {"NEW.c NOT BETWEEN 1 AND 2", "true"},
             {"NEW.c <> 1e3", "true"},
             {"NEW.c * 10 = 123456789012345678901", "true"},
             {"NEW.c - NEW.c = 0", "true"},
             {"-NEW.c < 0", "true"},
             {"abs(-NEW.c) = NEW.c", "true"},
             {"round(NEW.c) = 12345678901234567890", "true"},
             {"round(NEW.c, -1) = 12345678901234567890", "true"},
             {"max(NEW.c, 5) > 5", "true"},
             {"min(NEW.c, 5) = 5", "true"},
             {"coalesce(NEW.c, 0) > NEW.id", "true"},
             {"CAST(NEW.c AS real) > 1e19", "true"},
             {"CASE WHEN TRUE THEN NEW.c ELSE 0 END > 7", "true"},
             {"CAST(NEW.c AS text) = '12345678901234567890.1'", "true"},
             {"nullif(NEW.c, 12345678901234567890.1) IS NULL", "true"}});
  ExpectAll(t, Value::Decimal("-0.00"), {{"NEW.c = 0", "true"}, {"NEW.c < 0", "false"}});
  ExpectAll(t, Value::Decimal("9.50"), {{"NEW.c < 10", "true"}, {"NEW.c > 9", "true"}});
  ExpectAll(t, Value::Decimal("NaN"),
            {{"NEW.c > 1e100", "true"}, {"NEW.c = NEW.c", "true"}, {"NEW.c < 1", "false"}});
  ExpectAll(t, Value::Decimal("-Infinity"), {{"NEW.c < -1e100", "true"}, {"NEW.c > 0", "false"}});
  ExpectAll(t, Value::Null(),
            {{"NEW.c = 0", "false"}, {"NEW.c > 0", "false"}, {"NEW.c BETWEEN 0 AND 1", "false"}});
  ExpectAll(t, Value::Decimal("x"), {{"NEW.c = 0", "condition_does_not_fit"}});
  ExpectRefused(
      t, {{"NEW.c = CAST(1 AS real)",
           "public.t.c is numeric(38,2), CAST(… AS real) is a floating-point number: a "
           "floating-point number is no exact one; write CAST(NEW.c AS real)"},
          {"NEW.c / 2 > 1",
           "public.t.c is numeric(38,2): a quotient of exact numbers has no end; write "
           "CAST(NEW.c AS real)"},
          {"NEW.c > '5'", "public.t.c is numeric(38,2), '5' is text: write 5 without quotes"}});
}

TEST(Types, Text) {
  const OneColumn t(ValueType::kText, "text");
  ExpectAll(t, Value::Text("Größe 5"),
            {{"NEW.c = 'Größe 5'", "true"},
             {"NEW.c = 'größe 5'", "false"},
             {"NEW.c LIKE 'gr%'", "false"},
             {"NEW.c LIKE 'Gr__e%'", "true"},
             {"NEW.c NOT LIKE '%6'", "true"},
             {"NEW.c GLOB '*[0-9]'", "true"},
             {"NEW.c GLOB 'Gr??e [^a]'", "true"},
             {"NEW.c NOT GLOB 'gr*'", "true"},
             {"NEW.c REGEXP '^Gr.{2}e \\d$'", "true"},
             {"regexp('ö', NEW.c)", "true"},
             {"NEW.c NOT REGEXP 'x'", "true"},
             {"lower(NEW.c) = 'größe 5'", "true"},
             {"upper(NEW.c) LIKE 'GRÖ%'", "true"},
             {"length(NEW.c) = 7", "true"},
             {"substr(NEW.c, 3, 1) = 'ö'", "true"},
             {"instr(NEW.c, '5') = 7", "true"},
             {"replace(NEW.c, 'ö', 'o') LIKE 'Gro%'", "true"},
             {"NEW.c || '!' = 'Größe 5!'", "true"},
             {"NEW.c > 'G'", "true"},
             {"NEW.c IN ('a', 'Größe 5')", "true"},
             {"trim('  ' || NEW.c) = NEW.c", "true"},
             {"hex('a') = '61'", "true"},
             {"like('Gr%', NEW.c)", "true"},
             {"glob('Gr*', NEW.c)", "true"},
             {"coalesce(nullif(NEW.c, ''), 'none') <> 'none'", "true"},
             {"iif(NEW.c = 'x', 1, 2) = 2", "true"},
             {"CAST(NEW.c AS integer) IS NULL", "true"},
             {"CAST('12' AS integer) = 12", "true"},
             {"CAST('1.50' AS numeric) = 1.5", "true"},
             {"CAST('1e2' AS real) = 100", "true"}});
  ExpectAll(t, Value::Text(""),
            {{"NEW.c = ''", "true"}, {"NEW.c IS NULL", "false"}, {"NEW.c LIKE '%'", "true"}});
  ExpectAll(
      t, Value::Null(),
      {{"NEW.c = ''", "false"}, {"NEW.c LIKE '%'", "false"}, {"NEW.c NOT LIKE 'x'", "false"}});
  ExpectAll(t, Value::Text("100%"),
            {{"NEW.c LIKE '100!%' ESCAPE '!'", "true"}, {"NEW.c LIKE '1!%' ESCAPE '!'", "false"}});
  ExpectRefused(t, {{"NEW.c = 5", "public.t.c is text, 5 is a number: write '5'"},
                    {"NEW.c > NEW.id",
                     "public.t.c is text, public.t.id is bigint: write CAST(NEW.c AS numeric) to "
                     "compare numbers"},
                    {"NEW.c + 'x' = 'yx'",
                     "public.t.c is text: write || to join texts, or CAST(NEW.c AS numeric)"},
                    {"NEW.c", "public.t.c is text and no condition: compare it with something"},
                    {"length(NEW.id) = 1",
                     "public.t.id is bigint: length takes text; write CAST(NEW.id AS text)"}});
}

TEST(Types, FindsTextsInLongOnes) {
  const OneColumn t(ValueType::kText, "text");
  const std::string word(3000, 'w');
  for (const size_t at : {size_t{0}, size_t{4095}, size_t{5000}, size_t{20'000}}) {
    const std::string text =
        std::string(at, 'w').replace(at / 2, at > 0 ? 1 : 0, at > 0 ? "v" : "") + "x" + word + "y";
    const Value value = Value::Text(text);
    const std::string place = std::to_string(at + 1);
    EXPECT_EQ(t.Insert("instr(NEW.c, 'x" + word + "y') = " + place, value), "true") << at;
    EXPECT_EQ(t.Insert("instr(NEW.c, 'x" + word + "z') = 0", value), "true") << at;
    EXPECT_EQ(
        t.Insert("length(replace(NEW.c, 'x" + word + "y', '')) = " + std::to_string(at), value),
        "true")
        << at;
  }
}

TEST(Types, CharacterIgnoresItsPadding) {
  const OneColumn t(ValueType::kText, "character(5)");
  ExpectAll(t, Value::Text("ab   "), {{"NEW.c = 'ab'", "true"}, {"length(NEW.c) = 2", "true"}});
  ExpectRefused(t, {{"NEW.c = 'ab '",
                     "public.t.c is character(5), whose blanks at the end do not count: write 'ab "
                     "' without them"}});
}

TEST(Types, CitextWantsItsCaseFolded) {
  const OneColumn t(ValueType::kText, "citext");
  ExpectAll(t, Value::Text("Ann@X.org"),
            {{"lower(NEW.c) = 'ann@x.org'", "true"}, {"NEW.c IS NULL", "false"}});
  ExpectRefused(
      t, {{"NEW.c = 'x'", "public.t.c is citext, which ignores case: write lower(NEW.c) = '…'"}});
}

TEST(Types, Enum) {
  const OneColumn t(ValueType::kEnum, "public.mood");
  ExpectAll(t, Value::Enum("happy"),
            {{"NEW.c = 'happy'", "true"},
             {"NEW.c <> 'sad'", "true"},
             {"NEW.c IN ('sad', 'happy')", "true"},
             {"NEW.c IS NOT 'sad'", "true"},
             {"CAST(NEW.c AS text) LIKE 'hap%'", "true"}});
  ExpectRefused(
      t,
      {{"NEW.c > 'sad'",
        "public.t.c is public.mood: it has no order here; only =, <>, IN and IS work on it"},
       {"NEW.c = 1", "public.t.c is public.mood, 1 is a number: compare it with text in quotes"}});
}

TEST(Types, Uuid) {
  const OneColumn t(ValueType::kUuid, "uuid");
  const Value value = Value::Uuid(
      std::string_view("\xa0\xee\xbc\x99\x9c\x0b\x4e\xf8\xbb\x6d\x6b\xb9\xbd\x38\x0a\x11", 16));
  ExpectAll(t, value,
            {{"NEW.c = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "true"},
             {"NEW.c = '{a0eebc999c0b4ef8bb6d6bb9bd380a11}'", "true"},
             {"NEW.c IN ('00000000-0000-0000-0000-000000000000')", "false"},
             {"CAST(NEW.c AS text) LIKE 'a0ee%'", "true"}});
  ExpectRefused(t,
                {{"NEW.c = 'abc'",
                  "public.t.c is uuid, and 'abc' is none: write 32 hexadecimal digits, 8-4-4-4-12"},
                 {"NEW.c > 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
                  "public.t.c is uuid: it has no order here; only =, <>, IN and IS work on it"}});
}

TEST(Types, Bytes) {
  const OneColumn t(ValueType::kBytes, "bytea");
  ExpectAll(t, Value::Blob(std::string_view("\x00\xff", 2)),
            {{"NEW.c = x'00ff'", "true"},
             {"NEW.c > x'00'", "true"},
             {"length(NEW.c) = 2", "true"},
             {"hex(NEW.c) = '00FF'", "true"}});
  ExpectRefused(t,
                {{"NEW.c = 'a'", "public.t.c is bytea, 'a' is text: bytes are written x'00ff'"}});
}

TEST(Types, Date) {
  const OneColumn t(ValueType::kDate, "date");
  ExpectAll(t, Value::Date(0),
            {{"NEW.c = '1970-01-01'", "true"},
             {"NEW.c < '1970-01-02'", "true"},
             {"NEW.c > '0044-03-15 BC'", "true"},
             {"NEW.c < 'infinity'", "true"},
             {"NEW.c > '-infinity'", "true"},
             {"epoch(NEW.c) = 0", "true"},
             {"NEW.c BETWEEN '1969-12-31' AND '1970-01-01'", "true"}});
  ExpectAll(t, Value::Other("-infinity"),
            {{"NEW.c < '0044-03-15 BC'", "true"}, {"NEW.c = '-infinity'", "true"}});
  ExpectAll(t, Value::Other("0044-03-15 BC"),
            {{"NEW.c = '0044-03-15 BC'", "true"}, {"NEW.c < '0001-01-01'", "true"}});
  ExpectAll(t, Value::Other("0000-00-00"), {{"NEW.c < '0001-01-01'", "condition_does_not_fit"}});
  ExpectRefused(
      t,
      {{"NEW.c = '1970-02-30'", "public.t.c is date, and '1970-02-30' is none: write '2026-01-31'"},
       {"NEW.c = '1970-01-01 10:00'",
        "public.t.c is date, and '1970-01-01 10:00' is none: write '2026-01-31'"},
       {"NEW.c > 'today'",
        "'today' is another value at each moment, and a replay must give the same answer; "
        "compare with a column or a fixed date"},
       {"NEW.c + 1 > '1970-01-01'",
        "public.t.c is date: there is no arithmetic on it; write epoch(NEW.c) for its seconds"},
       {"NEW.c = 5", "public.t.c is date, 5 is a number: write epoch(NEW.c) for its seconds"}});
}

TEST(Types, Time) {
  const OneColumn t(ValueType::kTime, "time without time zone");
  ExpectAll(t, Value::Time(43'200'000'000),
            {{"NEW.c = '12:00'", "true"}, {"NEW.c < '12:00:00.000001'", "true"}});
  ExpectRefused(t, {{"NEW.c = '12:00+01'",
                     "public.t.c is time without time zone, and '12:00+01' is none: it has no "
                     "zone; leave the offset out"}});
}

TEST(Types, Timestamp) {
  const OneColumn t(ValueType::kTimestamp, "timestamp without time zone");
  ExpectAll(t, Value::Timestamp(1'500'000),
            {{"NEW.c = '1970-01-01 00:00:01.5'", "true"},
             {"NEW.c = '1970-01-01T00:00:01.500'", "true"},
             {"NEW.c > '1970-01-01'", "true"},
             {"NEW.c < '1970-01-01 00:00:01.500001'", "true"},
             {"epoch(NEW.c) = 1.5", "true"}});
  ExpectAll(t, Value::Other("infinity"), {{"NEW.c > '9999-12-31'", "true"}});
  ExpectRefused(
      t,
      {{"NEW.c > '2026-01-01 00:00:00Z'",
        "public.t.c is timestamp without time zone, and '2026-01-01 00:00:00Z' is none: the column "
        "has no zone, so leave the offset out"}});
}

TEST(Types, TimestampTz) {
  const OneColumn t(ValueType::kTimestampTz, "timestamp with time zone");
  ExpectAll(t, Value::TimestampTz(0),
            {{"NEW.c = '1970-01-01 00:00:00Z'", "true"},
             {"NEW.c = '1970-01-01T01:00:00+01:00'", "true"},
             {"NEW.c = '1969-12-31 20:30-0330'", "true"},
             {"NEW.c < '1970-01-01 00:00:00-01'", "true"},
             {"NEW.c > '0001-01-01 00:00:00+00 BC'", "true"},
             {"NEW.c < 'infinity'", "true"},
             {"epoch(NEW.c) + 3600 = 3600", "true"}});
  ExpectAll(t, Value::Other("0044-03-15 12:00:00+00 BC"),
            {{"NEW.c = '0044-03-15 13:00:00+01 BC'", "true"}});
  ExpectRefused(
      t, {{"NEW.c > '2026-01-01'",
           "public.t.c is timestamp with time zone, and '2026-01-01' is none: it names no instant "
           "without a zone; write '2026-01-01 00:00+00'"},
          {"NEW.c > '2026-01-01 10:00'",
           "public.t.c is timestamp with time zone, and '2026-01-01 10:00' is none: it names no "
           "instant without a zone; write '2026-01-01 10:00+00'"},
          {"NEW.c > '2026-01-01 10:00 Europe/Berlin'",
           "public.t.c is timestamp with time zone, and '2026-01-01 10:00 Europe/Berlin' is none: "
           "write '2026-01-31 12:30:00+00'"}});
}

TEST(Types, IntervalAndArray) {
  static const Interval kHour{0, 0, 3'600'000'000};
  const OneColumn interval(ValueType::kInterval, "interval");
  ExpectAll(interval, Value::OfInterval(&kHour),
            {{"NEW.c IS NOT NULL", "true"}, {"changed(c)", "true"}});
  ExpectRefused(interval, {{"NEW.c = '1 hour'",
                            "public.t.c is interval: only IS NULL and changed() work on it"},
                           {"OLD.c IS NOT NEW.c", "public.t.c is interval: write changed(c)"}});
  const OneColumn array(ValueType::kArray, "integer[]");
  ExpectAll(array, Value::Null(), {{"NEW.c IS NULL", "true"}});
  ExpectRefused(
      array, {{"NEW.c = '{1}'", "public.t.c is integer[]: only IS NULL and changed() work on it"}});
}

TEST(Types, Json) {
  const OneColumn t(ValueType::kJson, "jsonb");
  ExpectAll(
      t,
      Value::Json(
          R"({"plan":"free","n":5,"on":true,"x":null,"tags":["a","b"],"o":{"k":"v"},"2fa":1,"0":7})"),
      {{"NEW.c ->> 'plan' = 'free'", "true"},
       {"json_extract(NEW.c, '$.n') >= 5", "true"},
       {"NEW.c ->> 'n' = '5'", "false"},
       {"NEW.c ->> 'on' = TRUE", "true"},
       {"NEW.c ->> 'x' IS NULL", "true"},
       {"NEW.c -> 'x' IS NULL", "false"},
       {"NEW.c -> 'o' ->> 'k' = 'v'", "true"},
       {"NEW.c -> 'tags' ->> 1 = 'b'", "true"},
       {"NEW.c ->> '2fa' = 1 AND NEW.c ->> '0' = 7", "true"},
       {"json_array_length(NEW.c, '$.tags') = 2", "true"},
       {"json_type(NEW.c, '$.n') = 'integer'", "true"},
       {"json_valid(NEW.c)", "true"},
       {"lower(NEW.c ->> 'plan') LIKE 'fr%'", "true"},
       {"NEW.c ->> 'missing' = 'x'", "false"},
       {"CAST(NEW.c ->> 'n' AS numeric) * 2 = 10", "true"},
       {"json_extract('{\"a\":1}', '$.a') = 1", "true"},
       {"json_extract('no json', '$.a') IS NULL", "true"}});
  ExpectRefused(
      t, {{"NEW.c = '{}'",
           "public.t.c is jsonb: only IS NULL and changed() see it whole; take a value out of it, "
           "NEW.c ->> '$.key'"},
          {"NEW.c ->> 'on'",
           "(… ->> …) is a value out of JSON and no condition: write (… ->> …) = TRUE"}});
}

TEST(Types, Other) {
  const OneColumn t(ValueType::kOther, "inet");
  ExpectAll(t, Value::Other("10.0.0.1"),
            {{"NEW.c = '10.0.0.1'", "true"}, {"NEW.c IN ('10.0.0.2')", "false"}});
  ExpectRefused(
      t, {{"NEW.c < '10.0.0.2'",
           "public.t.c is inet: it has no order here; only =, <>, IN and IS work on it"},
          {"NEW.c LIKE '10.%'", "public.t.c is inet: LIKE takes text; write CAST(NEW.c AS text)"}});
}

TEST(Types, NamesUnknownAndClashingColumns) {
  const SchemaPtr schema = TableSchema::Make(
      {"public", "users"}, {{"id", ValueType::kInt64, "bigint", true, false},
                            {"Plan", ValueType::kText, "text", false, false},
                            {"plan", ValueType::kText, "text", false, false},
                            {"Total", ValueType::kInt64, "bigint", false, false}});
  EXPECT_THAT(CheckProblems("NEW.totl = 1 AND OLD.id = 1", schema),
              ElementsAre("public.users has no column 'totl' (did you mean 'Total'?)"));
  EXPECT_THAT(CheckProblems("NEW.total = 1 AND NEW.plan = NEW.\"Plan\"", schema), IsEmpty());
  EXPECT_THAT(
      CheckProblems("NEW.PLAN = 'x'", schema),
      ElementsAre(
          "public.users has several columns that are 'PLAN' but for case: write the one you mean "
          "as it is, NEW.\"plan\""));
  EXPECT_THAT(CheckProblems("changed(nope)", schema),
              ElementsAre("public.users has no column 'nope'"));
}

TEST(Types, RefusesWhatIsNeverTrue) {
  const OneColumn t(ValueType::kText, "text");
  for (const char* text : {"op = 'insert' AND OLD.c = 'x'", "op = 'delete' AND NEW.c IS NOT NULL",
                           "op = 'insert' AND op = 'update'", "FALSE", "op = 'message'"}) {
    EXPECT_THAT(t.Check(text),
                ElementsAre("public.t: it is never true (OLD is NULL on insert and read, NEW on "
                            "delete, both on truncate)"))
        << text;
  }
  for (const char* text : {"op = 'truncate'", "TRUE", "op = 'insert' AND OLD.c IS NULL",
                           "op = 'read' AND NEW.c = 'x'"}) {
    EXPECT_THAT(t.Check(text), IsEmpty()) << text;
  }
}

}  // namespace
}  // namespace tailwater
