// The kafka topic's reader on a real broker: lanes, holes, open transactions, what is lost.
#include "topic/kafka/reader.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "kafka_live/make_topic.h"
#include "support/kafka/admin.h"
#include "support/kafka/producer.h"
#include "support/kafka_server.h"
#include "support/matchers.h"
#include "topic/kafka/head.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using kafka::Producer;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::chrono::milliseconds kLong{20'000};

class KafkaReaderTest : public ::testing::Test {
 protected:
  KafkaReaderTest() {
    settings_.client = KafkaServer::Shared().client();
    settings_.pipeline = "shop";
    settings_.topic = KafkaServer::UniqueName("reader");
    settings_.partitions = 12;
    settings_.replication = 1;
    settings_.request_timeout = kLong;
    auto admin = kafka::Admin::Create(settings_.client, kLong);
    EXPECT_OK(admin);
    admin_ = std::move(*admin);
  }
  void MakeTopics() {
    MakeTopic(*admin_, {.name = settings_.topic, .partitions = 12, .replication = 1});
    MakeTopic(*admin_, {.name = settings_.StateTopic(), .partitions = 1, .replication = 1});
    producer_ = MakeProducer("capture");
    const std::string head = TopicHead::Make(settings_, 12, 1).Encode();
    ASSERT_OK(producer_->Begin());
    ASSERT_OK(producer_->Send(settings_.StateTopic(), {.key = kTopicHeadKey, .value = head}));
    ASSERT_OK(producer_->Commit());
  }
  std::unique_ptr<Producer> MakeProducer(const std::string& id) {
    kafka::ProducerOptions options;
    options.client = settings_.client;
    options.transactional_id = settings_.topic + "." + id;
    auto producer = Producer::Create(options);
    EXPECT_OK(producer);
    EXPECT_OK((*producer)->Init({}, kLong));
    EXPECT_OK((*producer)->Prepare(settings_.topic, kLong));
    return std::move(*producer);
  }
  std::shared_ptr<KafkaReader> Open() {
    auto reader = KafkaReader::Open(settings_);
    EXPECT_OK(reader);
    return std::move(*reader);
  }
  void Send(Producer& producer, int32_t partition, const std::vector<std::string>& values,
            int64_t time_millis = 0) {
    for (const std::string& value : values) {
      EXPECT_OK(producer.Send(
          settings_.topic,
          {.partition = partition, .timestamp_millis = time_millis, .key = "k", .value = value}));
    }
    EXPECT_OK(producer.Flush());
  }
  void Append(int32_t partition, const std::vector<std::string>& values, int64_t time_millis = 0) {
    ASSERT_OK(producer_->Begin());
    Send(*producer_, partition, values, time_millis);
    ASSERT_OK(producer_->Commit());
  }
  // A commit is answered a moment before its markers are written.
  static void WaitForEnd(KafkaReader& reader, int32_t partition, int64_t end) {
    const auto deadline = std::chrono::steady_clock::now() + kLong;
    while (reader.Ranges()->at(partition).end < end) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    }
  }
  // From `offset` to where the range ends.
  std::vector<std::string> ReadAll(KafkaReader& reader, int32_t partition, int64_t& offset,
                                   size_t max_bytes = 1 << 20) {
    std::vector<std::string> values;
    const int64_t end = reader.Ranges()->at(partition).end;
    while (offset < end) {
      auto batch = reader.Read(partition, offset, max_bytes, kLong, {});
      EXPECT_OK(batch);
      EXPECT_TRUE(batch && *batch != nullptr) << "the end was not reached at " << offset;
      if (!batch || *batch == nullptr) break;
      for (const auto& record : (*batch)->records) values.emplace_back(record.value);
      EXPECT_GT((*batch)->next_offset, offset);
      offset = (*batch)->next_offset;
    }
    EXPECT_EQ(offset, end);
    return values;
  }
  std::vector<std::string> ReadAll(KafkaReader& reader, int32_t partition) {
    int64_t offset = 0;
    return ReadAll(reader, partition, offset);
  }

  KafkaSettings settings_;
  std::unique_ptr<kafka::Admin> admin_;
  std::unique_ptr<Producer> producer_;
};

TEST_F(KafkaReaderTest, IsNotThereBeforeTheHeadIs) {
  EXPECT_THAT(KafkaReader::Open(settings_), IsErrorWith("topic_not_created"));
  MakeTopic(*admin_, {.name = settings_.topic, .partitions = 12, .replication = 1});
  MakeTopic(*admin_, {.name = settings_.StateTopic(), .partitions = 1, .replication = 1});
  EXPECT_THAT(KafkaReader::Open(settings_), IsErrorWith("topic_not_created"));
}

