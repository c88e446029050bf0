#include "snapshot/snapshot_unit.h"

#include <gmock/gmock.h>

#include "support/matchers.h"

namespace tailwater {
namespace {

SnapshotUnit Orders() {
  SnapshotUnit unit(7, {"public.orders", "", ""}, SnapshotUnit::kRequested, true, 42);
  unit.SetKey({"id"});
  return unit;
}

SnapshotUnit Stored(const SnapshotUnit& unit) {
  auto decoded = SnapshotUnit::Decode("snapshot/shop/7", unit.Encode());
  EXPECT_OK(decoded);
  return *std::move(decoded);
}

TEST(SnapshotUnitTest, HandsOutRangesUntilTheTableEnds) {
  SnapshotUnit unit = Orders();
  EXPECT_EQ(unit.BeginBound(), "");
  EXPECT_FALSE(unit.wants_bound()) << "one at a time";
  const KeyRange first = unit.EndBound("10");
  EXPECT_EQ(first, (KeyRange{"", "10"}));
  EXPECT_EQ(unit.BeginBound(), "10");
  const KeyRange second = unit.EndBound("");
  EXPECT_EQ(second, (KeyRange{"10", ""}));
  EXPECT_FALSE(unit.wants_bound());
  EXPECT_FALSE(unit.IsLast(second));
  unit.Published(first, true, "9");
  EXPECT_TRUE(unit.IsLast(second));
  unit.Published(second, true, "15");
  EXPECT_TRUE(unit.all_published());
}

TEST(SnapshotUnitTest, WhatWasNotPublishedIsReadAgainAfterARestart) {
  SnapshotUnit unit = Orders();
  unit.sweep_below = 99;
  unit.rows = 5;
  unit.BeginBound();
  unit.EndBound("10");
  unit.BeginBound();
  const KeyRange second = unit.EndBound("20");
  unit.Published(second, true, "19");

  SnapshotUnit again = Stored(unit);
  EXPECT_EQ(again.id(), 7u);
  EXPECT_EQ(again.request().table, "public.orders");
  EXPECT_EQ(again.sweep_below, 99);
  EXPECT_EQ(again.rows, 5u);
  EXPECT_EQ(again.key(), std::vector<std::string>{"id"});
  EXPECT_EQ(again.TakeRange(), (KeyRange{"", "10"}));
  EXPECT_FALSE(again.has_range());
  EXPECT_EQ(again.BeginBound(), "20");
}

TEST(SnapshotUnitTest, AChunkThatStoppedLeavesItsRest) {
  SnapshotUnit unit = Orders();
  unit.BeginBound();
  const KeyRange range = unit.EndBound("10");
  unit.Published(range, false, "4");
  EXPECT_EQ(unit.TakeRange(), (KeyRange{"4", "10"}));
}

TEST(SnapshotUnitTest, ATableThatIsLongerThanItSeemedIsPlannedOn) {
  SnapshotUnit unit = Orders();
  unit.BeginBound();
  const KeyRange range = unit.EndBound("");
  EXPECT_TRUE(unit.IsLast(range));
  unit.Published(range, false, "4");
  EXPECT_FALSE(unit.all_published());
  ASSERT_TRUE(unit.wants_bound());
  EXPECT_EQ(unit.BeginBound(), "4");
}

TEST(SnapshotUnitTest, RefusesTheStateOfANewerRelease) {
  EXPECT_THAT(SnapshotUnit::Decode("snapshot/shop/7", "\x08\x02"), IsErrorWith("state_newer"));
  EXPECT_THAT(SnapshotUnit::Decode("snapshot/shop/7", "\xff"), IsErrorWith("state_malformed"));
}

}  // namespace
}  // namespace tailwater
