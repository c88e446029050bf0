#include "support/change_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "support/matchers.h"
#include "support/topic_feeder.h"
#include "tailwater/array.h"

namespace tailwater {
namespace {

std::string Json(const Value& value) {
  std::string out;
  EXPECT_OK(AppendValueJson(value, out));
  return out;
}

std::string Json(const Change& change) {
  std::string out;
  EXPECT_OK(AppendChangeJson(change, out));
  EXPECT_TRUE(nlohmann::json::accept(out)) << out;
  EXPECT_EQ(out.find('\n'), out.npos);
  return out;
}

TEST(ChangeJsonTest, WritesNumbersWithAllTheirDigits) {
  EXPECT_EQ(Json(Value::Int64(std::numeric_limits<int64_t>::min())), "-9223372036854775808");
  EXPECT_EQ(Json(Value::Uint64(std::numeric_limits<uint64_t>::max())), "18446744073709551615");
  EXPECT_EQ(Json(Value::Float64(0.1)), "0.1");
  EXPECT_EQ(Json(Value::Float64(5e-324)), "5e-324");
  EXPECT_EQ(Json(Value::Float64(-0.0)), "-0.0");
  EXPECT_EQ(Json(Value::Float64(0.0)), "0");
  EXPECT_EQ(Json(Value::Float64(std::nan(""))), "\"NaN\"");
  EXPECT_EQ(Json(Value::Float64(-INFINITY)), "\"-Infinity\"");
  EXPECT_EQ(Json(Value::Decimal("1.10")), "\"1.10\"");
}

TEST(ChangeJsonTest, WritesTimesAsIso8601) {
  EXPECT_EQ(Json(Value::Date(0)), "\"1970-01-01\"");
  EXPECT_EQ(Json(Value::Timestamp(1'500'000)), "\"1970-01-01T00:00:01.5\"");
  EXPECT_EQ(Json(Value::TimestampTz(-1)), "\"1969-12-31T23:59:59.999999Z\"");
}

TEST(ChangeJsonTest, EscapesTextAndKeepsJsonOnOneLine) {
  EXPECT_EQ(Json(Value::Text("a\"\n\x01\xc3\xa9")), "\"a\\\"\\n\\u0001\xc3\xa9\"");
  EXPECT_EQ(Json(Value::Json("{\"a\":\n 12345678901234567890.10}")),
            "{\"a\":  12345678901234567890.10}");
  EXPECT_EQ(Json(Value::Blob(std::string_view("\0\xff", 2))), "\"\\\\x00ff\"");
}

TEST(ChangeJsonTest, NestsArraysAndKeepsLowerBounds) {
  std::string array;
  ArrayWriter writer(array);
  writer.AddDimension({.length = 2});
  writer.AddDimension({.length = 2});
  for (int i = 0; i < 3; ++i) writer.AddElement(Value::Int64(i));
  writer.AddElement(Value::Null());
  EXPECT_EQ(Json(Value::Array(array)), "[[0,1],[2,null]]");

  std::string shifted;
  ArrayWriter from_zero(shifted);
  from_zero.AddDimension({.length = 1, .lower_bound = 0});
  from_zero.AddElement(Value::Text("x"));
  EXPECT_EQ(Json(Value::Array(shifted)), R"({"lower_bounds":[0],"elements":["x"]})");
  EXPECT_EQ(Json(Value::Array("")), "[]");
}

TEST(ChangeJsonTest, LeavesTheOutputAloneWhenAnArrayIsMalformed) {
  std::string out = "before";
  EXPECT_FALSE(AppendValueJson(Value::Array("\xff\xff"), out).has_value());
  EXPECT_EQ(out, "before");
}

TEST(ChangeJsonTest, NamesWhatIsUnchangedAndWhatIsOmitted) {
  const SchemaPtr schema = TestSchema("orders", {"id*:int64", "a:text", "b:text", "c:text"});
  const std::vector<Value> after = {Value::Int64(1), Value::Unchanged(), Value::Omitted(),
                                    Value::Null()};
  EXPECT_EQ(
      Json({.operation = Operation::kUpdate,
            .source = "shop",
            .table = schema->table(),
            .schema = schema.get(),
            .epoch = 7,
            .position = "0/16B3748",
            .ordinal = 3,
            .part = 1,
            .version = 42,
            .source_time_micros = 1'500'000,
            .transaction_id = "741",
            .after = after}),
      R"({"id":"shop:7:0/16B3748:3:1","op":"update","source":"shop","table":"public.orders",)"
      R"("key":{"id":1},"before":null,"after":{"id":1,"c":null},"unchanged":["a"],"omitted":["b"],)"
      R"("version":42,"time":"1970-01-01T00:00:01.5Z","transaction":"741"})");
}

TEST(ChangeJsonTest, ShowsTheKeyOfADeleteAndNoneForKeylessTables) {
  const SchemaPtr keyed = TestSchema("orders", {"id*:int64", "a:text"});
  const SchemaPtr keyless = TestSchema("log", {"a:text"});
  const std::vector<Value> key = {Value::Int64(1), Value::Omitted()};
  const std::vector<Value> row = {Value::Text("x")};
  const auto deleted = nlohmann::json::parse(Json({.operation = Operation::kDelete,
                                                   .table = keyed->table(),
                                                   .schema = keyed.get(),
                                                   .before = key}));
  EXPECT_EQ(deleted["key"]["id"], 1);
  EXPECT_TRUE(deleted["after"].is_null());
  EXPECT_FALSE(deleted["before"].contains("a"));
  const auto inserted = nlohmann::json::parse(Json({.operation = Operation::kInsert,
                                                    .table = keyless->table(),
                                                    .schema = keyless.get(),
                                                    .after = row}));
  EXPECT_TRUE(inserted["key"].is_null());
  EXPECT_TRUE(inserted["time"].is_null());
}

TEST(ChangeJsonTest, WritesControlRecordsAndMessages) {
  const SchemaPtr schema = TestSchema("orders", {"id*:int64", "a:text"});
  EXPECT_NE(
      Json({.operation = Operation::kSchema, .table = schema->table(), .schema = schema.get()})
          .find(R"("schema":[{"name":"id","type":"int64","key":true},{"name":"a","type":"text"}])"),
      std::string::npos);
  EXPECT_NE(
      Json({.operation = Operation::kFrontier, .frontier = "0/AA"}).find(R"("frontier":"0/AA")"),
      std::string::npos);
  EXPECT_NE(Json({.operation = Operation::kMessage, .message_prefix = "p", .message_content = "c"})
                .find(R"("prefix":"p","content":"\\x63")"),
            std::string::npos);
}

TEST(ChangeJsonTest, WritesWideIntegersAsTextForReadersThatKnowOnlyDoubles) {
  const SchemaPtr schema = TableSchema::Make(
      {"public", "t"},
      {{.name = "big", .type = ValueType::kInt64, .type_name = "bigint"},
       {.name = "small", .type = ValueType::kInt64, .type_name = "integer"},
       {.name = "mysql", .type = ValueType::kInt64, .type_name = "int(10) unsigned"},
       {.name = "list", .type = ValueType::kArray, .type_name = "bigint[]"},
       {.name = "real", .type = ValueType::kFloat64, .type_name = "float8"}});
  std::string array;
  ArrayWriter writer(array);
  writer.AddDimension({.length = 1});
  writer.AddElement(Value::Int64(9007199254740993));
  const Value row[] = {Value::Int64(9007199254740993), Value::Int64(-2), Value::Int64(3),
                       Value::Array(array), Value::Float64(1.5)};
  std::string out;
  ASSERT_OK(AppendRowJson(*schema, row, out, {.wide_integers_as_text = true}));
  EXPECT_EQ(out, R"({"big":"9007199254740993","small":-2,"mysql":3,"list":["9007199254740993"],)"
                 R"("real":1.5})");
}

TEST(ChangeJsonTest, StrictOutputRefusesWhatIsNoUtf8AndWhatIsNoJson) {
  std::string out = "kept";
  EXPECT_THAT(AppendTextJson("a\xff", out), IsErrorWith("text_not_utf8"));
  EXPECT_THAT(AppendTextJson("cut \xe2\x82", out), IsErrorWith("text_not_utf8"));
  EXPECT_THAT(AppendValueJson(Value::Text("\xc0\x80"), out, {.strict = true}),
              IsErrorWith("text_not_utf8"));
  for (const std::string_view bad : {"1,\"op\":\"delete\"", "{\"a\":1}}", "", "{a:1}", "[1"}) {
    EXPECT_THAT(AppendValueJson(Value::Json(bad), out, {.strict = true}),
                IsErrorWith("json_malformed"))
        << bad;
  }
  EXPECT_EQ(out, "kept");
  ASSERT_OK(AppendValueJson(Value::Json("{\"a\":123456789012345678901234567890}"), out,
                            {.strict = true}));
  EXPECT_EQ(out, "kept{\"a\":123456789012345678901234567890}");
}

TEST(ChangeJsonTest, AStrictErrorNamesTheColumnAndNotItsValue) {
  const SchemaPtr schema = TestSchema("t", {"id*:int64", "note:text"});
  const Value row[] = {Value::Int64(1), Value::Text("secret\xff")};
  std::string out;
  const Status status = AppendRowJson(*schema, row, out, {.strict = true});
  ASSERT_THAT(status, IsErrorWith("text_not_utf8"));
  EXPECT_NE(status.error().message.find("column note"), std::string::npos);
  EXPECT_EQ(status.error().message.find("secret"), std::string::npos);
}

}  // namespace
}  // namespace tailwater
