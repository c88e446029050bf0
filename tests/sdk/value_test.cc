#include "tailwater/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tailwater/array.h"

namespace tailwater {
namespace {

std::string Readable(const Value& value) {
  std::string out;
  AppendReadable(value, out);
  return out;
}

TEST(Value, SaysWhichOfTheFourStatesItIsIn) {
  EXPECT_EQ(Readable(Value()), "(omitted)");
  EXPECT_EQ(Readable(Value::Null()), "NULL");
  EXPECT_EQ(Readable(Value::Unchanged()), "(unchanged)");
  EXPECT_NE(Value::Null(), Value::Unchanged());
  EXPECT_NE(Value::Null(), Value::Omitted());
  EXPECT_NE(Value::Text(""), Value::Null());
}

TEST(Value, ComparesByTypeAndPayload) {
  EXPECT_EQ(Value::Int64(5), Value::Int64(5));
  EXPECT_NE(Value::Int64(5), Value::Uint64(5));
  EXPECT_NE(Value::Text("1"), Value::Json("1"));
  EXPECT_EQ(Value::Float64(std::nan("")), Value::Float64(std::nan("")));
  const Interval a{1, 2, 3}, b{1, 2, 3}, c{1, 2, 4};
  EXPECT_EQ(Value::OfInterval(&a), Value::OfInterval(&b));
  EXPECT_NE(Value::OfInterval(&a), Value::OfInterval(&c));
}

TEST(Value, PrintsNumbersExactly) {
  EXPECT_EQ(Readable(Value::Bool(true)), "true");
  EXPECT_EQ(Readable(Value::Int64(std::numeric_limits<int64_t>::min())), "-9223372036854775808");
  EXPECT_EQ(Readable(Value::Uint64(std::numeric_limits<uint64_t>::max())), "18446744073709551615");
  EXPECT_EQ(Readable(Value::Uint64(0)), "0");
  EXPECT_EQ(Readable(Value::Float64(0.1)), "0.1");
  EXPECT_EQ(Readable(Value::Float64(std::nan(""))), "NaN");
  EXPECT_EQ(Readable(Value::Float64(-INFINITY)), "-Infinity");
  EXPECT_EQ(Readable(Value::Decimal("1.500")), "1.500");
}

TEST(Value, PrintsDatesAndTimes) {
  EXPECT_EQ(Readable(Value::Date(0)), "1970-01-01");
  EXPECT_EQ(Readable(Value::Date(-1)), "1969-12-31");
  EXPECT_EQ(Readable(Value::Date(11016)), "2000-02-29");
  EXPECT_EQ(Readable(Value::Date(-719162)), "0001-01-01");
  EXPECT_EQ(Readable(Value::Date(2932896)), "9999-12-31");
  EXPECT_EQ(Readable(Value::Date(std::numeric_limits<int64_t>::min())),
            "-9223372036854775808 days since 1970-01-01");
  EXPECT_EQ(Readable(Value::Time(86'400'000'000)), "24:00:00");
  EXPECT_EQ(Readable(Value::Time(1'500'000)), "00:00:01.5");
  EXPECT_EQ(Readable(Value::Timestamp(-1)), "1969-12-31 23:59:59.999999");
  EXPECT_EQ(Readable(Value::TimestampTz(1'000'000'000'000'000)), "2001-09-09 01:46:40+00");
}

TEST(Value, PrintsIntervals) {
  const auto readable = [](Interval interval) { return Readable(Value::OfInterval(&interval)); };
  EXPECT_EQ(readable({14, 3, 3'661'000'001}), "1 year 2 mons 3 days 01:01:01.000001");
  EXPECT_EQ(readable({-1, 2, 1'000'000}), "-1 mons +2 days 00:00:01");
  EXPECT_EQ(readable({0, -2, 1'000'000}), "-2 days +00:00:01");
  EXPECT_EQ(readable({}), "00:00:00");
  EXPECT_EQ(readable({0, -1, 0}), "-1 days");
  EXPECT_EQ(readable({1, 0, -1'000'000}), "1 mon -00:00:01");
}

TEST(Value, PrintsBytesAndUuids) {
  EXPECT_EQ(Readable(Value::Blob(std::string_view("\x00\xff", 2))), "\\x00ff");
  EXPECT_EQ(Readable(Value::Uuid("0123456789abcdef")), "30313233-3435-3637-3839-616263646566");
}

TEST(Value, PrintsArraysAsPostgresDoes) {
  std::string wire;
  ArrayWriter writer(wire);
  writer.AddDimension({2, 1});
  writer.AddDimension({2, 1});
  writer.AddElement(Value::Text("a"));
  writer.AddElement(Value::Null());
  writer.AddElement(Value::Text("NULL"));
  writer.AddElement(Value::Text("b\"c d"));
  EXPECT_EQ(Readable(Value::Array(wire)), R"({{a,NULL},{"NULL","b\"c d"}})");
  EXPECT_EQ(Readable(Value::Array("")), "{}");
  wire.clear();
  writer.AddDimension({2, 0});
  writer.AddElement(Value::Int64(1));
  writer.AddElement(Value::Int64(2));
  EXPECT_EQ(Readable(Value::Array(wire)), "[0:1]={1,2}");
  EXPECT_EQ(Readable(Value::Array("\x01")), "(malformed array)");
}

TEST(Value, NamesEveryType) {
  for (int type = 1; type <= 17; ++type) {
    EXPECT_NE(ValueTypeName(static_cast<ValueType>(type)), "unknown") << type;
  }
}

}  // namespace
}  // namespace tailwater