TEST_F(KafkaReaderTest, PassesMarkersAndAbortedRecordsAndReachesTheEnd) {
  MakeTopics();
  Append(1, {"a", "b"});
  ASSERT_OK(producer_->Begin());
  Send(*producer_, 1, {"never", "ever"});
  ASSERT_OK(producer_->Abort());
  auto reader = Open();
  EXPECT_EQ(reader->partitions(), 12);
  WaitForEnd(*reader, 1, 6);
  int64_t offset = 0;
  EXPECT_THAT(ReadAll(*reader, 1, offset), ElementsAre("a", "b"));
  EXPECT_EQ(offset, 6);
  Append(1, {"c"});
  WaitForEnd(*reader, 1, 8);
  EXPECT_THAT(ReadAll(*reader, 1, offset), ElementsAre("c"));
  EXPECT_THAT(ReadAll(*reader, 0), IsEmpty());
  EXPECT_EQ(*reader->Read(1, offset, 1 << 20, 50ms, {}), nullptr);
}

TEST_F(KafkaReaderTest, IsAtTheEndSoonAfterTheLastTransaction) {
  MakeTopics();
  auto reader = Open();
  int64_t offset = 0;
  for (int i = 0; i < 5; ++i) {
    Append(0, {std::to_string(i)});
    WaitForEnd(*reader, 0, 2 * i + 2);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THAT(ReadAll(*reader, 0, offset), ElementsAre(std::to_string(i)));
    EXPECT_LT(std::chrono::steady_clock::now() - start, i == 0 ? kLong : 400ms) << "markers wait";
  }
}

TEST_F(KafkaReaderTest, EndsInFrontOfATransactionOfSomebodyElse) {
  MakeTopics();
  Append(0, {"a"});
  auto other = MakeProducer("other");
  ASSERT_OK(other->Begin());
  Send(*other, 0, {"in doubt"});
  Append(0, {"b"});
  auto reader = Open();
  WaitForEnd(*reader, 0, 2);
  int64_t offset = 0;
  EXPECT_THAT(ReadAll(*reader, 0, offset), ElementsAre("a")) << "caught up, for a committed reader";
  EXPECT_EQ(*reader->Read(0, offset, 1 << 20, 50ms, {}), nullptr);
  EXPECT_FALSE(reader->WaitForAny({{0, offset}}, 10ms, {}));
  ASSERT_OK(other->Abort());
  EXPECT_TRUE(reader->WaitForAny({{0, offset}}, kLong, {}));
  WaitForEnd(*reader, 0, 6);
  EXPECT_THAT(ReadAll(*reader, 0, offset), ElementsAre("b"));
}

TEST_F(KafkaReaderTest, WaitsForManyPartitionsAtOnce) {
  MakeTopics();
  auto reader = Open();
  Offsets offsets = {{0, 0}, {1, 0}, {2, 0}};
  EXPECT_FALSE(reader->WaitForAny(offsets, 100ms, {}));
  for (const int32_t partition : {2, 0, 1}) {
    std::thread append([&] { Append(partition, {"x"}); });
    const auto start = std::chrono::steady_clock::now();
    EXPECT_TRUE(reader->WaitForAny(offsets, kLong, {}));
    append.join();
    EXPECT_LT(std::chrono::steady_clock::now() - start, kLong / 2);
    WaitForEnd(*reader, partition, 2);
    EXPECT_THAT(ReadAll(*reader, partition, offsets[partition]), ElementsAre("x"));
  }
  EXPECT_FALSE(reader->WaitForAny(offsets, 50ms, {}));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(reader->WaitForAny(offsets, kLong, stop.get_token()));
  EXPECT_EQ(reader->lanes(), 1u);
}

