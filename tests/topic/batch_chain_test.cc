#include "topic/kafka/batch_chain.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tailwater {
namespace {

const std::string kValue(100, 'v');

// Records at these offsets, and where the next batch begins.
std::shared_ptr<const ReadBatch> Batch(const std::vector<int64_t>& offsets, int64_t next_offset) {
  auto batch = std::make_shared<ReadBatch>();
  for (const int64_t offset : offsets) {
    batch->records.push_back({offset, 0, {}, kValue});
    batch->bytes += kValue.size();
  }
  batch->next_offset = next_offset;
  return batch;
}

std::vector<int64_t> OffsetsOf(const ReadBatch& batch) {
  std::vector<int64_t> offsets;
  for (const auto& record : batch.records) offsets.push_back(record.offset);
  return offsets;
}

using Offsets = std::vector<int64_t>;

TEST(BatchChainTest, HandsTheSameBatchToAllWhoReadFromItsBeginning) {
  BatchChain chain(10, 1 << 20);
  EXPECT_TRUE(chain.Covers(10));
  EXPECT_EQ(chain.Find(10, 1000), nullptr);
  const auto first = Batch({11, 12}, 15);
  const auto second = Batch({16}, 17);
  chain.Add(first);
  chain.Add(second);
  EXPECT_EQ(chain.end(), 17);
  EXPECT_EQ(chain.Find(10, 1000), first);
  EXPECT_EQ(chain.Find(11, 1000), first) << "a hole in front of the first record";
  EXPECT_EQ(chain.Find(15, 1000), second);
  EXPECT_EQ(chain.Find(17, 1000), nullptr);
  EXPECT_FALSE(chain.Covers(9));
  EXPECT_FALSE(chain.Covers(18));
}

TEST(BatchChainTest, HandsAPartToWhoReadsInTheMiddleOrInSmallerPieces) {
  BatchChain chain(0, 1 << 20);
  chain.Add(Batch({0, 1, 2, 5}, 8));
  auto part = chain.Find(1, 1000);
  EXPECT_EQ(OffsetsOf(*part), (Offsets{1, 2, 5}));
  EXPECT_EQ(part->next_offset, 8);
  EXPECT_EQ(part->bytes, 300u);
  part = chain.Find(1, 250);
  EXPECT_EQ(OffsetsOf(*part), (Offsets{1, 2}));
  EXPECT_EQ(part->next_offset, 3);
  part = chain.Find(part->next_offset, 1);
  EXPECT_EQ(OffsetsOf(*part), (Offsets{5})) << "at least one";
  EXPECT_EQ(part->next_offset, 8);
  part = chain.Find(6, 1000);
  EXPECT_TRUE(part->records.empty()) << "behind the last record, in front of what comes next";
  EXPECT_EQ(part->next_offset, 8);
}

TEST(BatchChainTest, KeepsThePartsMemory) {
  BatchChain chain(0, 1);
  std::weak_ptr<const ReadBatch> owner;
  std::shared_ptr<const ReadBatch> part;
  {
    auto batch = Batch({0, 1}, 2);
    owner = batch;
    chain.Add(std::move(batch));
    part = chain.Find(1, 1000);
  }
  chain.Add(Batch({2}, 3));
  EXPECT_FALSE(owner.expired());
  part.reset();
  EXPECT_TRUE(owner.expired());
}

TEST(BatchChainTest, PassesHolesWithBatchesThatHoldNothing) {
  BatchChain chain(0, 1 << 20);
  chain.Add(Batch({0}, 1));
  chain.Add(Batch({}, 4));
  const auto hole = chain.Find(1, 1000);
  ASSERT_NE(hole, nullptr);
  EXPECT_TRUE(hole->records.empty());
  EXPECT_EQ(hole->next_offset, 4);
  EXPECT_EQ(chain.Find(3, 1000)->next_offset, 4);
}

TEST(BatchChainTest, IsBoundedInBytesAndKeepsTheNewest) {
  const size_t one = Batch({0}, 1)->memory_bytes();
  BatchChain chain(0, 3 * one);
  for (int64_t i = 0; i < 10; ++i) chain.Add(Batch({i}, i + 1));
  EXPECT_EQ(chain.begin(), 7);
  EXPECT_EQ(chain.end(), 10);
  EXPECT_LE(chain.bytes(), 3 * one);
  EXPECT_FALSE(chain.Covers(6));
  EXPECT_EQ(chain.Find(6, 1000), nullptr);
  BatchChain tiny(0, 1);
  tiny.Add(Batch({0, 1, 2}, 3));
  EXPECT_NE(tiny.Find(0, 1000), nullptr);
  BatchChain holes(0, 1 << 20);
  for (int64_t i = 0; i < 10'000; ++i) holes.Add(Batch({}, i + 1));
  EXPECT_GE(holes.begin(), 9'000);
}

}  // namespace
}  // namespace tailwater
