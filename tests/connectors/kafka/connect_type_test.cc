// Expected values are those of Debezium's own tests and documentation for its Postgres connector.
#include "kafka/connect_type.h"

#include <gtest/gtest.h>

#include "support/matchers.h"
#include "tailwater/array.h"

namespace tailwater::kafka_sink {
namespace {

std::string Written(const Column& column, const Value& value, const Conversion& conversion = {}) {
  std::string out;
  const Status status = ConnectType(column, conversion).AppendValue(value, out);
  return status ? out : std::string(status.error().code);
}
std::string SchemaOf(const Column& column, const Conversion& conversion = {}) {
  std::string out;
  ConnectType(column, conversion).AppendSchema("c", true, out);
  return out;
}
std::string Placeholder(const Column& column, const Conversion& conversion = {}) {
  std::string out;
  const Status status = ConnectType(column, conversion).AppendPlaceholder(out);
  return status ? out : std::string(status.error().code);
}
Column Of(ValueType type, std::string name) { return {"c", type, std::move(name)}; }
std::string IntArray(const std::vector<Value>& elements, std::vector<ArrayDimension> dimensions) {
  std::string bytes;
  ArrayWriter writer(bytes);
  for (const ArrayDimension dimension : dimensions) writer.AddDimension(dimension);
  for (const Value& element : elements) writer.AddElement(element);
  return bytes;
}

constexpr int64_t kNoon = 1'706'702'400'500'000;  // 2024-01-31 12:00:00.5

TEST(ConnectTypeTest, NumbersAndBooleans) {
  EXPECT_EQ(SchemaOf(Of(ValueType::kBool, "boolean")),
            R"({"type":"boolean","optional":true,"field":"c"})");
  EXPECT_EQ(SchemaOf(Of(ValueType::kInt64, "smallint")),
            R"({"type":"int16","optional":true,"field":"c"})");
  EXPECT_EQ(SchemaOf(Of(ValueType::kInt64, "integer")),
            R"({"type":"int32","optional":true,"field":"c"})");
  EXPECT_EQ(SchemaOf(Of(ValueType::kInt64, "oid")),
            R"({"type":"int64","optional":true,"field":"c"})");
  EXPECT_EQ(SchemaOf(Of(ValueType::kFloat64, "real")),
            R"({"type":"float","optional":true,"field":"c"})");
  EXPECT_EQ(Written(Of(ValueType::kBool, "boolean"), Value::Bool(true)), "true");
  EXPECT_EQ(Written(Of(ValueType::kInt64, "bigint"), Value::Int64(INT64_MIN)),
            "-9223372036854775808");
  EXPECT_EQ(Written(Of(ValueType::kFloat64, "double precision"), Value::Float64(0.1)), "0.1");
  EXPECT_EQ(Written(Of(ValueType::kFloat64, "double precision"), Value::Float64(NAN)), "\"NaN\"");
  EXPECT_EQ(Written(Of(ValueType::kInt64, "bigint"), Value::Null()), "null");
}

TEST(ConnectTypeTest, DecimalsAreTwosComplementOrWhatTheModeSays) {
  const Column fixed = Of(ValueType::kDecimal, "numeric(12,2)");
  EXPECT_EQ(
      SchemaOf(fixed),
      R"({"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal",)"
      R"("version":1,"parameters":{"scale":"2","connect.decimal.precision":"12"},"field":"c"})");
  EXPECT_EQ(Written(fixed, Value::Decimal("12.50")), "\"BOI=\"");  // 1250 = 0x04e2
  EXPECT_EQ(Written(fixed, Value::Decimal("-1.28")), "\"gA==\"");  // -128 = 0x80
  EXPECT_EQ(Written(fixed, Value::Decimal("1.28")), "\"AIA=\"");   // 128 = 0x0080
  EXPECT_EQ(Written(fixed, Value::Decimal("0.00")), "\"AA==\"");
  EXPECT_EQ(Written(fixed, Value::Decimal("NaN")), "decimal_not_finite");
  EXPECT_EQ(Written(Of(ValueType::kDecimal, "numeric(3,-2)"), Value::Decimal("1200")), "\"DA==\"");

  const Column any = Of(ValueType::kDecimal, "numeric");
  EXPECT_EQ(SchemaOf(any),
            R"({"type":"struct","fields":[{"type":"int32","optional":false,"field":"scale"},)"
            R"({"type":"bytes","optional":false,"field":"value"}],"optional":true,)"
            R"("name":"io.debezium.data.VariableScaleDecimal","version":1,)"
            R"("doc":"Variable scaled decimal","field":"c"})");
  EXPECT_EQ(Written(any, Value::Decimal("10.500")), R"({"scale":1,"value":"aQ=="})");
  EXPECT_EQ(Written(any, Value::Decimal("100")), R"({"scale":0,"value":"ZA=="})");
  EXPECT_EQ(Written(any, Value::Decimal("340282366920938463463374607431768211456")),
            R"({"scale":0,"value":"AQAAAAAAAAAAAAAAAAAAAAA="})");  // 2^128
  EXPECT_EQ(Written(any, Value::Decimal("-0.0001")), R"({"scale":4,"value":"/w=="})");

  const Conversion text{.decimal = DecimalMode::kString};
  EXPECT_EQ(Written(fixed, Value::Decimal("12.50"), text), "\"12.50\"");
  EXPECT_EQ(Written(fixed, Value::Decimal("NaN"), text), "\"NAN\"");
  EXPECT_EQ(Written(any, Value::Decimal("-Infinity"), text), "\"NEGATIVE_INFINITY\"");
  const Conversion number{.decimal = DecimalMode::kDouble};
  EXPECT_EQ(SchemaOf(any, number), R"({"type":"double","optional":true,"field":"c"})");
  EXPECT_EQ(Written(any, Value::Decimal("12.50"), number), "12.5");
}

TEST(ConnectTypeTest, TimesFollowTheColumnsPrecisionAndTheMode) {
  const Column timestamp = Of(ValueType::kTimestamp, "timestamp without time zone");
  const Column millis = Of(ValueType::kTimestamp, "timestamp(3) without time zone");
  EXPECT_EQ(SchemaOf(timestamp),
            R"({"type":"int64","optional":true,"name":"io.debezium.time.MicroTimestamp",)"
            R"("version":1,"field":"c"})");
  EXPECT_EQ(Written(timestamp, Value::Timestamp(kNoon)), "1706702400500000");
  EXPECT_EQ(Written(timestamp, Value::Other("infinity")), "9223372036825200000");
  EXPECT_EQ(Written(timestamp, Value::Other("-infinity")), "-9223372036832400000");
  EXPECT_EQ(Written(timestamp, Value::Other("4713-12-31 23:59:59.999999 BC")),
            "-210831897600000001");
  EXPECT_EQ(Written(millis, Value::Timestamp(kNoon)), "1706702400500");
  const Conversion connect{.time_precision = TimePrecision::kConnect};
  EXPECT_EQ(SchemaOf(timestamp, connect),
            R"({"type":"int64","optional":true,"name":"org.apache.kafka.connect.data.Timestamp",)"
            R"("version":1,"field":"c"})");

  const Column zoned = Of(ValueType::kTimestampTz, "timestamp with time zone");
  EXPECT_EQ(Written(zoned, Value::TimestampTz(kNoon)), "\"2024-01-31T12:00:00.500000Z\"");
  EXPECT_EQ(Written(Of(ValueType::kTimestampTz, "timestamp(2) with time zone"),
                    Value::TimestampTz(kNoon)),
            "\"2024-01-31T12:00:00.50Z\"");
  EXPECT_EQ(Written(Of(ValueType::kTimestampTz, "timestamp(0) with time zone"),
                    Value::TimestampTz(kNoon - 500'000)),
            "\"2024-01-31T12:00:00Z\"");
  EXPECT_EQ(Written(zoned, Value::Other("infinity")), "\"infinity\"");
  EXPECT_EQ(Written(zoned, Value::Other("4714-12-31 23:59:59.999999+00 BC")),
            "\"-4713-12-31T23:59:59.999999Z\"");
  EXPECT_EQ(Written(zoned, Value::TimestampTz(601'101'582'690'123'456)),
            "\"+21018-02-25T05:51:30.123456Z\"");

  const Column time = Of(ValueType::kTime, "time without time zone");
  EXPECT_EQ(Written(time, Value::Time(86'400'000'000)), "86400000000");
  EXPECT_EQ(
      SchemaOf(Of(ValueType::kTime, "time(3) without time zone")),
      R"({"type":"int32","optional":true,"name":"io.debezium.time.Time","version":1,"field":"c"})");
  EXPECT_EQ(Written(Of(ValueType::kTime, "time(3) without time zone"), Value::Time(1'500'000)),
            "1500");
  const Conversion micros{.time_precision = TimePrecision::kAdaptiveTimeMicroseconds};
  EXPECT_EQ(
      Written(Of(ValueType::kTime, "time(3) without time zone"), Value::Time(1'500'000), micros),
      "1500000");
  EXPECT_EQ(
      Written(Of(ValueType::kOther, "time with time zone"), Value::Other("13:51:30.123789+02")),
      "\"11:51:30.123789Z\"");
  EXPECT_EQ(Written(Of(ValueType::kOther, "time with time zone"), Value::Other("01:00:00+05:30")),
            "\"19:30:00Z\"");

  const Column date = Of(ValueType::kDate, "date");
  EXPECT_EQ(Written(date, Value::Date(17'109)), "17109");
  EXPECT_EQ(Written(date, Value::Other("0044-03-15 BC")), "-735160");
}

TEST(ConnectTypeTest, IntervalsAreMicrosecondsOrIso) {
  const Column column = Of(ValueType::kInterval, "interval");
  const Interval interval{14, 3, 14'706'700'000};  // 1 year 2 months 3 days 04:05:06.7
  const Value value = Value::OfInterval(&interval);
  EXPECT_EQ(SchemaOf(column),
            R"({"type":"int64","optional":true,"name":"io.debezium.time.MicroDuration",)"
            R"("version":1,"field":"c"})");
  EXPECT_EQ(Written(column, value), "37091106700000");
  const Conversion text{.interval = IntervalMode::kString};
  EXPECT_EQ(Written(column, value, text), "\"P1Y2M3DT4H5M6.7S\"");
  const Interval past{-14, 0, -3'723'000'000};
  EXPECT_EQ(Written(column, Value::OfInterval(&past), text), "\"P-1Y-2M0DT-1H-2M-3S\"");
  const Interval none{};
  EXPECT_EQ(Written(column, Value::OfInterval(&none), text), "\"P0Y0M0DT0H0M0S\"");
}

TEST(ConnectTypeTest, BytesFollowTheMode) {
  const Column column = Of(ValueType::kBytes, "bytea");
  const Value value = Value::Blob(std::string_view("\xfb\xff\x01\x02", 4));
  EXPECT_EQ(Written(column, value), "\"+/8BAg==\"");
  EXPECT_EQ(Written(column, value, {.binary = BinaryMode::kBase64UrlSafe}), "\"-_8BAg==\"");
  EXPECT_EQ(Written(column, value, {.binary = BinaryMode::kHex}), "\"fbff0102\"");
  EXPECT_EQ(SchemaOf(column, {.binary = BinaryMode::kHex}),
            R"({"type":"string","optional":true,"field":"c"})");
}

TEST(ConnectTypeTest, WhatHasASemanticNameBearsIt) {
  const auto name = [](ValueType type, std::string type_name) {
    const std::string schema = SchemaOf(Of(type, std::move(type_name)));
    const size_t at = schema.find("\"name\":\"");
    return at == schema.npos ? "" : schema.substr(at + 8, schema.find('"', at + 8) - at - 8);
  };
  EXPECT_EQ(name(ValueType::kUuid, "uuid"), "io.debezium.data.Uuid");
  EXPECT_EQ(name(ValueType::kJson, "jsonb"), "io.debezium.data.Json");
  EXPECT_EQ(name(ValueType::kText, "xml"), "io.debezium.data.Xml");
  EXPECT_EQ(name(ValueType::kEnum, "public.mood"), "io.debezium.data.Enum");
  EXPECT_EQ(name(ValueType::kOther, "tsvector"), "io.debezium.data.Tsvector");
  EXPECT_EQ(name(ValueType::kOther, "bit(5)"), "io.debezium.data.Bits");
  EXPECT_EQ(name(ValueType::kOther, "public.hstore"), "io.debezium.data.Json");
  EXPECT_EQ(name(ValueType::kText, "character varying(5)"), "");
  EXPECT_EQ(Written(Of(ValueType::kJson, "jsonb"), Value::Json(R"({"a": "b"})")),
            R"("{\"a\": \"b\"}")");
  EXPECT_EQ(Written(Of(ValueType::kOther, "bit(1)"), Value::Other("1")), "true");
  EXPECT_EQ(Written(Of(ValueType::kOther, "bit(5)"), Value::Other("10110")), "\"Fg==\"");
  EXPECT_EQ(Written(Of(ValueType::kOther, "bit varying"), Value::Other("100000000")), "\"AAE=\"");
  EXPECT_EQ(
      Written(Of(ValueType::kOther, "public.hstore"), Value::Other(R"("a"=>"1", "b \"q\""=>NULL)")),
      R"("{\"a\":\"1\",\"b \\\"q\\\"\":null}")");
  EXPECT_EQ(Written(Of(ValueType::kOther, "point"), Value::Other("(1,2)")),
            R"({"x":1,"y":2,"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAABA","srid":null})");
  EXPECT_EQ(Written(Of(ValueType::kUint64, "xid8"), Value::Uint64(UINT64_MAX)),
            "\"18446744073709551615\"");
}

TEST(ConnectTypeTest, ArraysHaveElementsThatMayBeNull) {
  const Column column = Of(ValueType::kArray, "integer[]");
  EXPECT_EQ(
      SchemaOf(column),
      R"({"type":"array","items":{"type":"int32","optional":true},"optional":true,"field":"c"})");
  EXPECT_EQ(Written(column, Value::Array(IntArray({Value::Int64(1), Value::Null()}, {{2, 1}}))),
            "[1,null]");
  EXPECT_EQ(Written(column, Value::Array(IntArray({}, {}))), "[]");
  EXPECT_EQ(
      Written(column, Value::Array(IntArray({Value::Int64(1), Value::Int64(2)}, {{1, 1}, {2, 1}}))),
      "array_nested");
  EXPECT_EQ(Written(column, Value::Array("\xff\xff garbage")), "record_malformed");
}

TEST(ConnectTypeTest, APlaceholderStandsForWhatTheLogDidNotRepeat) {
  EXPECT_EQ(Placeholder(Of(ValueType::kText, "text")), "\"__debezium_unavailable_value\"");
  EXPECT_EQ(Placeholder(Of(ValueType::kJson, "jsonb"), {.placeholder = "gone"}), "\"gone\"");
  EXPECT_EQ(Placeholder(Of(ValueType::kBytes, "bytea"), {.placeholder = "gone"}), "\"Z29uZQ==\"");
  EXPECT_EQ(Placeholder(Of(ValueType::kArray, "text[]"), {.placeholder = "gone"}), "[\"gone\"]");
  EXPECT_EQ(Placeholder(Of(ValueType::kArray, "integer[]"), {.placeholder = "go"}), "[103,111]");
  EXPECT_EQ(Placeholder(Of(ValueType::kOther, "hstore"), {.placeholder = "gone"}),
            R"("{\"gone\":\"gone\"}")");
  EXPECT_EQ(Placeholder(Of(ValueType::kDecimal, "numeric")), "unchanged_not_representable");
}

TEST(ConnectTypeTest, TextThatIsNoUtf8IsRefused) {
  EXPECT_EQ(Written(Of(ValueType::kText, "text"), Value::Text("\xff")), "text_not_utf8");
}

std::string WrittenOfMysql(const Column& column, const Value& value,
                           const Conversion& conversion = {}) {
  std::string out;
  const Status status = ConnectType(column, conversion, TypeNames::kMysql).AppendValue(value, out);
  return status ? out : std::string(status.error().code);
}
std::string SchemaOfMysql(const Column& column, const Conversion& conversion = {}) {
  std::string out;
  ConnectType(column, conversion, TypeNames::kMysql).AppendSchema("c", true, out);
  return out;
}

// What its connector writes is compared as a whole in tests/integration/test_mysql_kafka_sink.py;
// here is what that cannot hold.
TEST(ConnectTypeTest, UnsignedNumbersOfMysqlThatAreTooLargeNeedThePreciseMode) {
  const Column column = Of(ValueType::kUint64, "bigint unsigned");
  EXPECT_EQ(WrittenOfMysql(column, Value::Uint64(INT64_MAX)), "9223372036854775807");
  EXPECT_EQ(WrittenOfMysql(column, Value::Uint64(UINT64_MAX)), "integer_too_large");
  const Conversion precise{.unsigned_bigint = UnsignedBigintMode::kPrecise};
  EXPECT_EQ(WrittenOfMysql(column, Value::Uint64(UINT64_MAX), precise), "\"AP//////////\"");
  EXPECT_EQ(
      SchemaOfMysql(column, precise),
      R"({"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal",)"
      R"("version":1,"parameters":{"scale":"0","connect.decimal.precision":"20"},"field":"c"})");
}

TEST(ConnectTypeTest, DatesOfMysqlThatAreNoneAreRefusedAndTimesBeyondADayAreNot) {
  EXPECT_EQ(WrittenOfMysql(Of(ValueType::kDate, "date"), Value::Other("0000-00-00")),
            "value_not_convertible");
  EXPECT_EQ(WrittenOfMysql(Of(ValueType::kDate, "date"), Value::Other("2024-02-31")),
            "value_not_convertible");
  EXPECT_EQ(
      WrittenOfMysql(Of(ValueType::kTimestamp, "datetime"), Value::Other("2024-00-10 00:00:00")),
      "value_not_convertible");
  const Column time = Of(ValueType::kTime, "time(1)");
  EXPECT_EQ(WrittenOfMysql(time, Value::Other("-838:59:58.5")), "-3020398500000");
  const Conversion connect{.time_precision = TimePrecision::kConnect};
  EXPECT_EQ(WrittenOfMysql(time, Value::Other("838:59:59"), connect), "value_not_convertible");
}

TEST(ConnectTypeTest, AVectorOfMysqlIsAnArrayOfSingles) {
  const Column column = Of(ValueType::kArray, "vector(2)");
  EXPECT_EQ(SchemaOfMysql(column),
            R"({"type":"array","items":{"type":"float","optional":true},"optional":true,)"
            R"("name":"io.debezium.data.FloatVector","version":1,"field":"c"})");
  const std::string bytes =
      IntArray({Value::Float64(0.5), Value::Float64(-1)}, {{.length = 2, .lower_bound = 1}});
  EXPECT_EQ(WrittenOfMysql(column, Value::Array(bytes)), "[0.5,-1]");
}

}  // namespace
}  // namespace tailwater::kafka_sink
