#include <gtest/gtest.h>

#include "support/matchers.h"
#include "topic/kafka/head.h"

namespace tailwater {
namespace {

KafkaSettings Settings() {
  KafkaSettings settings;
  settings.pipeline = "shop";
  settings.topic = "tailwater.shop";
  return settings;
}

TEST(KafkaHead, SurvivesItsWireForm) {
  const TopicHead head = TopicHead::Make(Settings(), 12, 1'700'000'000'000'000);
  EXPECT_EQ(head.log_id.size(), 32u);
  const auto read = ParseTopicHead(head.Encode(), Settings());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->log_id, head.log_id);
  EXPECT_EQ(read->pipeline, "shop");
  EXPECT_EQ(read->partitions, 12);
  EXPECT_EQ(read->created_micros, 1'700'000'000'000'000);
  EXPECT_NE(TopicHead::Make(Settings(), 12, 0).log_id, head.log_id);
}

TEST(KafkaHead, RefusesWhatANewerVersionWroteAndWhatIsNone) {
  EXPECT_THAT(ParseTopicHead("\x08\x02", Settings()), IsErrorWith("topic_format_newer"));
  EXPECT_THAT(ParseTopicHead("", Settings()), IsErrorWith("topic_corrupt"));
  EXPECT_THAT(ParseTopicHead("{\"a\": 1}", Settings()), IsErrorWith("topic_corrupt"));
}

TEST(KafkaHead, BelongsToOnePipelineAndOneNumberOfPartitions) {
  const TopicHead head = TopicHead::Make(Settings(), 12, 0);
  EXPECT_TRUE(CheckTopicHead(head, 12, Settings()));
  EXPECT_THAT(CheckTopicHead(head, 13, Settings()), IsErrorWith("topic_partitions_changed"));
  KafkaSettings other = Settings();
  other.pipeline = "billing";
  EXPECT_THAT(CheckTopicHead(head, 12, other), IsErrorWith("topic_of_other_pipeline"));
}

}  // namespace
}  // namespace tailwater
