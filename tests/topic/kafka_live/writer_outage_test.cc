// A broker of its own, for it is stopped and frozen.

#include "topic/kafka_live/writer_fixture.h"

namespace tailwater {
namespace {

using ::testing::ElementsAre;

class KafkaWriterOutage : public KafkaWriterLive {
 protected:
  KafkaWriterOutage() { settings_.transaction_timeout = 3s; }

  // As capture does: until the topic takes writes again, or by another writer.
  void Recover(std::unique_ptr<KafkaWriter>& writer) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    Status status;
    while (std::chrono::steady_clock::now() < deadline) {
      if (writer != nullptr && writer->lost().stop_requested()) writer.reset();
      if (writer == nullptr) {
        auto opened = Open(settings_);
        if (opened) {
          writer = std::move(*opened);
          return;
        }
        status = std::move(opened).error();
      } else {
        status = writer->Recover();
        if (status) return;
      }
      ASSERT_EQ(status.error().disposition, Disposition::kRetry) << DescribeResult(status);
      std::this_thread::sleep_for(50ms);  // the backoff
    }
    FAIL() << DescribeResult(status);
  }
};

TEST_F(KafkaWriterOutage, AnOutageFailsWhatIsQueuedAndNothingOfItIsStoredLater) {
  auto writer = Open();
  ASSERT_TRUE(writer);
  ASSERT_OK(AppendAndWait(*writer, Batch({{"k", "before", 0}}, {{"n", "before"}})));
  server_.Command("stop");
  const auto failed = AppendAndWait(*writer, Batch({{"k", "during", 0}}, {{"n", "during"}}));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().disposition, Disposition::kRetry);
  EXPECT_FALSE(AppendAndWait(*writer, Batch({{"k", "still", 0}})));
  EXPECT_FALSE(writer->LoadState());
  server_.Command("start");
  Recover(writer);
  ASSERT_TRUE(writer);
  EXPECT_EQ(writer->LoadState()->at("n"), "before");
  ASSERT_OK(AppendAndWait(*writer, Batch({{"k", "after", 0}})));
  EXPECT_THAT(Values(), ElementsAre("before", "after"));
}

// The broker stops in the middle of whatever the writer does just then: whatever the answers were,
// state and records agree, and what was confirmed is there.
TEST_F(KafkaWriterOutage, ACommitThatNobodyAnsweredIsDecidedByWhatIsStored) {
  auto writer = Open();
  ASSERT_TRUE(writer);
  int next = 0;  // the number that the state says comes next
  for (int round = 0; round < 4; ++round) {
    Answers answers;
    size_t sent = 0;
    std::jthread freezer([&, round] {
      std::this_thread::sleep_for(std::chrono::milliseconds(3 * round));  // any moment will do
      server_.Command("freeze");
    });
    int number = next;
    for (; sent < 200; ++sent, ++number) {
      const std::string text = std::to_string(number);
      writer->Append(Batch({{"k", text, 0}}, {{"next", std::to_string(number + 1)}}),
                     answers.Take());
    }
    freezer.join();
    const auto list = answers.WaitFor(sent);
    server_.Command("thaw");
    int confirmed = next;
    for (const auto& answer : list) {
      if (!answer) {
        EXPECT_EQ(answer.error().disposition, Disposition::kRetry) << DescribeResult(answer);
        break;
      }
      ++confirmed;
    }
    Recover(writer);
    ASSERT_TRUE(writer);
    const auto state = writer->LoadState();
    ASSERT_OK(state);
    next = state->count("next") > 0 ? std::stoi(state->at("next")) : 0;
    EXPECT_GE(next, confirmed);
    std::vector<std::string> expected;
    for (int i = 0; i < next; ++i) expected.push_back(std::to_string(i));
    ASSERT_EQ(Values(), expected) << "round " << round;
  }
}

}  // namespace
}  // namespace tailwater
