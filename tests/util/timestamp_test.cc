#include "util/timestamp.h"

#include <gtest/gtest.h>

namespace tailwater {
namespace {

TEST(TimestampTest, ReadsZonesAndFractions) {
  EXPECT_EQ(ParseTimestamp("1970-01-01"), 0);
  EXPECT_EQ(ParseTimestamp("1970-01-01T00:00:01Z"), 1'000'000);
  EXPECT_EQ(ParseTimestamp("1970-01-01 01:00:00.5+01:00"), 500'000);
  EXPECT_EQ(ParseTimestamp("1970-01-01T00:00-0130"), 5'400'000'000);
}

TEST(TimestampTest, RefusesWhatHasNoZoneOrDoesNotExist) {
  EXPECT_EQ(ParseTimestamp("2026-11-21T09:30:00"), std::nullopt);
  EXPECT_EQ(ParseTimestamp("2026-02-30"), std::nullopt);
  EXPECT_EQ(ParseTimestamp("2026-11-21T24:00:00Z"), std::nullopt);
  EXPECT_EQ(ParseTimestamp("2026-11-21T09:30:00Zx"), std::nullopt);
  EXPECT_EQ(ParseTimestamp("yesterday"), std::nullopt);
}

TEST(TimestampTest, WritesWhatItReads) {
  const auto micros = ParseTimestamp("2026-11-21T09:30:00.250Z");
  ASSERT_TRUE(micros.has_value());
  EXPECT_EQ(FormatTimestamp(*micros), "2026-11-21T09:30:00.250Z");
  EXPECT_EQ(FormatTimestamp(-1000), "1969-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace tailwater
