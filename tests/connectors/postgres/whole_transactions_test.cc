#include "postgres/sink/whole_transactions.h"

#include <gtest/gtest.h>

#include "support/delivery_batch.h"
#include "support/short_values.h"
#include "support/topic_feeder.h"

namespace tailwater::postgres {
namespace {

class WholeTransactionsUnit : public ::testing::Test {
 protected:
  WholeTransactionsUnit() { whole_.Assigned(std::vector<int32_t>{0, 1}); }
  // A row, or the frontier record of `version`.
  void See(int32_t partition, int64_t frontier = 0) {
    Change change;
    change.operation = frontier == 0 ? Operation::kInsert : Operation::kFrontier;
    change.version = frontier;
    const Delivery delivery{&change, {}, {}, partition, 0, false};
    whole_.Saw({std::span(&delivery, 1)});
  }
  WholeTransactions whole_;
};

TEST_F(WholeTransactionsUnit, EndWhereEveryPartitionHasTheSameFrontierAndNothingBehindIt) {
  EXPECT_TRUE(whole_.at_end()) << "nothing was seen";
  See(0);
  EXPECT_FALSE(whole_.at_end());
  See(0, 5);
  EXPECT_FALSE(whole_.at_end()) << "the other may still bring a part of it";
  See(1);
  See(1, 5);
  EXPECT_TRUE(whole_.at_end());
  See(1, 9);
  EXPECT_FALSE(whole_.at_end());
  See(0, 9);
  EXPECT_TRUE(whole_.at_end());
}

TEST_F(WholeTransactionsUnit, ASweepIsInsideOfOne) {
  whole_.SawMarker();
  EXPECT_FALSE(whole_.at_end());
  See(0, 5);
  See(1, 5);
  EXPECT_TRUE(whole_.at_end());
}

TEST_F(WholeTransactionsUnit, WhatWasTakenBackWasNotSeen) {
  See(0);
  whole_.Keep();
  See(0, 5);
  See(1, 5);
  whole_.Back();
  EXPECT_FALSE(whole_.at_end());
}

TEST_F(WholeTransactionsUnit, AddsUpWhatWasHandedOver) {
  EXPECT_FALSE(whole_.open());
  EXPECT_TRUE(whole_.Add({{0, 1}}, {{0, 4}}));
  EXPECT_TRUE(whole_.Add({{0, 4}}, {{0, 6}, {1, 2}}));
  EXPECT_TRUE(whole_.open());
  EXPECT_EQ(whole_.expected(), (Offsets{{0, 1}}));
  EXPECT_EQ(whole_.next(), (Offsets{{0, 6}, {1, 2}}));
  EXPECT_FALSE(whole_.Add({{0, 1}}, {{0, 9}})) << "somebody else's place";
  whole_.Forget();
  EXPECT_FALSE(whole_.open());
}

}  // namespace
}  // namespace tailwater::postgres
