#include "codec/codec.h"
#include "tailwater/change.pb.h"
#include "topic/kafka_live/writer_fixture.h"

namespace tailwater {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(KafkaWriterLive, StoresRecordsAndStateInOneTransactionBehindTheHead) {
  auto writer = Open();
  ASSERT_TRUE(writer);
  EXPECT_EQ(writer->partitions(), 3);
  EXPECT_EQ(writer->max_record_bytes(), settings_.max_record_bytes);
  EXPECT_THAT(*writer->LoadState(), IsEmpty());
  EXPECT_EQ(*writer->Ends(), (Offsets{{0, 0}, {1, 0}, {2, 0}}));
  const auto receipt = AppendAndWait(
      *writer, Batch({{"a", "1", 0}, {"b", "2", 1}, {"a", "3", 0}}, {{"source/shop", "s1"}}));
  ASSERT_OK(receipt);
  EXPECT_EQ(receipt->ends, (Offsets{{0, 2}, {1, 1}, {2, 0}}));
  ASSERT_OK(AppendAndWait(*writer, Batch({}, {{"source/shop", "s2"}, {"source/old", "x"}})));
  ASSERT_OK(AppendAndWait(*writer, Batch({{"c", "4", 2}}, {{"source/old", ""}})));
  EXPECT_THAT(Values(0), ElementsAre("1", "3"));
  EXPECT_THAT(Values(1), ElementsAre("2"));
  EXPECT_THAT(Values(2), ElementsAre("4"));
  const std::map<std::string, std::string> state = {{"source/shop", "s2"}};
  EXPECT_EQ(*writer->LoadState(), state);

  const std::string log_id = writer->log_id();
  writer.reset();
  writer = Open();
  ASSERT_TRUE(writer);
  EXPECT_EQ(writer->log_id(), log_id);
  EXPECT_EQ(*writer->LoadState(), state);
  EXPECT_GE(writer->Ends()->at(0), 2);
  const auto stored = ReadBack(server_.brokers(), settings_.StateTopic(), 0);
  ASSERT_FALSE(stored.empty());
  EXPECT_EQ(stored[0].key, "log");
  const auto head = ParseTopicHead(stored[0].value.value_or(""), settings_);
  ASSERT_OK(head);
  EXPECT_EQ(head->log_id, log_id);
  EXPECT_EQ(head->pipeline, "shop");
  EXPECT_EQ(head->partitions, 3);
}

TEST_F(KafkaWriterLive, MakesItsTopicsAsConfigured) {
  settings_.retention = std::chrono::hours(2);
  settings_.max_bytes = 3'000'000;
  ASSERT_TRUE(Open());
  auto admin = MakeAdmin();
  const auto records = admin->TopicSettings(settings_.topic);
  ASSERT_OK(records);
  EXPECT_EQ(records->at("cleanup.policy"), "delete");
  EXPECT_EQ(records->at("retention.ms"), "7200000");
  EXPECT_EQ(records->at("retention.bytes"), "1000000");
  EXPECT_EQ(records->at("min.insync.replicas"), "1");
  EXPECT_EQ(records->at("unclean.leader.election.enable"), "false");
  EXPECT_EQ(records->at("compression.type"), "producer");
  const auto state = admin->TopicSettings(settings_.StateTopic());
  ASSERT_OK(state);
  EXPECT_EQ(state->at("cleanup.policy"), "compact");
  EXPECT_EQ((*admin->FindTopic(settings_.StateTopic()))->partitions, 1);
}

TEST_F(KafkaWriterLive, RecordsBearWhatTheySayInTheirHeaders) {
  Change change;
  change.operation = Operation::kFrontier;
  change.source = "shop";
  change.epoch = 3;
  change.position = "v77";
  change.version = 77;
  std::string value;
  Encoder().EncodeChange(change, value);
  auto writer = Open();
  ASSERT_TRUE(writer);
  ASSERT_OK(AppendAndWait(*writer, Batch({{"key", value, 1}})));
  const auto records = ReadBack(server_.brokers(), settings_.topic, 1);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].value, value);
  EXPECT_EQ(records[0].key, "key");
  EXPECT_EQ(records[0].headers,
            (std::map<std::string, std::string>{
                {"tailwater.id", Id(change)},
                {"tailwater.source", "shop"},
                {"tailwater.op", "frontier"},
                {"tailwater.version", "77"},
                {"tailwater.control", "true"},
                {"content-type", "application/x-protobuf; messageType=\"tailwater.v1.Change\""}}));
  // Retention counts from the publication, whenever the change was made.
  EXPECT_GT(records[0].timestamp_millis, 1'700'000'000'000);
}

