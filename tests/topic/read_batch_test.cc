#include <thread>

#include "codec/codec.h"
#include "support/matchers.h"
#include "support/random_change.h"
#include "topic/topic.h"

namespace tailwater {
namespace {

// The records of `count` random changes, in a batch that owns them.
std::shared_ptr<ReadBatch> BatchOf(uint64_t count) {
  auto values = std::make_shared<std::vector<std::string>>();
  Encoder encoder;
  for (uint64_t seed = 0; seed < count; ++seed) {
    ChangeBatch changes;
    encoder.EncodeChange(RandomChange(seed).Append(changes), values->emplace_back());
  }
  auto batch = std::make_shared<ReadBatch>();
  batch->partition = 3;
  for (const std::string& value : *values) {
    batch->records.push_back(
        {.offset = 100 + static_cast<int64_t>(batch->records.size()), .value = value});
  }
  batch->memory = values;
  return batch;
}

TEST(ReadBatch, DecodesOnceForAllWhoAsk) {
  const auto batch = BatchOf(300);
  std::vector<const Change*> seen(8);
  {
    std::vector<std::jthread> sinks;
    for (const Change*& first : seen) {
      sinks.emplace_back([&] {
        const auto changes = batch->Changes();
        if (changes && changes->size() == 300) first = changes->data();
      });
    }
  }
  for (const Change* first : seen) {
    EXPECT_NE(first, nullptr);
    EXPECT_EQ(first, seen[0]);
  }
}

TEST(ReadBatch, NamesTheRecordThatCannotBeRead) {
  const auto batch = BatchOf(3);
  batch->records[1].value = "x";
  for (int i = 0; i < 2; ++i) {  // the same answer for everybody
    const auto changes = batch->Changes();
    ASSERT_THAT(changes, IsErrorWith("record_malformed"));
    EXPECT_THAT(changes.error().message, testing::HasSubstr("partition 3, offset 101: "));
  }
}

TEST(ReadBatch, MayBeEmpty) {
  const ReadBatch batch;
  const auto changes = batch.Changes();
  ASSERT_OK(changes);
  EXPECT_TRUE(changes->empty());
}

}  // namespace
}  // namespace tailwater
