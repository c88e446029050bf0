// Compacted partitions, read whole on a real broker.
#include <gtest/gtest.h>

#include <thread>

#include "kafka_live/make_topic.h"
#include "support/kafka/admin.h"
#include "support/kafka/consumer.h"
#include "support/kafka/producer.h"
#include "support/kafka_server.h"
#include "support/matchers.h"

namespace tailwater::kafka {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::chrono::milliseconds kReadLong{20'000};

class ReadToEndTest : public ::testing::Test {
 protected:
  ReadToEndTest() : topic_(KafkaServer::UniqueName("state")) {
    auto admin = Admin::Create(KafkaServer::Shared().client(), kReadLong);
    EXPECT_OK(admin);
    MakeTopic(**admin, {.name = topic_,
                        .partitions = 2,
                        .replication = 1,
                        .settings = {{"cleanup.policy", "compact"}}});
  }
  std::unique_ptr<Producer> MakeProducer(const std::string& id) {
    ProducerOptions options;
    options.client = KafkaServer::Shared().client();
    options.transactional_id = topic_ + "." + id;
    auto producer = Producer::Create(options);
    EXPECT_OK(producer);
    EXPECT_OK((*producer)->Init({}, kReadLong));
    EXPECT_OK((*producer)->Prepare(topic_, kReadLong));
    return std::move(*producer);
  }
  void Send(Producer& producer, std::string_view key, std::string_view value) {
    const std::vector<Header> headers = {{"note", value}};
    EXPECT_OK(
        producer.Send(topic_, {.partition = 1, .key = key, .value = value, .headers = headers}));
    EXPECT_OK(producer.Flush());
  }
  Status Read(std::chrono::milliseconds timeout = kReadLong, std::stop_token stop = {}) {
    seen_.clear();
    return ReadToEnd(KafkaServer::Shared().client(), topic_, 1, stop, timeout,
                     [&](const IncomingRecord& record) -> Status {
                       std::string line = std::string(record.key);
                       line += record.value.data() == nullptr ? " gone"
                                                              : "=" + std::string(record.value);
                       for (const auto& [name, value] : record.headers) {
                         EXPECT_EQ(name, "note");
                         EXPECT_EQ(value, record.value);
                       }
                       seen_.push_back(line);
                       return {};
                     });
  }

  const std::string topic_;
  std::vector<std::string> seen_;
};

TEST_F(ReadToEndTest, HandsOverWhatWasCommittedInOrder) {
  ASSERT_OK(Read());
  EXPECT_THAT(seen_, IsEmpty());
  auto producer = MakeProducer("a");
  ASSERT_OK(producer->Begin());
  Send(*producer, "a", "1");
  Send(*producer, "b", "");
  ASSERT_OK(producer->Commit());
  ASSERT_OK(producer->Begin());
  Send(*producer, "a", "never");
  ASSERT_OK(producer->Abort());
  ASSERT_OK(producer->Begin());
  Send(*producer, "c", {});
  Send(*producer, "a", "2");
  ASSERT_OK(producer->Commit());
  ASSERT_OK(Read());
  EXPECT_THAT(seen_, ElementsAre("a=1", "b=", "c gone", "a=2"));
}

TEST_F(ReadToEndTest, EndsBehindAbortedRecords) {
  auto producer = MakeProducer("a");
  ASSERT_OK(producer->Begin());
  Send(*producer, "a", "never");
  ASSERT_OK(producer->Abort());
  ASSERT_OK(Read());
  EXPECT_THAT(seen_, IsEmpty());
}

TEST_F(ReadToEndTest, WaitsForATransactionThatIsOpen) {
  auto producer = MakeProducer("a");
  auto other = MakeProducer("b");
  ASSERT_OK(other->Begin());
  Send(*other, "a", "in doubt");
  ASSERT_OK(producer->Begin());
  Send(*producer, "b", "1");
  ASSERT_OK(producer->Commit());
  EXPECT_THAT(Read(300ms), IsErrorWith("kafka_timeout"));
  EXPECT_THAT(seen_, IsEmpty()) << "a committed reader stops in front of it";
  std::thread end([&] { EXPECT_OK(other->Commit()); });
  EXPECT_OK(Read());
  end.join();
  EXPECT_THAT(seen_, ElementsAre("a=in doubt", "b=1"));
}

TEST_F(ReadToEndTest, IsStoppedWhileItWaits) {
  auto other = MakeProducer("b");
  ASSERT_OK(other->Begin());
  Send(*other, "a", "in doubt");
  std::stop_source stop;
  std::thread thread([&] { stop.request_stop(); });
  const Status status = Read(kReadLong, stop.get_token());
  thread.join();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().disposition, Disposition::kCancelled);
  EXPECT_OK(other->Abort());
}

TEST_F(ReadToEndTest, NamesATopicThatIsNotThere) {
  EXPECT_THAT(ReadToEnd(KafkaServer::Shared().client(), topic_ + ".missing", 0, {}, 2s,
                        [](const IncomingRecord&) -> Status { return {}; }),
              IsErrorWith("kafka_topic_missing"));
}

}  // namespace
}  // namespace tailwater::kafka