TEST_F(KafkaWriterLive, ASweepMarkersCopyForPartitionZeroListsTheOthers) {
  Change change;
  change.operation = Operation::kSweep;
  change.source = "shop";
  change.position = "v9";
  change.version = 9;
  std::string marker;
  Encoder().EncodeChange(change, marker);
  auto writer = Open();
  ASSERT_TRUE(writer);
  ASSERT_OK(AppendAndWait(*writer, Batch({{"k", "a", 0}, {"k", "b", 1}, {"k", "c", 1}})));
  AppendBatch batch = Batch({{"k", "d", 2}, {"k", "e", 1}});
  AddRecord(batch, {"m", marker, 1}, false, true);
  AddRecord(batch, {"m", marker, 2}, false, true);
  AddRecord(batch, {"m", marker, 0}, true);
  AddRecord(batch, {"k", "f", 1});
  ASSERT_OK(AppendAndWait(*writer, std::move(batch)));

  const auto offset_of = [&](int32_t partition) {
    for (const auto& record : ReadBack(server_.brokers(), settings_.topic, partition)) {
      if (record.key == "m") return record.offset;
    }
    return int64_t{-1};
  };
  const auto zero = ReadBack(server_.brokers(), settings_.topic, 0);
  v1::Change decoded;
  ASSERT_TRUE(decoded.ParseFromString(*zero.back().value));
  ASSERT_EQ(decoded.fence_size(), 2);
  EXPECT_EQ(decoded.fence(0).partition(), 1);
  EXPECT_EQ(decoded.fence(0).offset(), offset_of(1));
  EXPECT_EQ(decoded.fence(1).partition(), 2);
  EXPECT_EQ(decoded.fence(1).offset(), offset_of(2));
}

TEST_F(KafkaWriterLive, ManyBatchesAreAnsweredInOrder) {
  auto writer = Open();
  ASSERT_TRUE(writer);
  Answers answers;
  std::vector<std::string> expected;
  for (int i = 0; i < 500; ++i) {
    expected.push_back(std::to_string(i));
    writer->Append(Batch({{"k", expected.back(), 0}}, {{"n", expected.back()}}), answers.Take());
  }
  int64_t last = 0;
  for (const auto& answer : answers.WaitFor(500)) {
    ASSERT_OK(answer);
    EXPECT_GE(answer->ends.at(0), last);
    last = answer->ends.at(0);
  }
  EXPECT_EQ(Values(), expected);
  EXPECT_EQ(writer->LoadState()->at("n"), "499");
  EXPECT_EQ(writer->queued_bytes(), 0u);
}

