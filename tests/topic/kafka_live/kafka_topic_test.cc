#include "topic/kafka/kafka_topic.h"

#include "topic/kafka_live/writer_fixture.h"

namespace tailwater {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Severity = Finding::Severity;

class KafkaTopicLive : public KafkaWriterLive {
 protected:
  std::vector<Finding> Check() { return KafkaTopic(settings_).Check(); }
  static auto IsFinding(Severity severity, const std::string& code) {
    return AllOf(Field(&Finding::severity, severity), Field(&Finding::code, code));
  }
};

TEST_F(KafkaTopicLive, CheckSaysWhatWillBeMadeAndMakesNothing) {
  const auto findings = Check();
  EXPECT_THAT(findings, Contains(IsFinding(Severity::kOk, "brokers")));
  EXPECT_THAT(findings, Contains(IsFinding(Severity::kInfo, "topic_will_be_made")).Times(2));
  EXPECT_THAT(findings, Contains(IsFinding(Severity::kWarning, "topic_replication_low")));
  EXPECT_THAT(findings, Each(Field(&Finding::severity, Not(Severity::kError))));
  EXPECT_FALSE(*MakeAdmin()->FindTopic(settings_.topic));
}

TEST_F(KafkaTopicLive, CheckFindsATopicThatCannotBeMade) {
  settings_.replication = 3;
  EXPECT_THAT(Check(), Contains(IsFinding(Severity::kError, "topic_replication_too_high")));
  settings_.replication = 1;
  settings_.topic = "no good name";
  EXPECT_THAT(Check(), Contains(Field(&Finding::severity, Severity::kError)));
  settings_.topic = "not.there";
  settings_.create = false;
  EXPECT_THAT(Check(), Contains(AllOf(IsFinding(Severity::kError, "topic_not_created"),
                                      Field(&Finding::remedy, HasSubstr("--partitions 3")))));
}

TEST_F(KafkaTopicLive, CheckComparesWhatIsThere) {
  ASSERT_TRUE(Open());
  EXPECT_THAT(Check(), Contains(IsFinding(Severity::kOk, "topic_head")));
  EXPECT_THAT(Check(), Each(Field(&Finding::severity, Not(Severity::kError))));
  settings_.retention = std::chrono::hours(1);
  EXPECT_THAT(Check(), Contains(AllOf(IsFinding(Severity::kWarning, "topic_settings_differ"),
                                      Field(&Finding::remedy, HasSubstr("retention.ms=3600000")))));
  settings_.partitions = 7;
  EXPECT_THAT(Check(), Contains(IsFinding(Severity::kError, "topic_partitions_changed")));
  settings_.partitions = 3;
  settings_.pipeline = "billing";
  EXPECT_THAT(Check(), Contains(IsFinding(Severity::kError, "topic_of_other_pipeline")));
}

TEST_F(KafkaTopicLive, CheckSaysWhyItCannotReachTheBrokers) {
  settings_.client.connection.brokers = {"127.0.0.1:1"};
  EXPECT_THAT(Check(), Contains(AllOf(IsFinding(Severity::kError, "kafka_unreachable"),
                                      Field(&Finding::message, HasSubstr("Connection refused")))));
}

TEST_F(KafkaTopicLive, PeeksAtTheStateWithoutOwningAnything) {
  KafkaTopic topic(settings_);
  EXPECT_THAT(*topic.PeekState(), IsEmpty());
  auto writer = topic.OpenWriter({}, {});
  ASSERT_OK(writer);
  ASSERT_OK(AppendAndWait(**writer, Batch({}, {{"source/shop", "s"}})));
  const std::map<std::string, std::string> state = {{"source/shop", "s"}};
  EXPECT_EQ(*KafkaTopic(settings_).PeekState(), state);
}

TEST_F(KafkaTopicLive, DestroyDeletesWhatIsItsOwnOnceNobodyWorksWithIt) {
  const std::string neighbour = settings_.topic + "x";
  ASSERT_OK(MakeAdmin()->CreateTopic({neighbour, 1, 1, {}}));
  KafkaTopic topic(settings_);
  auto writer = topic.OpenWriter({}, {});
  ASSERT_OK(writer);
  ASSERT_OK(AppendAndWait(**writer, Batch({{"k", "v", 0}})));
  EXPECT_THAT(topic.Destroy(), IsErrorWith("topic_locked"));
  writer->reset();
  KafkaSettings other = settings_;
  other.pipeline = "billing";
  EXPECT_THAT(KafkaTopic(other).Destroy(), IsErrorWith("topic_of_other_pipeline"));
  ASSERT_OK(topic.Destroy());
  ASSERT_OK(topic.Destroy());
  auto admin = MakeAdmin();
  const auto topics = admin->ListTopics();
  ASSERT_OK(topics);
  EXPECT_THAT(*topics, Not(Contains(settings_.topic)));
  EXPECT_THAT(*topics, Not(Contains(settings_.StateTopic())));
  EXPECT_THAT(*topics, Contains(neighbour));
  EXPECT_THAT(*admin->ListGroups(), Not(Contains(settings_.CaptureGroup())));
  // And it can be begun anew.
  ASSERT_TRUE(Open());
}

TEST_F(KafkaTopicLive, SinksCannotTakeOurOwnNames) {
  KafkaTopic topic(settings_);
  EXPECT_THAT(topic.Subscribe("state", {}, {}), IsErrorWith("topic_reserved_name"));
  EXPECT_THAT(topic.Subscribe("capture", {}, {}), IsErrorWith("topic_reserved_name"));
}

}  // namespace
}  // namespace tailwater
