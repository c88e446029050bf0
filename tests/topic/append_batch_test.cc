#include "topic/append_batch.h"

#include <gmock/gmock.h>

namespace tailwater {
namespace {

AppendBatch Filled(const std::shared_ptr<BatchPool>& pool, size_t bytes) {
  AppendBatch batch(pool);
  batch.buffer().append(bytes, 'x');
  batch.Add(0, bytes / 2, 0, 1);
  batch.state["source/shop"] = "state";
  return batch;
}

TEST(AppendBatch, KeepsItsRecordsWhenMoved) {
  const auto pool = std::make_shared<BatchPool>(1 << 20);
  AppendBatch moved;
  moved = Filled(pool, 1000);
  ASSERT_EQ(moved.records().size(), 1u);
  EXPECT_EQ(moved.key(moved.records()[0]).size(), 500u);
  EXPECT_EQ(moved.value(moved.records()[0]).size(), 500u);
  EXPECT_EQ(moved.state.size(), 1u);
}

TEST(AppendBatch, BeginsEmptyInTheMemoryOfOneThatEnded) {
  const auto pool = std::make_shared<BatchPool>(1 << 20);
  const char* memory = nullptr;
  {
    AppendBatch batch = Filled(pool, 1000);
    memory = batch.buffer().data();
    batch = {};  // as a topic does that is done with it
  }
  AppendBatch next(pool);
  EXPECT_EQ(next.buffer().data(), memory);
  EXPECT_TRUE(next.buffer().empty());
  EXPECT_TRUE(next.records().empty());
  EXPECT_TRUE(next.state.empty());
}

TEST(AppendBatch, ThePoolKeepsNoMoreThanItIsAllowed) {
  const auto pool = std::make_shared<BatchPool>(1500);
  { const AppendBatch large = Filled(pool, 5000); }
  EXPECT_LT(AppendBatch(pool).buffer().capacity(), 5000u);
}

TEST(AppendBatch, TruncateForgetsWhatCameLater) {
  AppendBatch batch = Filled(nullptr, 1000);
  const size_t records = batch.records().size(), bytes = batch.buffer().size();
  batch.buffer().append(100, 'y');
  batch.Add(bytes, 10, 0, 1);
  batch.Truncate(records, bytes);
  EXPECT_EQ(batch.records().size(), 1u);
  EXPECT_EQ(batch.buffer().size(), 1000u);
}

}  // namespace
}  // namespace tailwater
