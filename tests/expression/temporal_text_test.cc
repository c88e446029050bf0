#include "expression/temporal_text.h"

#include <gtest/gtest.h>

#include <string>

namespace tailwater::expression {
namespace {

TEST(TemporalText, ReadsWhatIsPrinted) {
  // Dates around every leap rule, back through the printer.
  for (int64_t days = -719'162; days < 2'932'896; days += 97) {
    std::string text;
    AppendReadable(Value::Date(days), text);
    ASSERT_EQ(TemporalColumnValue(ValueType::kDate, text), days) << text;
  }
  for (int64_t micros = -62'135'596'800'000'000; micros < 253'402'300'799'999'999;
       micros += 1'000'003'000'000'007) {
    std::string text;
    AppendReadable(Value::Timestamp(micros), text);
    ASSERT_EQ(TemporalColumnValue(ValueType::kTimestamp, text), micros) << text;
    ASSERT_EQ(TemporalColumnValue(ValueType::kTimestampTz, text + "+00"), micros) << text;
    ASSERT_EQ(TemporalColumnValue(ValueType::kTimestampTz, text + "+02:30"), micros - 9'000'000'000)
        << text;
  }
}

TEST(TemporalText, KnowsTheYearsBeforeChrist) {
  EXPECT_EQ(TemporalColumnValue(ValueType::kDate, "0001-12-31 BC"), -719'163);
  EXPECT_EQ(TemporalColumnValue(ValueType::kDate, "0001-02-29 BC"), -719'469);
  EXPECT_EQ(TemporalColumnValue(ValueType::kDate, "0002-02-29 BC"), std::nullopt);
  EXPECT_EQ(TemporalColumnValue(ValueType::kDate, "infinity"), kPlusInfinity);
  EXPECT_EQ(TemporalColumnValue(ValueType::kTimestampTz, "-infinity"), kMinusInfinity);
}

TEST(TemporalText, RefusesWhatIsNone) {
  for (const char* text :
       {"", "2026", "2026-13-01", "2026-02-29", "2026-1-1", "2026-01-01 25:00", "2026-01-01 10:60",
        "2026-01-01 10:00:00.1234567", "2026-01-01 10:00+", "2026-01-01x", "24:00:01", "10:00 BC",
        "2026-01-01 10:00 +1", "Infinity", "999999-01-01 00:00:00"}) {
    EXPECT_FALSE(ParseTemporal(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace tailwater::expression
