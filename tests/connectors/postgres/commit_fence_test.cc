#include "postgres/commit_fence.h"

#include <gtest/gtest.h>

namespace tailwater::postgres {
namespace {

VisibleTransactions Snapshot(const std::string& text) {
  const auto snapshot = VisibleTransactions::Parse(text);
  EXPECT_TRUE(snapshot) << text;
  return snapshot.value_or(VisibleTransactions());
}

TEST(VisibleTransactionsTest, ReadsWhatTheServerSays) {
  const VisibleTransactions snapshot = Snapshot("100:104:100,102");
  EXPECT_TRUE(snapshot.Sees(99));
  EXPECT_FALSE(snapshot.Sees(100));
  EXPECT_TRUE(snapshot.Sees(101));
  EXPECT_FALSE(snapshot.Sees(102));
  EXPECT_TRUE(snapshot.Sees(103));
  EXPECT_FALSE(snapshot.Sees(104));
  EXPECT_TRUE(Snapshot("7:7:").open.empty());
  for (const char* text : {"", "1", "1:2", "1:2:3,", "1:2:x", ":2:", "-1:2:", "1:2:3;4"})
    EXPECT_FALSE(VisibleTransactions::Parse(text)) << text;
}

TEST(VisibleTransactionsTest, WidensToTheNearestNumber) {
  const uint64_t wrap = uint64_t{1} << 32;
  const VisibleTransactions behind{wrap + 3, wrap + 5, {}};
  EXPECT_EQ(behind.Widen(4), wrap + 4);
  EXPECT_EQ(behind.Widen(7), wrap + 7);
  EXPECT_EQ(behind.Widen(0xfffffff0), wrap - 16);
  const VisibleTransactions before{wrap - 5, wrap - 3, {}};
  EXPECT_EQ(before.Widen(2), wrap + 2);
  EXPECT_EQ(before.Widen(0xfffffffc), wrap - 4);
}

class CommitFenceTest : public testing::Test {
 protected:
  void Settle(const std::string& snapshot) {
    EXPECT_TRUE(fence_.Begin());
    fence_.Saw(Snapshot(snapshot));
    fence_.Settled();
  }
  CommitFence fence_;
};

TEST_F(CommitFenceTest, AChunkThatMissesWhatWasShownBeforeItIsNotSound) {
  Settle("100:100:");
  fence_.Committed(105);  // streamed, and waits for its standby
  ASSERT_TRUE(fence_.Open("a/1"));
  fence_.MetLow("a/1");
  fence_.Took("a/1", Snapshot("105:107:105"));
  EXPECT_FALSE(fence_.MetHigh("a/1"));
  EXPECT_FALSE(fence_.MetHigh("a/1")) << "it is forgotten";

  ASSERT_TRUE(fence_.Open("a/2"));
  fence_.MetLow("a/2");
  fence_.Took("a/2", Snapshot("108:108:"));
  EXPECT_TRUE(fence_.MetHigh("a/2"));
  EXPECT_EQ(fence_.noted(), 0u);
}

TEST_F(CommitFenceTest, WhatIsShownBehindTheLowMarkIsTheWindowsBusiness) {
  Settle("100:100:");
  ASSERT_TRUE(fence_.Open("a/1"));
  fence_.MetLow("a/1");
  fence_.Committed(105);
  fence_.Took("a/1", Snapshot("105:107:105"));
  EXPECT_TRUE(fence_.MetHigh("a/1"));
}

TEST_F(CommitFenceTest, ANumberFromTheFutureOfTheSnapshotIsUnseen) {
  Settle("100:100:");
  fence_.Committed(105);
  ASSERT_TRUE(fence_.Open("a/1"));
  fence_.MetLow("a/1");
  fence_.Took("a/1", Snapshot("105:105:"));  // xmax is the first that has not ended
  EXPECT_FALSE(fence_.MetHigh("a/1"));
}

TEST_F(CommitFenceTest, ChunksAreJudgedEachByItsOwnSnapshot) {
  Settle("100:100:");
  fence_.Committed(105);
  ASSERT_TRUE(fence_.Open("a/1"));
  ASSERT_TRUE(fence_.Open("b/1"));
  fence_.MetLow("a/1");
  fence_.MetLow("b/1");
  fence_.Took("b/1", Snapshot("108:108:"));  // later, and sees it
  fence_.Took("a/1", Snapshot("105:107:105"));
  EXPECT_TRUE(fence_.MetHigh("b/1"));
  EXPECT_FALSE(fence_.MetHigh("a/1"));
}

TEST_F(CommitFenceTest, AReadThatIsReportedLateKeepsWhatItNeeds) {
  Settle("100:100:");
  ASSERT_TRUE(fence_.Open("slow/1"));
  fence_.Committed(105);
  fence_.MetLow("slow/1");
  ASSERT_TRUE(fence_.Open("quick/1"));
  fence_.MetLow("quick/1");
  fence_.Took("quick/1", Snapshot("120:120:"));
  EXPECT_TRUE(fence_.MetHigh("quick/1"));
  ASSERT_TRUE(fence_.Open("quick/2"));
  fence_.Took("slow/1", Snapshot("105:107:105"));
  EXPECT_FALSE(fence_.MetHigh("slow/1"));
}

TEST_F(CommitFenceTest, NothingIsSoundBeforeItSettled) {
  EXPECT_FALSE(fence_.Open("a/1"));
  EXPECT_TRUE(fence_.Begin());
  fence_.Saw(Snapshot("100:100:"));
  EXPECT_FALSE(fence_.Open("a/1"));
  fence_.Took("a/1", Snapshot("100:100:"));
  EXPECT_FALSE(fence_.MetHigh("a/1"));
  fence_.Settled();
  EXPECT_FALSE(fence_.Begin());
  EXPECT_TRUE(fence_.Open("a/1"));
  EXPECT_FALSE(fence_.MetHigh("a/1")) << "neither its low mark was met, nor was it read";
}

TEST_F(CommitFenceTest, ACommitThatEveryoneSeesIsNotKept) {
  Settle("100:200:150");
  for (uint32_t xid = 100; xid < 200; ++xid) fence_.Committed(xid);
  EXPECT_EQ(fence_.noted(), 1u);
  fence_.Saw(Snapshot("250:250:"));
  EXPECT_EQ(fence_.noted(), 0u);
}

TEST_F(CommitFenceTest, NotingEndsByItselfAndHasToBeSettledAnew) {
  Settle("100:100:");
  fence_.Committed(105);
  ASSERT_TRUE(fence_.Open("met/1"));
  fence_.MetLow("met/1");
  ASSERT_TRUE(fence_.Open("unmet/1"));
  for (uint32_t i = 0; i < CommitFence::kMaxNoted + 1; ++i) fence_.Committed(200 + i);
  EXPECT_LE(fence_.noted(), 1u);
  EXPECT_FALSE(fence_.Open("c/1"));
  fence_.Took("met/1", Snapshot("105:200:105"));
  EXPECT_FALSE(fence_.MetHigh("met/1")) << "105 is still known";
  fence_.MetLow("unmet/1");
  fence_.Took("unmet/1", Snapshot("900000:900000:"));
  EXPECT_FALSE(fence_.MetHigh("unmet/1"));
  Settle("900000:900000:");
  EXPECT_TRUE(fence_.Open("c/2"));
}

TEST_F(CommitFenceTest, AnotherStreamKnowsNothing) {
  Settle("100:100:");
  ASSERT_TRUE(fence_.Open("a/1"));
  fence_.MetLow("a/1");
  fence_.Took("a/1", Snapshot("100:100:"));
  fence_.Reset();
  EXPECT_FALSE(fence_.MetHigh("a/1"));
  EXPECT_FALSE(fence_.Open("a/2"));
}

}  // namespace
}  // namespace tailwater::postgres
