#include "pipeline/topic_gate.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "support/matchers.h"
#include "support/memory_topic.h"

namespace tailwater {
namespace {

class TopicGateTest : public testing::Test {
 protected:
  TopicGateTest()
      : topic_({.completion = StubMemoryTopic::Completion::kManual}),
        gate_(*topic_.OpenWriter({}, {}),
              [this](const Error& error) { failures_.emplace_back(error.code); }) {}

  static AppendBatch OneRecord() {
    AppendBatch batch;
    batch.buffer() = "value";
    batch.Add(0, 0, 0, 1);
    return batch;
  }

  StubMemoryTopic topic_;
  std::vector<std::string> failures_;
  TopicGate gate_;
};

TEST_F(TopicGateTest, TellsOfAFailureOnceHoweverManyBatchesItTakesAndOfEachRecoveryThatFails) {
  topic_.FailNextAppend({Disposition::kRetry, "topic_down", "down"});
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(gate_.Submit(gate_.generation(), OneRecord(), [](const auto&) {}));
  }
  topic_.RunPending();
  EXPECT_THAT(failures_, testing::ElementsAre("topic_down"));
  topic_.FailRecover({Disposition::kNeedsOperator, "topic_disk_full", "make room"}, 2);
  EXPECT_THAT(gate_.Recover({}), IsErrorWith("topic_disk_full"));
  EXPECT_THAT(gate_.Recover({}), IsErrorWith("topic_disk_full"));
  ASSERT_OK(gate_.Recover({}));
  EXPECT_THAT(failures_, testing::ElementsAre("topic_down", "topic_disk_full", "topic_disk_full"));
}

TEST_F(TopicGateTest, RefusesEverythingUntilTheTopicRecovered) {
  topic_.FailNextAppend({Disposition::kRetry, "topic_down", "down"});
  ASSERT_OK(gate_.Submit(gate_.generation(), OneRecord(), [](const auto&) {}));
  topic_.RunPending();
  EXPECT_THAT(gate_.Submit(gate_.generation(), OneRecord(), [](const auto&) {}),
              IsErrorWith("topic_down"));
  ASSERT_OK(gate_.Recover({}));
  EXPECT_OK(gate_.Submit(gate_.generation(), OneRecord(), [](const auto&) {}));
}

// Two sources share the gate. The one that heard of the failure first makes the topic recover; what
// the other one would append behind its lost batch would leave a hole in its stream.
TEST_F(TopicGateTest, RefusesARunFromBeforeTheFailureAfterAnotherSourceRecovered) {
  const uint64_t slow_run = gate_.generation();
  topic_.FailNextAppend({Disposition::kRetry, "topic_down", "down"});
  ASSERT_OK(gate_.Submit(slow_run, OneRecord(), [](const auto&) {}));
  topic_.RunPending();
  ASSERT_OK(gate_.Recover({}));
  EXPECT_THAT(gate_.Submit(slow_run, OneRecord(), [](const auto&) {}), IsErrorWith("topic_down"));
  EXPECT_EQ(topic_.queued(), 0u);
}

}  // namespace
}  // namespace tailwater
