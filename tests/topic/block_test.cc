#include "topic/local/block.h"

#include "support/matchers.h"

namespace tailwater::local {
namespace {

struct Read {
  Status status;
  std::vector<ReadBatch::Record> records;
  std::vector<std::unique_ptr<char[]>> memory;
};
Read ReadBack(std::string_view block, int64_t base_offset = 100) {
  Read read;
  read.status = ReadBlock(block, base_offset, read.records, read.memory);
  return read;
}

TEST(BlockTest, GivesBackRecordsOffsetsAndTimes) {
  BlockBuilder builder;
  builder.Add("keyvalue", 3, 2000);
  builder.Add("", 0, -7);
  builder.Add("keyonly", 7, INT64_MAX);
  builder.Add("valueonly", 0, INT64_MIN / 2);
  EXPECT_EQ(builder.count(), 4u);
  EXPECT_EQ(builder.first_micros(), 2000);
  EXPECT_EQ(builder.last_micros(), INT64_MAX);
  const Read read = ReadBack(builder.Finish());
  ASSERT_OK(read.status);
  ASSERT_EQ(read.records.size(), 4u);
  EXPECT_EQ(read.records[0].offset, 100);
  EXPECT_EQ(read.records[0].key, "key");
  EXPECT_EQ(read.records[0].value, "value");
  EXPECT_EQ(read.records[1].timestamp_micros, -7);
  EXPECT_EQ(read.records[1].key, "");
  EXPECT_EQ(read.records[2].value, "");
  EXPECT_EQ(read.records[2].timestamp_micros, INT64_MAX);
  EXPECT_EQ(read.records[3].offset, 103);
  EXPECT_EQ(read.records[3].value, "valueonly");
  EXPECT_EQ(read.records[3].timestamp_micros, INT64_MIN / 2);
}

TEST(BlockTest, StartsAnewAfterClear) {
  BlockBuilder builder;
  builder.Add(std::string(1 << 20, 'x'), 1, 5);
  builder.Finish();
  for (const size_t keep_bytes : {size_t{0}, size_t{16} << 20}) {
    builder.Clear(keep_bytes);
    EXPECT_EQ(builder.count(), 0u);
    EXPECT_EQ(builder.raw_bytes(), 0u);
    builder.Add("kv", 1, 9);
    const Read read = ReadBack(builder.Finish());
    ASSERT_OK(read.status);
    ASSERT_EQ(read.records.size(), 1u);
    EXPECT_EQ(read.records[0].timestamp_micros, 9);
  }
}

TEST(BlockTest, RefusesEveryBlockThatIsCutOrChanged) {
  BlockBuilder builder;
  for (int i = 0; i < 20; ++i) builder.Add("key" + std::to_string(i) + "value", 4, i);
  const std::string block(builder.Finish());
  for (size_t size = 0; size < block.size(); ++size) {
    EXPECT_THAT(ReadBack(block.substr(0, size)).status, IsErrorWith("topic_corrupt"));
  }
  for (size_t i = 0; i < block.size(); ++i) {
    std::string changed = block;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    EXPECT_THAT(ReadBack(changed).status, IsErrorWith("topic_corrupt"));
  }
}

}  // namespace
}  // namespace tailwater::local
