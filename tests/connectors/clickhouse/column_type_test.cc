#include "clickhouse/column_type.h"

#include <gmock/gmock.h>

namespace tailwater::clickhouse {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(ColumnTypeTest, WrappersAreSeenThrough) {
  const Type type = ParseType("LowCardinality(Nullable(String))");
  EXPECT_EQ(type.kind, Kind::kString);
  EXPECT_TRUE(type.nullable);
  EXPECT_EQ(type.text, "LowCardinality(Nullable(String))");
}

TEST(ColumnTypeTest, NumbersKnowTheirWidth) {
  EXPECT_EQ(ParseType("Int256").bytes, 32u);
  EXPECT_EQ(ParseType("UInt8").kind, Kind::kUint);
  const Type decimal = ParseType("Nullable(Decimal(12, 2))");
  EXPECT_EQ(decimal.precision, 12u);
  EXPECT_EQ(decimal.scale, 2u);
  EXPECT_EQ(decimal.bytes, 8u);
  EXPECT_EQ(ParseType("Decimal(76, 0)").bytes, 32u);
  EXPECT_EQ(ParseType("Decimal128(5)").precision, 38u);
}

TEST(ColumnTypeTest, TimesKnowTheirZoneAndScale) {
  const Type type = ParseType("DateTime64(3, 'Europe/Berlin')");
  EXPECT_EQ(type.kind, Kind::kDateTime64);
  EXPECT_EQ(type.scale, 3u);
  EXPECT_EQ(type.timezone, "Europe/Berlin");
  EXPECT_EQ(ParseType("DateTime").kind, Kind::kDateTime);
  EXPECT_EQ(ParseType("DateTime('UTC')").timezone, "UTC");
  EXPECT_EQ(ParseType("DateTime64(6)").scale, 6u);
}

TEST(ColumnTypeTest, LabelsMayHoldAnything) {
  const Type type = ParseType(R"(Enum16('a, b' = -2, 'it\'s = (x)' = 300))");
  EXPECT_EQ(type.kind, Kind::kEnum);
  EXPECT_EQ(type.bytes, 2u);
  EXPECT_THAT(type.labels, ElementsAre(Pair("a, b", -2), Pair("it's = (x)", 300)));
}

TEST(ColumnTypeTest, WhatNobodyHereWritesIsUnsupported) {
  for (const char* text :
       {"Map(String, Int64)", "Tuple(a Int8)", "Array(IPv4)", "AggregateFunction(sum, Int64)", "X",
        "Variant(Int64, String)", "Nullable(Nothing)"}) {
    EXPECT_EQ(ParseType(text).kind, Kind::kUnsupported) << text;
  }
  EXPECT_EQ(ParseType("JSON(max_dynamic_paths=10)").kind, Kind::kJson);
}

TEST(ColumnTypeTest, ValuesAreSkippedToTheByte) {
  const auto skip = [](const char* type, std::string bytes) {
    bytes += "rest";
    std::string_view in = bytes;
    return SkipValue(ParseType(type), in) ? std::string(in) : "(fails)";
  };
  EXPECT_EQ(skip("Int64", std::string(8, 'x')), "rest");
  EXPECT_EQ(skip("Nullable(Int64)", "\x01"), "rest");
  EXPECT_EQ(skip("Nullable(Int64)", std::string(1, '\0') + std::string(8, 'x')), "rest");
  EXPECT_EQ(skip("String",
                 "\x03"
                 "abc"),
            "rest");
  EXPECT_EQ(skip("Array(Nullable(String))", std::string("\x02\x01\x00\x01"
                                                        "a",
                                                        5)),
            "rest");
  EXPECT_EQ(skip("Map(String, Int64)", ""), "(fails)");
  std::string_view cut =
      "\x05"
      "abc";
  EXPECT_FALSE(SkipValue(ParseType("String"), cut));
}

TEST(ColumnTypeTest, LengthsHaveSevenBitsAByte) {
  for (const uint64_t length : {uint64_t{0}, uint64_t{127}, uint64_t{128}, uint64_t{300},
                                uint64_t{1} << 40, ~uint64_t{0}}) {
    std::string bytes;
    AppendLength(length, bytes);
    std::string_view in = bytes;
    uint64_t read = 1;
    ASSERT_TRUE(TakeLength(in, read));
    EXPECT_EQ(read, length);
    EXPECT_TRUE(in.empty());
  }
}

}  // namespace
}  // namespace tailwater::clickhouse
