#include "topic/kafka_live/writer_fixture.h"

namespace tailwater {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(KafkaWriterLive, TheSecondWriterStandsByUntilTheFirstIsGone) {
  settings_.instance = "node-a";
  auto first = Open();
  ASSERT_TRUE(first);
  ASSERT_OK(AppendAndWait(*first, Batch({{"k", "first", 0}}, {{"n", "1"}})));
  KafkaSettings other = settings_;
  other.instance = "node-b";
  std::promise<std::string> told;
  auto second = std::async(std::launch::async, [&] {
    return Open(other, {}, [&](std::string holder) { told.set_value(std::move(holder)); });
  });
  EXPECT_THAT(told.get_future().get(), HasSubstr("node-a"));
  EXPECT_OK(AppendAndWait(*first, Batch({{"k", "still first", 0}}, {{"n", "2"}})));
  first.reset();
  auto opened = second.get();
  ASSERT_OK(opened);
  EXPECT_EQ((*opened)->LoadState()->at("n"), "2");
  ASSERT_OK(AppendAndWait(**opened, Batch({{"k", "second", 0}})));
  EXPECT_THAT(Values(), ElementsAre("first", "still first", "second"));
}

TEST_F(KafkaWriterLive, StandingByEndsWhenStopped) {
  settings_.instance = "node-a";
  auto first = Open();
  ASSERT_TRUE(first);
  KafkaSettings other = settings_;
  other.instance = "node-b";
  std::stop_source stop;
  EXPECT_THAT(Open(other, stop.get_token(), [&](const std::string&) { stop.request_stop(); }),
              IsErrorWith("stopped"));
  EXPECT_FALSE(first->lost().stop_requested());
}

TEST_F(KafkaWriterLive, ARestartedInstanceGetsItsLeaseBackAtOnce) {
  settings_.instance = "node-a";
  for (int i = 0; i < 3; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    auto writer = Open(settings_, {}, [](const std::string& holder) {
      ADD_FAILURE() << "stands by for " << holder;
    });
    ASSERT_OK(writer);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, settings_.lease_timeout);
  }
}

TEST_F(KafkaWriterLive, AFencedWriterStoresNothingMoreAndSaysThatItLostTheLease) {
  auto writer = Open();
  ASSERT_TRUE(writer);
  ASSERT_OK(AppendAndWait(*writer, Batch({{"k", "a", 0}}, {{"n", "a"}})));
  // As whoever takes over does first.
  auto successor = MakeProducer(settings_.CaptureTransactionalId(), settings_.topic);
  Answers answers;
  writer->Append(Batch({{"k", "b", 0}}, {{"n", "b"}}), answers.Take());
  writer->Append(Batch({{"k", "c", 0}}, {{"n", "c"}}), answers.Take());
  for (const auto& answer : answers.WaitFor(2)) {
    EXPECT_THAT(answer, IsErrorWith("topic_lease_lost"));
    EXPECT_EQ(answer.error().disposition, Disposition::kRetry);
  }
  EXPECT_TRUE(writer->lost().stop_requested());
  EXPECT_THAT(writer->Recover(), IsErrorWith("topic_lease_lost"));
  EXPECT_THAT(AppendAndWait(*writer, Batch({{"k", "d", 0}})), IsErrorWith("topic_lease_lost"));
  EXPECT_THAT(Values(), ElementsAre("a"));
}

TEST_F(KafkaWriterLive, ANamesakeTakesTheLeaseAndTheFirstDoesNotTakeItBack) {
  settings_.instance = "node-a";
  auto contested = std::make_shared<std::atomic<bool>>(false);
  auto first = KafkaWriter::Open(settings_, {}, {}, contested);
  ASSERT_OK(first);
  auto second = Open();
  ASSERT_TRUE(second);
  std::promise<void> lost;
  const std::stop_callback on_lost((*first)->lost(), [&] { lost.set_value(); });
  ASSERT_EQ(lost.get_future().wait_for(60s), std::future_status::ready);
  EXPECT_TRUE(*contested);
  EXPECT_THAT(AppendAndWait(**first, Batch({{"k", "x", 0}})), IsErrorWith("topic_lease_lost"));
  first->reset();
  std::stop_source stop;
  std::string holder;
  EXPECT_THAT(KafkaWriter::Open(
                  settings_, stop.get_token(),
                  [&](std::string told) {
                    holder = std::move(told);
                    stop.request_stop();
                  },
                  contested),
              IsErrorWith("stopped"));
  EXPECT_THAT(holder, HasSubstr("--instance"));
  ASSERT_OK(AppendAndWait(*second, Batch({{"k", "second", 0}})));
}

TEST_F(KafkaWriterLive, WaitsForATransactionThatIsOpenInTheState) {
  ASSERT_TRUE(Open());
  auto foreign = MakeProducer(settings_.topic + ".foreign", settings_.StateTopic());
  ASSERT_OK(foreign->Begin());
  ASSERT_OK(Put(*foreign, settings_.StateTopic(), "source/shop", "of the open transaction"));
  KafkaSettings impatient = settings_;
  impatient.request_timeout = 2s;
  EXPECT_THAT(Open(impatient), IsErrorWith("kafka_timeout"));
  auto waiting = std::async(std::launch::async, [&] { return Open(settings_); });
  ASSERT_OK(foreign->Commit());
  auto writer = waiting.get();
  ASSERT_OK(writer);
  EXPECT_EQ((*writer)->LoadState()->at("source/shop"), "of the open transaction");
}

}  // namespace
}  // namespace tailwater
