#include "expression/decimal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

namespace tailwater::expression {
namespace {

// A number of up to 18 + 18 digits with `scale` of them behind the point, as 128 bits and as text.
struct Reference {
  __int128 units = 0;
  int scale = 0;
};

std::string Digits(unsigned __int128 units) {
  std::string out;
  do {
    out.insert(out.begin(), static_cast<char>('0' + static_cast<int>(units % 10)));
    units /= 10;
  } while (units != 0);
  return out;
}

// As servers print it: with all digits of its scale.
std::string Text(const Reference& number) {
  const bool negative = number.units < 0;
  std::string digits =
      Digits(static_cast<unsigned __int128>(negative ? -number.units : number.units));
  const auto scale = static_cast<size_t>(number.scale);
  if (digits.size() <= scale) digits.insert(0, scale + 1 - digits.size(), '0');
  if (scale > 0) digits.insert(digits.size() - scale, ".");
  return (negative ? "-" : "") + digits;
}

__int128 Scaled(const Reference& number, int scale) {
  __int128 units = number.units;
  for (int i = number.scale; i < scale; ++i) units *= 10;
  return units;
}

std::string Canonical(const Reference& number) { return CanonicalDecimal(Text(number)).value(); }

class RandomNumbers {
 public:
  Reference Next() {
    Reference number;
    number.scale = static_cast<int>(random_() % 7);
    const int digits = 1 + static_cast<int>(random_() % 12);
    for (int i = 0; i < digits; ++i) {
      // Many nines and zeros: carries and zeros at both ends.
      const int digit = random_() % 3 == 0   ? 9
                        : random_() % 3 == 0 ? 0
                                             : static_cast<int>(random_() % 10);
      number.units = number.units * 10 + digit;
    }
    if (random_() % 2 == 0) number.units = -number.units;
    return number;
  }
  uint32_t Any() { return random_(); }

 private:
  std::mt19937 random_{20261121};
};

TEST(Decimal, AgreesWithIntegersOf128Bits) {
  RandomNumbers random;
  for (int round = 0; round < 20'000; ++round) {
    const Reference a = random.Next();
    Reference b = random.Next();
    if (round % 5 == 0) b = {a.units * 10, a.scale + 1};  // the same, written otherwise
    const std::string left = Canonical(a), right = Canonical(b);
    const int scale = std::max(a.scale, b.scale);
    const __int128 x = Scaled(a, scale), y = Scaled(b, scale);
    const auto sign = [](__int128 value) { return value < 0 ? -1 : value > 0 ? 1 : 0; };
    const int order = CompareDecimals(left, right);
    ASSERT_EQ(order < 0   ? -1
              : order > 0 ? 1
                          : 0,
              sign(x < y   ? -1
                   : x > y ? 1
                           : 0))
        << left << " " << right;
    ASSERT_EQ(left == right, x == y) << left << " " << right;
    ASSERT_EQ(AddDecimals(left, right), Canonical({x + y, scale})) << left << " + " << right;
    ASSERT_EQ(SubtractDecimals(left, right), Canonical({x - y, scale})) << left << " - " << right;
    ASSERT_EQ(MultiplyDecimals(left, right), Canonical({a.units * b.units, a.scale + b.scale}))
        << left << " * " << right;
    ASSERT_EQ(NegateDecimal(left), Canonical({-a.units, a.scale})) << left;

    const int places = static_cast<int>(random.Any() % 10) - 3;
    Reference rounded = a;
    __int128 unit = 1;
    for (int i = places; i < a.scale; ++i) unit *= 10;
    if (places < a.scale) {
      const __int128 half = (a.units < 0 ? -unit : unit) / 2;
      rounded.units = (a.units + half) / unit * unit;
    }
    ASSERT_EQ(RoundDecimal(left, places), Canonical(rounded)) << left << " to " << places;

    std::string copy;
    std::string_view view;
    const std::string text = Text(a);
    ASSERT_TRUE(CanonicalDecimal(text, copy, view));
    ASSERT_EQ(view, left) << text;
    ASSERT_DOUBLE_EQ(DecimalToDouble(left), std::stod(text)) << text;
  }
}

TEST(Decimal, WritesEveryNumberInOneWay) {
  const struct {
    const char* text;
    const char* canonical;
  } kCases[] = {{"1.50", "1.5"},  {"-0.00", "0"}, {"-0", "0"},       {"007", "7"},
                {"+.5", "0.5"},   {"5.", "5"},    {"1e3", "1000"},   {"1.25E-3", "0.00125"},
                {"12e-1", "1.2"}, {"NaN", "NaN"}, {"100.00", "100"}, {"-Infinity", "-Infinity"},
                {"0.10", "0.1"},  {"000.0", "0"}};
  for (const auto& test : kCases) {
    EXPECT_EQ(CanonicalDecimal(test.text), test.canonical) << test.text;
    std::string copy;
    std::string_view view;
    ASSERT_TRUE(CanonicalDecimal(test.text, copy, view));
    EXPECT_EQ(view, test.canonical) << test.text;
  }
  for (const char* text :
       {"", "-", ".", "1.2.3", "1e", "x", "1e1001", "nan", "0x10", "1 ", "--1", "e5"}) {
    EXPECT_EQ(CanonicalDecimal(text), std::nullopt) << text;
  }
}

TEST(Decimal, OrdersAsPostgresDoes) {
  const char* kAscending[] = {"-Infinity", "-10", "-9.5", "-0.1",     "0",  "0.09",
                              "0.1",       "9.5", "10",   "Infinity", "NaN"};
  for (size_t i = 0; i < std::size(kAscending); ++i) {
    for (size_t j = 0; j < std::size(kAscending); ++j) {
      const int order = CompareDecimals(kAscending[i], kAscending[j]);
      EXPECT_EQ(order < 0, i < j) << kAscending[i] << " " << kAscending[j];
      EXPECT_EQ(order > 0, i > j) << kAscending[i] << " " << kAscending[j];
    }
  }
}

TEST(Decimal, CountsWithWhatIsNotFinite) {
  EXPECT_EQ(AddDecimals("Infinity", "1"), "Infinity");
  EXPECT_EQ(AddDecimals("Infinity", "-Infinity"), "NaN");
  EXPECT_EQ(SubtractDecimals("Infinity", "-Infinity"), "Infinity");
  EXPECT_EQ(SubtractDecimals("1", "Infinity"), "-Infinity");
  EXPECT_EQ(MultiplyDecimals("-2", "Infinity"), "-Infinity");
  EXPECT_EQ(MultiplyDecimals("0", "Infinity"), "NaN");
  EXPECT_EQ(MultiplyDecimals("NaN", "0"), "NaN");
  EXPECT_EQ(NegateDecimal("-Infinity"), "Infinity");
}

TEST(Decimal, BoundsItsDigits) {
  const std::string long_number(600, '9');
  EXPECT_EQ(MultiplyDecimals(long_number, long_number), std::nullopt);
  EXPECT_TRUE(AddDecimals(long_number, long_number).has_value());
  EXPECT_EQ(AddDecimals(std::string(2000, '9'), "1"), std::nullopt);
}

}  // namespace
}  // namespace tailwater::expression
