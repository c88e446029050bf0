#include "topic/kafka/dead_letter_record.h"

#include <gtest/gtest.h>

#include "support/matchers.h"

namespace tailwater {
namespace {

kafka::IncomingRecord Incoming(const DeadLetterRecord& record, std::string_view value) {
  return {.offset = 77, .key = record.key(), .value = value, .headers = record.headers()};
}

TEST(DeadLetterRecordTest, KeepsAllOfALetter) {
  DeadLetter letter;
  letter.state = DeadLetter::State::kParked;
  letter.blocks_key = true;
  letter.partition = 3;
  letter.offset = 1'234'567'890'123;
  letter.id = "shop:1:0/1:0:0";
  letter.source = "shop";
  letter.table = "public.orders";
  letter.version = INT64_MAX;
  letter.key = std::string("k\0ey", 4);
  letter.value = std::string("\0", 1);
  letter.code = "http_500";
  letter.reason = "höhere Gewalt";
  letter.attempts = 4'000'000'000;
  letter.first_seen_micros = -5;
  const DeadLetterRecord record(letter);
  EXPECT_EQ(record.key(), "1234567890123");
  Subscription::Update update;
  ASSERT_OK(ApplyDeadLetterRecord(Incoming(record, letter.value), 3, update));
  ASSERT_EQ(update.add.size(), 1u);
  const DeadLetter& read = update.add[0];
  EXPECT_EQ(read.state, letter.state);
  EXPECT_TRUE(read.blocks_key);
  EXPECT_EQ(read.partition, 3);
  EXPECT_EQ(read.offset, letter.offset);
  EXPECT_EQ(read.id, letter.id);
  EXPECT_EQ(read.source, letter.source);
  EXPECT_EQ(read.table, letter.table);
  EXPECT_EQ(read.version, letter.version);
  EXPECT_EQ(read.key, letter.key);
  EXPECT_EQ(read.value, letter.value);
  EXPECT_EQ(read.code, letter.code);
  EXPECT_EQ(read.reason, letter.reason);
  EXPECT_EQ(read.attempts, letter.attempts);
  EXPECT_EQ(read.first_seen_micros, letter.first_seen_micros);
}

TEST(DeadLetterRecordTest, ATombstoneRemovesAndAnEmptyValueDoesNot) {
  const DeadLetter letter{.partition = 1, .offset = 5};
  const DeadLetterRecord record(letter);
  Subscription::Update update;
  ASSERT_OK(ApplyDeadLetterRecord(Incoming(record, {}), 1, update));
  ASSERT_EQ(update.remove.size(), 1u);
  EXPECT_EQ(update.remove[0], (RecordPlace{1, 5}));
  ASSERT_OK(ApplyDeadLetterRecord(Incoming(record, std::string_view("")), 1, update));
  EXPECT_EQ(update.add.size(), 1u);
}

TEST(DeadLetterRecordTest, RefusesWhatIsNone) {
  const DeadLetter letter{.offset = 5};
  const DeadLetterRecord record(letter);
  Subscription::Update update;
  kafka::IncomingRecord foreign = Incoming(record, "v");
  foreign.key = "order 5";
  EXPECT_THAT(ApplyDeadLetterRecord(foreign, 0, update), IsErrorWith("topic_corrupt"));
  foreign.key = "5";
  foreign.headers.clear();
  EXPECT_THAT(ApplyDeadLetterRecord(foreign, 0, update), IsErrorWith("topic_corrupt"));
  EXPECT_TRUE(update.add.empty());
}

}  // namespace
}  // namespace tailwater
