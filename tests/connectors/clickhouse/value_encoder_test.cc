#include "clickhouse/value_encoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "clickhouse/sql_text.h"
#include "clickhouse/wide_number.h"
#include "tailwater/array.h"

namespace tailwater::clickhouse {
namespace {

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

// The bytes, or why there are none.
std::string Encoded(const Value& value, const char* type,
                    Unrepresentable policy = Unrepresentable::kReject) {
  ValueEncoder encoder(policy);
  std::string out = "kept";
  const Fit fit = encoder.Append(value, ParseType(type), out);
  EXPECT_TRUE(out.starts_with("kept"));
  if (fit == Fit::kExact) return Hex(std::string_view(out).substr(4));
  EXPECT_EQ(out, "kept");
  return std::string(FitText(fit));
}

std::string Why(Fit fit) { return std::string(FitText(fit)); }

TEST(ValueEncoderTest, WholeNumbersFitOrAreRefused) {
  EXPECT_EQ(Encoded(Value::Int64(-2), "Int16"), "feff");
  EXPECT_EQ(Encoded(Value::Int64(-2), "Int128"), "fe" + std::string(30, 'f'));
  EXPECT_EQ(Encoded(Value::Int64(128), "Int8"), Why(Fit::kAbove));
  EXPECT_EQ(Encoded(Value::Int64(-128), "Int8"), "80");
  EXPECT_EQ(Encoded(Value::Int64(-129), "Int8"), Why(Fit::kBelow));
  EXPECT_EQ(Encoded(Value::Int64(-1), "UInt64"), Why(Fit::kBelow));
  EXPECT_EQ(Encoded(Value::Uint64(~uint64_t{0}), "UInt64"), std::string(16, 'f'));
  EXPECT_EQ(Encoded(Value::Uint64(~uint64_t{0}), "Int64"), Why(Fit::kAbove));
  EXPECT_EQ(Encoded(Value::Int64(std::numeric_limits<int64_t>::min()), "Int64"),
            "0000000000000080");
  EXPECT_EQ(Encoded(Value::Decimal("12.00"), "Int8"), "0c");
  EXPECT_EQ(Encoded(Value::Decimal("12.50"), "Int8"), Why(Fit::kPrecision));
  EXPECT_EQ(Encoded(Value::Bool(true), "UInt8"), "01");
}

TEST(ValueEncoderTest, NullNeedsANullableType) {
  EXPECT_EQ(Encoded(Value::Null(), "Int64"), Why(Fit::kNull));
  EXPECT_EQ(Encoded(Value::Null(), "Nullable(Int64)"), "01");
  EXPECT_EQ(Encoded(Value::Int64(1), "Nullable(Int8)"), "0001");
}

TEST(ValueEncoderTest, DecimalsKeepEveryDigitOrAreRefused) {
  EXPECT_EQ(Encoded(Value::Decimal("-1.5"), "Decimal(9, 2)"), "6affffff");
  EXPECT_EQ(Encoded(Value::Decimal("1.500"), "Decimal(9, 2)"), "96000000");
  EXPECT_EQ(Encoded(Value::Decimal("1.505"), "Decimal(9, 2)"), Why(Fit::kPrecision));
  EXPECT_EQ(Encoded(Value::Decimal("9999999.99"), "Decimal(9, 2)"), "ffc99a3b");
  EXPECT_EQ(Encoded(Value::Decimal("10000000.00"), "Decimal(9, 2)"), Why(Fit::kAbove));
  EXPECT_EQ(Encoded(Value::Decimal("-10000000.001"), "Decimal(9, 2)"), Why(Fit::kBelow));
  EXPECT_EQ(Encoded(Value::Decimal("NaN"), "Decimal(9, 2)"), Why(Fit::kNone));
  EXPECT_EQ(Encoded(Value::Decimal("Infinity"), "Decimal(9, 2)"), Why(Fit::kAbove));
  EXPECT_EQ(Encoded(Value::Decimal("-0.00"), "Decimal(9, 2)"), "00000000");
  EXPECT_EQ(Encoded(Value::Decimal(std::string(76, '9')), "Decimal(76, 0)").size(), 64u);
  EXPECT_EQ(Encoded(Value::Decimal("18446744073709551616"), "Decimal(38, 0)"),
            "00000000000000000100000000000000");
  EXPECT_EQ(Encoded(Value::Int64(-3), "Decimal(9, 1)"), "e2ffffff");
}

TEST(ValueEncoderTest, ExponentsAreRead) {
  DecimalDigits number;
  ASSERT_TRUE(ParseDecimalDigits("1.5e-3", number));
  EXPECT_EQ(number.digits, "15");
  EXPECT_EQ(number.fraction, 4u);
  ASSERT_TRUE(ParseDecimalDigits("2E+3", number));
  EXPECT_EQ(number.digits, "2000");
  EXPECT_FALSE(ParseDecimalDigits("1e999999999", number));
  EXPECT_FALSE(ParseDecimalDigits("", number));
  EXPECT_FALSE(ParseDecimalDigits("1x", number));
}

TEST(ValueEncoderTest, FloatsLoseNothing) {
  EXPECT_EQ(Encoded(Value::Float64(1.5), "Float64"), "000000000000f83f");
  EXPECT_EQ(Encoded(Value::Float64(0.1), "Float32"), "cdcccc3d") << "as a single prints it";
  EXPECT_EQ(Encoded(Value::Float64(0.1234567891), "Float32"), Why(Fit::kPrecision));
  EXPECT_EQ(Encoded(Value::Float64(1e300), "Float32"), Why(Fit::kAbove));
  EXPECT_EQ(Encoded(Value::Decimal("0.1"), "Float64"), "9a9999999999b93f");
  EXPECT_EQ(Encoded(Value::Decimal("0.1000000000000000000001"), "Float64"), Why(Fit::kPrecision));
  EXPECT_EQ(Encoded(Value::Int64((int64_t{1} << 53) + 1), "Float64"), Why(Fit::kPrecision));
  EXPECT_EQ(Encoded(Value::Int64(-4), "Float32"), "000080c0");
  EXPECT_EQ(Encoded(Value::Float64(-std::numeric_limits<double>::infinity()), "Float64"),
            "000000000000f0ff");
}

TEST(ValueEncoderTest, DatesAndTimesHaveBounds) {
  EXPECT_EQ(Encoded(Value::Date(1), "Date32"), "01000000");
  EXPECT_EQ(Encoded(Value::Date(-25'567), "Date32"), "219cffff");
  EXPECT_EQ(Encoded(Value::Date(-25'568), "Date32"), Why(Fit::kBelow));
  EXPECT_EQ(Encoded(Value::Date(120'530), "Date32"), Why(Fit::kAbove));
  EXPECT_EQ(Encoded(Value::Date(-1), "Date"), Why(Fit::kBelow));
  EXPECT_EQ(Encoded(Value::Other("infinity"), "Date32"), Why(Fit::kAbove));
  EXPECT_EQ(Encoded(Value::Other("0044-03-15 BC"), "Date32"), Why(Fit::kBelow));
  EXPECT_EQ(Encoded(Value::Other("2024-00-00"), "Date32"), Why(Fit::kNone));
  EXPECT_EQ(Encoded(Value::TimestampTz(1), "DateTime64(6, 'UTC')"), "0100000000000000");
  EXPECT_EQ(Encoded(Value::TimestampTz(1), "DateTime64(3, 'UTC')"), Why(Fit::kPrecision));
  EXPECT_EQ(Encoded(Value::TimestampTz(-2'000), "DateTime64(3)"), "feffffffffffffff");
  EXPECT_EQ(Encoded(Value::TimestampTz(2), "DateTime64(9)"), "d007000000000000");
  EXPECT_EQ(Encoded(Value::Timestamp(253'402'300'799'000'000), "DateTime64(6)"), Why(Fit::kAbove));
  EXPECT_EQ(Encoded(Value::Timestamp(500'000), "DateTime"), Why(Fit::kPrecision));
  EXPECT_EQ(Encoded(Value::Timestamp(2'000'000), "DateTime('UTC')"), "02000000");
}

TEST(ValueEncoderTest, WhatCannotBeIsReplacedOnlyIfAsked) {
  const Value far = Value::Other("infinity");
  EXPECT_EQ(Encoded(far, "Nullable(Date32)", Unrepresentable::kNull), "01");
  EXPECT_EQ(Encoded(far, "Date32", Unrepresentable::kNull), Why(Fit::kAbove)) << "takes no NULL";
  EXPECT_EQ(Encoded(far, "Nullable(Date32)", Unrepresentable::kClamp), "00d1d60100");
  EXPECT_EQ(Encoded(Value::Other("-infinity"), "Date", Unrepresentable::kClamp), "0000");
  EXPECT_EQ(Encoded(Value::Decimal("NaN"), "Nullable(Decimal(9, 2))", Unrepresentable::kNull),
            "01");
  EXPECT_EQ(Encoded(Value::Decimal("1.505"), "Nullable(Decimal(9, 2))", Unrepresentable::kNull),
            Why(Fit::kPrecision));
  ValueEncoder encoder(Unrepresentable::kClamp);
  std::string out;
  EXPECT_EQ(encoder.Append(far, ParseType("DateTime64(9)"), out), Fit::kExact);
  EXPECT_EQ(encoder.replaced(), 1u);
}

TEST(ValueEncoderTest, TextTakesEverything) {
  EXPECT_EQ(Encoded(Value::Text("a"), "String"), "0161");
  EXPECT_EQ(Encoded(Value::Blob(std::string_view("\0\xff", 2)), "String"), "0200ff");
  EXPECT_EQ(Encoded(Value::Date(0), "String"), "0a" + Hex("1970-01-01"));
  EXPECT_EQ(Encoded(Value::Decimal("1.50"), "String"), "04" + Hex("1.50"));
  EXPECT_EQ(Encoded(Value::Text("abc"), "FixedString(3)"), "616263");
  EXPECT_EQ(Encoded(Value::Text("ab"), "FixedString(3)"), Why(Fit::kLength));
}

TEST(ValueEncoderTest, UuidsAreTwoHalves) {
  EXPECT_EQ(Encoded(Value::Uuid("0123456789abcdef"), "UUID"), Hex("76543210") + Hex("fedcba98"));
}

TEST(ValueEncoderTest, EnumsNeedTheirLabel) {
  EXPECT_EQ(Encoded(Value::Enum("b"), "Enum8('a' = 1, 'b' = -2)"), "fe");
  EXPECT_EQ(Encoded(Value::Enum("c"), "Enum8('a' = 1, 'b' = -2)"), Why(Fit::kLabel));
}

TEST(ValueEncoderTest, ArraysHaveTheDimensionsOfTheirType) {
  std::string wire;
  ArrayWriter writer(wire);
  writer.AddDimension({2, 1});
  writer.AddElement(Value::Int64(1));
  writer.AddElement(Value::Null());
  EXPECT_EQ(Encoded(Value::Array(wire), "Array(Nullable(Int8))"), "02000101");
  EXPECT_EQ(Encoded(Value::Array(wire), "Array(Int8)"), Why(Fit::kNull));
  EXPECT_EQ(Encoded(Value::Array(wire), "Array(Array(Int8))"), Why(Fit::kShape));
  EXPECT_EQ(Encoded(Value::Array(""), "Array(Array(Int8))"), "00");
  EXPECT_EQ(Encoded(Value::Array("\xff\xff"), "Array(Int8)"), Why(Fit::kMalformed));
  EXPECT_EQ(Encoded(Value::Array(wire), "String"), "08" + Hex("[1,null]"));

  std::string nested;
  ArrayWriter two(nested);
  two.AddDimension({2, 1});
  two.AddDimension({1, 1});
  two.AddElement(Value::Int64(1));
  two.AddElement(Value::Int64(2));
  EXPECT_EQ(Encoded(Value::Array(nested), "Array(Array(Int8))"), "0201010102");
  std::string shifted;
  ArrayWriter from_zero(shifted);
  from_zero.AddDimension({1, 0});
  from_zero.AddElement(Value::Int64(1));
  EXPECT_EQ(Encoded(Value::Array(shifted), "Array(Int8)"), Why(Fit::kShape));
}

TEST(ValueEncoderTest, TypesThatMeanAnotherThingAreRefused) {
  EXPECT_EQ(Encoded(Value::Text("1"), "Int64"), Why(Fit::kType));
  EXPECT_EQ(Encoded(Value::Float64(1), "Decimal(9, 2)"), Why(Fit::kType));
  EXPECT_FALSE(Takes(ParseType("Int64"), {.name = "c", .type = ValueType::kText}));
  EXPECT_FALSE(Takes(ParseType("Date32"), {.name = "c", .type = ValueType::kOther}));
  EXPECT_TRUE(Takes(ParseType("Decimal(9, 2)"), {.name = "c", .type = ValueType::kInt64}));
  EXPECT_FALSE(Takes(ParseType("Map(String, String)"), {.name = "c", .type = ValueType::kJson}));
}

TEST(ValueEncoderTest, LiteralsSayTheSameValue) {
  const auto literal = [](const Value& value, const char* type) {
    std::string out;
    return AppendLiteral(value, ParseType(type), out) ? out : "(none)";
  };
  EXPECT_EQ(literal(Value::Int64(-1), "Int64"), "-1");
  EXPECT_EQ(literal(Value::Text("it's \\ \n"), "String"), R"('it\'s \\ \x0A')");
  EXPECT_EQ(literal(Value::Decimal("1.50"), "Decimal(9, 2)"), "CAST('1.50' AS Decimal(9, 2))");
  EXPECT_EQ(literal(Value::TimestampTz(1'500'000), "DateTime64(6, 'Europe/Berlin')"),
            "toDateTime64('1970-01-01 00:00:01.5', 6, 'UTC')");
  EXPECT_EQ(literal(Value::Uuid("0123456789abcdef"), "UUID"),
            "CAST('30313233-3435-3637-3839-616263646566' AS UUID)");
  EXPECT_EQ(literal(Value::Null(), "Int64"), "(none)");
  EXPECT_EQ(Name("a`b\\c"), "`a\\`b\\\\c`");
}

}  // namespace
}  // namespace tailwater::clickhouse