TEST_F(KafkaWriterLive, ARecordOfTheLargestSizeIsStoredAndALargerOneFailsAlone) {
  auto writer = Open();
  ASSERT_TRUE(writer);
  std::string noise(settings_.max_record_bytes - 1, '\0');
  for (size_t i = 0; i < noise.size(); ++i) noise[i] = static_cast<char>(i * 2654435761u >> 11);
  Answers answers;
  writer->Append(Batch({{"k", noise, 0}}), answers.Take());
  writer->Append(Batch({{"kk", noise, 0}}, {{"n", "too large"}}), answers.Take());
  writer->Append(Batch({{"k", "behind it", 0}}), answers.Take());
  const auto list = answers.WaitFor(3);
  EXPECT_OK(list[0]);
  EXPECT_THAT(list[1], IsErrorWith("topic_record_too_large"));
  EXPECT_EQ(list[1].error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(list[2], IsErrorWith("topic_record_too_large"));
  ASSERT_OK(writer->Recover());
  EXPECT_THAT(*writer->LoadState(), IsEmpty());
  ASSERT_OK(AppendAndWait(*writer, Batch({{"k", "after", 0}})));
  EXPECT_THAT(Values(), ElementsAre(noise, "after"));
}

TEST_F(KafkaWriterLive, AnOlderTopicThatTakesLessSaysSo) {
  ASSERT_TRUE(Open());
  settings_.max_record_bytes = 5'000'000;
  auto writer = Open();
  ASSERT_TRUE(writer);
  EXPECT_LT(writer->max_record_bytes(), 200'000u);
  EXPECT_GE(writer->max_record_bytes(), 100'000u);
}

// --- what is refused ---

TEST_F(KafkaWriterLive, RefusesMoreReplicasThanBrokers) {
  settings_.replication = 3;
  const auto writer = Open(settings_);
  ASSERT_THAT(writer, IsErrorWith("topic_replication_too_high"));
  EXPECT_EQ(writer.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(writer.error().message, HasSubstr("replication: 1"));
}

TEST_F(KafkaWriterLive, MakesNothingWhereSomebodyElseDoes) {
  settings_.create = false;
  const auto writer = Open(settings_);
  ASSERT_THAT(writer, IsErrorWith("topic_not_created"));
  EXPECT_THAT(writer.error().message, HasSubstr("--partitions 3"));
  EXPECT_FALSE(*MakeAdmin()->FindTopic(settings_.topic));
}

TEST_F(KafkaWriterLive, RefusesAnotherPipelinesTopic) {
  ASSERT_TRUE(Open());
  settings_.pipeline = "billing";
  EXPECT_THAT(Open(settings_), IsErrorWith("topic_of_other_pipeline"));
}

TEST_F(KafkaWriterLive, RefusesAnotherNumberOfPartitions) {
  ASSERT_TRUE(Open());
  settings_.partitions = 4;
  EXPECT_THAT(Open(settings_), IsErrorWith("topic_partitions_changed"));
}

TEST_F(KafkaWriterLive, RefusesPartitionsThatTheHeadDoesNotKnow) {
  auto admin = MakeAdmin();
  ASSERT_TRUE(Open());
  auto producer = MakeProducer(settings_.topic + ".other", settings_.StateTopic());
  const std::string head = TopicHead::Make(settings_, 2, 0).Encode();
  ASSERT_OK(producer->Begin());
  ASSERT_OK(Put(*producer, settings_.StateTopic(), kTopicHeadKey, head));
  ASSERT_OK(producer->Commit());
  EXPECT_THAT(Open(settings_), IsErrorWith("topic_partitions_changed"));
}

TEST_F(KafkaWriterLive, RefusesTopicsThatAreCleanedUpInTheWrongWay) {
  auto admin = MakeAdmin();
  ASSERT_OK(admin->CreateTopic({settings_.topic, 3, 1, {{"cleanup.policy", "compact"}}}));
  ASSERT_OK(admin->CreateTopic({settings_.StateTopic(), 1, 1, {{"cleanup.policy", "compact"}}}));
  EXPECT_THAT(Open(settings_), IsErrorWith("topic_compacted"));
  settings_.topic += ".b";
  ASSERT_OK(admin->CreateTopic({settings_.topic, 3, 1, {}}));
  ASSERT_OK(admin->CreateTopic({settings_.StateTopic(), 1, 1, {}}));
  EXPECT_THAT(Open(settings_), IsErrorWith("topic_state_not_compacted"));
}

TEST_F(KafkaWriterLive, ALostStateIsAGap) {
  auto writer = Open();
  ASSERT_TRUE(writer);
  ASSERT_OK(AppendAndWait(*writer, Batch({{"k", "v", 0}}, {{"source/shop", "s"}})));
  writer.reset();
  ASSERT_OK(MakeAdmin()->DeleteTopic(settings_.StateTopic()));
  const auto opened = Open(settings_);
  ASSERT_THAT(opened, IsErrorWith("topic_state_lost"));
  EXPECT_EQ(opened.error().disposition, Disposition::kGap);
  // Made anew and empty, it is no better.
  ASSERT_OK(
      MakeAdmin()->CreateTopic({settings_.StateTopic(), 1, 1, {{"cleanup.policy", "compact"}}}));
  EXPECT_THAT(Open(settings_), IsErrorWith("topic_state_lost"));
}

TEST_F(KafkaWriterLive, LostRecordsAreAGap) {
  ASSERT_TRUE(Open());
  ASSERT_OK(MakeAdmin()->DeleteTopic(settings_.topic));
  const auto opened = Open(settings_);
  ASSERT_THAT(opened, IsErrorWith("topic_records_lost"));
  EXPECT_EQ(opened.error().disposition, Disposition::kGap);
  EXPECT_FALSE(*MakeAdmin()->FindTopic(settings_.topic));
}

}  // namespace
}  // namespace tailwater