TEST_F(KafkaReaderTest, ASinkThatLagsHasALaneOfItsOwnAndJoinsTheOthers) {
  MakeTopics();
  std::vector<std::string> values;
  for (int i = 0; i < 600; ++i) values.push_back(std::to_string(i) + std::string(10'000, '.'));
  for (int i = 0; i < 600; i += 100) {
    Append(0, {values.begin() + i, values.begin() + i + 100});
  }
  auto reader = Open();
  WaitForEnd(*reader, 0, 606);
  int64_t tail = 0;
  EXPECT_TRUE(ReadAll(*reader, 0, tail) == values);
  EXPECT_EQ(reader->lanes(), 1u);
  // Far behind what is held: a rewound sink.
  int64_t lagging = 0;
  auto batch = reader->Read(0, lagging, 1 << 20, kLong, {});
  ASSERT_OK(batch);
  ASSERT_NE(*batch, nullptr);
  EXPECT_EQ(reader->lanes(), 2u);
  EXPECT_LE((*batch)->bytes, 2u << 20);
  Append(0, {"new"});
  WaitForEnd(*reader, 0, 608);
  EXPECT_THAT(ReadAll(*reader, 0, tail), ElementsAre("new")) << "not slowed";
  auto all = ReadAll(*reader, 0, lagging, 300'000);
  ASSERT_EQ(all.size(), values.size() + 1);
  values.push_back("new");
  EXPECT_TRUE(all == values);
  // Both wait at the end: one fetch, one batch, and the other lane ends.
  const auto deadline = std::chrono::steady_clock::now() + kLong;
  while (reader->lanes() > 1) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    EXPECT_FALSE(reader->WaitForAny({{0, tail}}, 100ms, {}));
  }
  std::set<std::shared_ptr<const ReadBatch>> seen;
  std::thread append([&] { Append(0, {"shared"}); });
  for (int i = 0; i < 2; ++i) seen.insert(*reader->Read(0, tail, 1 << 20, kLong, {}));
  append.join();
  EXPECT_EQ(seen.size(), 1u);
  EXPECT_EQ((*seen.begin())->records.at(0).value, "shared");
}

TEST_F(KafkaReaderTest, NamesAGapForWhatIsOutsideTheLog) {
  MakeTopics();
  Append(0, {"a", "b", "c", "d"});
  auto reader = Open();
  EXPECT_THAT(reader->Read(0, 1000, 1 << 20, kLong, {}), IsErrorWith("topic_offset_out_of_range"));
  EXPECT_TRUE(reader->WaitForAny({{0, 1000}}, kLong, {}));
  WaitForEnd(*reader, 0, 5);
  ASSERT_OK(admin_->DeleteRecords(settings_.topic, 0, 2));
  EXPECT_EQ(reader->Ranges()->at(0).begin, 2);
  const auto gap = reader->Read(0, 0, 1 << 20, kLong, {});
  ASSERT_THAT(gap, IsErrorWith("topic_offset_out_of_range"));
  EXPECT_EQ(gap.error().disposition, Disposition::kGap);
  int64_t offset = 2;
  EXPECT_THAT(ReadAll(*reader, 0, offset), ElementsAre("c", "d"));
}

TEST_F(KafkaReaderTest, FindsTheFirstOffsetAtATime) {
  MakeTopics();
  const int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count();
  Append(0, {"a"}, now - 20'000);
  Append(0, {"b"}, now - 10'000);
  Append(0, {"c"}, now);
  auto reader = Open();
  WaitForEnd(*reader, 0, 6);
  const auto from = [&](int64_t time_micros) {
    int64_t offset = reader->OffsetAt(0, time_micros).value();
    return ReadAll(*reader, 0, offset);
  };
  EXPECT_THAT(from(-1), ElementsAre("a", "b", "c"));
  EXPECT_THAT(from((now - 20'000) * 1000), ElementsAre("a", "b", "c"));
  EXPECT_EQ(from((now - 20'000) * 1000 + 1).front(), "b");
  EXPECT_EQ(reader->OffsetAt(0, (now + 3'600'000) * 1000).value(), 6);
}

TEST_F(KafkaReaderTest, SeesThatTheTopicWasMadeAnew) {
  MakeTopics();
  Append(0, {"a", "b"});
  auto reader = Open();
  WaitForEnd(*reader, 0, 3);
  producer_.reset();
  ASSERT_OK(admin_->DeleteTopic(settings_.topic));
  ASSERT_OK(admin_->DeleteTopic(settings_.StateTopic()));
  const auto deadline = std::chrono::steady_clock::now() + kLong;
  while (*admin_->FindTopic(settings_.topic) || *admin_->FindTopic(settings_.StateTopic())) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::yield();
  }
  MakeTopics();
  Result<std::map<int32_t, PartitionRange>> ranges = reader->Ranges();
  while (ranges || ranges.error().code != "topic_log_replaced") {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    ranges = reader->Ranges();
  }
  EXPECT_EQ(ranges.error().disposition, Disposition::kGap);
  EXPECT_TRUE(reader->replaced());
  EXPECT_NE(Open()->log_id(), reader->log_id());
}

}  // namespace
}  // namespace tailwater
