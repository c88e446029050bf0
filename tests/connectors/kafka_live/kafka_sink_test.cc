#include "kafka/kafka_sink.h"

#include <gmock/gmock.h>

#include <random>

#include "codec/codec.h"
#include "connectors/kafka_live/kafka_fixture.h"
#include "support/short_values.h"

namespace tailwater::kafka_sink {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Noise(size_t bytes) {
  std::mt19937_64 random(7);
  std::string text;
  for (size_t i = 0; i < bytes; ++i) text += static_cast<char>('!' + random() % 90);
  return text;
}

class KafkaSinkTest : public ::testing::Test {
 protected:
  // Writes and commits, from where the offsets stand.
  std::vector<Verdict> Store(KafkaSink& sink, DeliveryBatchBuilder& batch) {
    const auto stored = sink.StoredOffsets();
    EXPECT_OK(stored);
    const auto at = stored->offsets.find(0);
    const int64_t begin = at == stored->offsets.end() ? 0 : at->second;
    auto verdicts = sink.Write(batch.Build(begin));
    EXPECT_OK(verdicts);
    if (!verdicts) return {};
    const auto outcome =
        sink.Commit("log", stored->offsets, {{0, begin + static_cast<int64_t>(batch.size())}});
    EXPECT_OK(outcome);
    EXPECT_EQ(*outcome, CommitOutcome::kCommitted);
    return *std::move(verdicts);
  }

  const SchemaPtr orders_ = TableSchema::Make(
      {"public", "orders"},
      {{"id", ValueType::kInt64, "bigint", true}, {"note", ValueType::kText, "text"}});
};

TEST_F(KafkaSinkTest, RecordsLieWhereJavasPartitionerPutsThem) {
  KafkaTarget target;
  auto sink = target.OpenSink();
  DeliveryBatchBuilder batch;
  for (int i = 0; i < 20; ++i) batch.Insert(orders_, i + 1, {Int(i), Text("a")});
  Store(*sink, batch);
  const auto records = target.ReadTable("orders");
  ASSERT_EQ(records.size(), 20u);
  for (const StoredRecord& record : records) {
    EXPECT_EQ(record.partition, PartitionOf(record.key, 2)) << record.key;
    EXPECT_THAT(record.key, ::testing::StartsWith("{\"id\":"));
    EXPECT_THAT(record.headers.at("tailwater.id"), ::testing::StartsWith("shop:1:0/1000:"));
    EXPECT_THAT(*record.value, HasSubstr(R"("op":"insert")"));
  }
}

TEST_F(KafkaSinkTest, DebeziumsFormWithTombstonesAndTheHeadersOfAKeyChange) {
  KafkaTarget target("schemas: false\n", "create: {partitions: 1, replication: 1}\n");
  auto sink = target.OpenSink();
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")});
  Change half{.operation = Operation::kDelete, .schema = orders_.get(), .version = 2};
  batch.Add(half, {}, {Int(1), Value::Omitted()});
  half.operation = Operation::kInsert;
  half.version = 3;
  half.part = 1;
  batch.Add(half, {Int(2), Text("a")});
  batch.Add({.operation = Operation::kTruncate, .schema = orders_.get(), .version = 4});
  batch.Add({.operation = Operation::kMessage,
             .version = 5,
             .message_prefix = "audit",
             .message_content = "hello"});
  auto deliveries = batch.Build();
  // Both halves are of one event.
  for (const size_t i : {size_t{1}, size_t{2}}) {
    const_cast<Change*>(deliveries.deliveries[i].change)->ordinal = 1;
  }
  ASSERT_OK(sink->Write(deliveries));
  ASSERT_OK(sink->Commit("log", {}, {{0, 5}}));
  const auto records = target.ReadTable("orders");
  ASSERT_EQ(records.size(), 5u);
  EXPECT_THAT(*records[0].value, HasSubstr(R"("op":"c")"));
  EXPECT_EQ(records[0].key, R"({"id":1})");
  EXPECT_THAT(*records[1].value, HasSubstr(R"("op":"d")"));
  EXPECT_EQ(records[1].headers.at("__debezium.newkey"), R"({"id":2})");
  EXPECT_EQ(records[2].key, R"({"id":1})");
  EXPECT_EQ(records[2].value, std::nullopt);
  EXPECT_THAT(*records[3].value, HasSubstr(R"("op":"c")"));
  EXPECT_EQ(records[3].headers.at("__debezium.oldkey"), R"({"id":1})");
  EXPECT_EQ(records[4].key, "");
  EXPECT_THAT(*records[4].value, HasSubstr(R"("before":null,"after":null)"));
  EXPECT_THAT(*records[4].value, HasSubstr(R"("op":"t")"));
  const auto messages = target.Read(target.prefix() + ".message");
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].key, R"({"prefix":"audit"})");
}

TEST_F(KafkaSinkTest, ProtobufIsTheRecordAsItIs) {
  KafkaTarget target("format: protobuf\ntombstones: false\n");
  auto sink = target.OpenSink();
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")}).Delete(orders_, 2, {Int(1), Value::Omitted()});
  Store(*sink, batch);
  const auto records = target.ReadTable("orders");
  ASSERT_EQ(records.size(), 2u);
  const DeliveryBatch sent = batch.Build();
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(records[i].key, sent.deliveries[i].key);
    EXPECT_EQ(records[i].value, sent.deliveries[i].value);
  }
}

// Whatever happens between Write() and Commit(), and whoever believes to own the partition.
TEST_F(KafkaSinkTest, EachRecordOnceOverKillsAbortsZombiesAndCommitsNobodyHeardOf) {
  KafkaTarget target;
  constexpr int kRecords = 900;  // per partition
  std::mt19937_64 random(20'261'121);
  std::vector<std::unique_ptr<KafkaSink>> zombies;
  auto sink = target.OpenSink({0, 1});
  int troubles = 0;
  Offsets held = {};
  while (troubles < 60 || held[0] < kRecords || held[1] < kRecords) {
    DeliveryBatchBuilder batch;
    std::vector<Delivery> deliveries;
    Offsets next = held;
    std::vector<int32_t> places;
    for (const int32_t partition : {0, 1}) {
      if (random() % 5 == 0) continue;
      const int64_t end =
          std::min<int64_t>(held[partition] + 1 + static_cast<int64_t>(random() % 20), kRecords);
      for (int64_t& offset = next[partition]; offset < end; ++offset) {
        batch.Insert(orders_, 1 + offset * 2 + partition,
                     {Int(offset % 50 * 2 + partition), Text("a")});
        places.push_back(partition);
      }
    }
    const DeliveryBatch built = batch.Build();
    Offsets at = held;
    for (size_t i = 0; i < places.size(); ++i) {
      Delivery delivery = built.deliveries[i];
      delivery.partition = places[i];
      delivery.offset = at[places[i]]++;
      deliveries.push_back(delivery);
    }
    Offsets expected;
    for (const auto& [partition, offset] : held) {
      if (offset > 0) expected[partition] = offset;
    }
    std::erase_if(next, [&](const auto& place) { return place.second == held[place.first]; });
    const uint64_t dice = random() % 12;
    ASSERT_OK(sink->Write({deliveries}));
    bool read_again = true;
    if (dice == 0) {  // killed before the commit, its transaction left open
      zombies.push_back(std::move(sink));
      sink = target.OpenSink({0, 1});
    } else if (dice == 1) {
      sink->Rollback();
    } else if (dice == 2) {  // gone without a word, the transaction undone
      sink = target.OpenSink({0, 1});
    } else if (dice == 3) {  // it committed, and nobody heard of it
      ASSERT_OK(sink->Commit("log", expected, next));
      zombies.push_back(std::move(sink));
      sink = target.OpenSink({0, 1});
    } else if (dice == 4) {  // another took over in between
      zombies.push_back(std::move(sink));
      sink = target.OpenSink({0, 1});
      const auto outcome = zombies.back()->Commit("log", expected, next);
      if (!next.empty()) {
        ASSERT_OK(outcome);
        EXPECT_EQ(*outcome, CommitOutcome::kLost);
        // The zombie would go on: it must not win its partitions back by writing alone.
        ASSERT_OK(sink->Assigned(std::vector<int32_t>{0, 1}));
      }
    } else {
      const auto outcome = sink->Commit("log", expected, next);
      ASSERT_OK(outcome);
      EXPECT_EQ(*outcome, CommitOutcome::kCommitted);
      for (const auto& [partition, offset] : next) held[partition] = offset;
      read_again = false;
    }
    if (read_again) {
      ++troubles;
      const auto stored = sink->StoredOffsets();
      ASSERT_OK(stored);
      for (const int32_t partition : {0, 1}) {
        const auto place = stored->offsets.find(partition);
        held[partition] = place == stored->offsets.end() ? 0 : place->second;
      }
    }
  }
  sink.reset();
  zombies.clear();
  std::map<std::string, int> seen;
  std::map<std::string, int64_t> last_of_key;
  for (const StoredRecord& record : target.ReadTable("orders")) {
    ++seen[record.headers.at("tailwater.id")];
    const int64_t version = std::stoll(record.headers.at("tailwater.version"));
    EXPECT_LT(last_of_key[record.key], version) << "out of order";
    last_of_key[record.key] = version;
  }
  EXPECT_EQ(seen.size(), 2u * kRecords);
  for (const auto& [id, count] : seen) EXPECT_EQ(count, 1) << id;
}

TEST_F(KafkaSinkTest, EachRecordOnceThoughTheBrokerIsKilledAndStalledInBetween) {
  KafkaServer server;
  KafkaTarget target("format: json\ntransaction_timeout: 5s\n",
                     "create: {partitions: 1, replication: 1}\n", server);
  auto sink = target.OpenSink();
  Offsets held;
  for (int round = 0; round < 4 || held[0] < 60; ++round) {
    DeliveryBatchBuilder batch;
    for (int i = 0; i < 10; ++i) {
      batch.Insert(orders_, 1 + held[0] + i, {Int(held[0] + i), Text("a")});
    }
    const Offsets expected = held[0] == 0 ? Offsets() : held;
    const bool before = round == 1;
    if (before) {
      // A broker that is killed twice before it wrote the markers of a commit can leave that
      // transaction open for ever: Kafka's own trouble, and not what is asked here.
      while (target.ReadTable("orders").size() < static_cast<size_t>(held[0])) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
      server.Command("crash");
      server.Command("start");
    }
    auto verdicts = sink->Write(batch.Build(held[0]));
    if (verdicts && (round == 0 || round == 2)) {
      server.Command(round == 0 ? "crash" : "freeze");
      server.Command(round == 0 ? "start" : "thaw");
    }
    if (verdicts) {
      const auto outcome = sink->Commit("log", expected, {{0, held[0] + 10}});
      if (outcome && *outcome == CommitOutcome::kCommitted) {
        held[0] += 10;
        continue;
      }
    }
    // As the runner does it: until the cluster answers.
    Status again;
    for (int tries = 0; tries < 20; ++tries) {
      again = sink->Assigned(std::vector<int32_t>{0});
      if (again) break;
      EXPECT_EQ(again.error().disposition, Disposition::kRetry) << again.error().message;
    }
    ASSERT_OK(again);
    const auto stored = sink->StoredOffsets();
    ASSERT_OK(stored);
    held = stored->offsets;
  }
  const auto records = target.ReadTable("orders");
  ASSERT_EQ(static_cast<int64_t>(records.size()), held[0]);
  for (size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(records[i].headers.at("tailwater.version"), std::to_string(i + 1));
  }
}

TEST_F(KafkaSinkTest, AClusterThatIsNotThereIsTriedAgain) {
  KafkaTarget target;
  Problems problems;
  const auto node = ParseYaml("brokers: [127.0.0.1:1]\n", "sink.yaml", problems);
  KafkaConfig config;
  ParseOptions(KafkaOptions(), *node, kSinkKeys, &config, problems);
  KafkaSink sink(config, {}, {"pipe", "copy", {}, Logger("test"), target.metrics(), {}});
  const Status opened = sink.Open();
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().disposition, Disposition::kRetry);
  EXPECT_EQ(opened.error().code, "kafka_unreachable");
  EXPECT_THAT(opened.error().message, HasSubstr("127.0.0.1:1"));
}

TEST_F(KafkaSinkTest, AnOwnerThatWasFencedWhileItWroteLosesAndSaysSo) {
  KafkaTarget target;
  auto first = target.OpenSink();
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("first")});
  ASSERT_OK(first->Write(batch.Build()));
  auto second = target.OpenSink();
  DeliveryBatchBuilder other;
  other.Insert(orders_, 2, {Int(1), Text("second")});
  Store(*second, other);
  const auto written = first->Write(batch.Build(1));
  if (written) {  // it may hear of it only now
    const auto outcome = first->Commit("log", {}, {{0, 2}});
    ASSERT_OK(outcome);
    EXPECT_EQ(*outcome, CommitOutcome::kLost);
  } else {
    EXPECT_EQ(written.error().disposition, Disposition::kRetry);
  }
  const auto records = target.ReadTable("orders");
  ASSERT_EQ(records.size(), 1u);
  EXPECT_THAT(*records[0].value, HasSubstr("second"));
}

TEST_F(KafkaSinkTest, TwoProcessesShareThePartitions) {
  KafkaTarget target;
  auto one = target.OpenSink({0});
  auto two = target.OpenSink({1});
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")});
  ASSERT_OK(one->Write(batch.Build()));
  Delivery delivery = batch.Build().deliveries[0];
  delivery.partition = 1;
  ASSERT_OK(two->Write({std::span(&delivery, 1)}));
  EXPECT_EQ(*two->Commit("log", {}, {{1, 1}}), CommitOutcome::kCommitted);
  EXPECT_EQ(*one->Commit("log", {}, {{0, 1}}), CommitOutcome::kCommitted);
  EXPECT_EQ(one->StoredOffsets()->offsets, (Offsets{{0, 1}, {1, 1}}));
  EXPECT_EQ(target.ReadTable("orders").size(), 2u);
  // The second goes; the first takes its partition, and its offset.
  two.reset();
  ASSERT_OK(one->Assigned(std::vector<int32_t>{0, 1}));
  EXPECT_EQ(one->StoredOffsets()->offsets, (Offsets{{0, 1}, {1, 1}}));
  EXPECT_EQ(*one->Commit("log", {{1, 1}}, {{1, 5}}), CommitOutcome::kCommitted);
}

TEST_F(KafkaSinkTest, WhatIsTooLargeForItsTopicIsRefusedAlone) {
  KafkaTarget target("format: json\n",
                     "create: {partitions: 1, replication: 1, settings: {max.message.bytes: "
                     "20000}}\n");
  auto sink = target.OpenSink();
  const std::string large = Noise(60'000);
  const std::string small = Noise(5'000);
  const std::string empty_words(60'000, 'x');
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")});
  batch.Insert(orders_, 2, {Int(2), Text(large)});
  for (int i = 0; i < 30; ++i) batch.Insert(orders_, 3 + i, {Int(3 + i), Text(small)});
  batch.Insert(orders_, 40, {Int(40), Text(empty_words)});
  // The broker alone knows how small compression makes it.
  auto verdicts = sink->Write(batch.Build());
  ASSERT_FALSE(verdicts.has_value());
  EXPECT_EQ(verdicts.error().disposition, Disposition::kRetry);
  verdicts = sink->Write(batch.Build());
  ASSERT_OK(verdicts);
  for (size_t i = 0; i < verdicts->size(); ++i) {
    const Verdict& verdict = (*verdicts)[i];
    if (i != 1) {
      EXPECT_EQ(verdict.kind, Verdict::Kind::kApplied) << i;
      continue;
    }
    EXPECT_EQ(verdict.kind, Verdict::Kind::kRejected);
    EXPECT_EQ(verdict.code, "kafka_record_too_large");
    EXPECT_THAT(verdict.reason, HasSubstr("insert of shop:public.orders: a record of 61"));
    EXPECT_THAT(verdict.reason, HasSubstr("takes batches of 20000"));
  }
  EXPECT_EQ(*sink->Commit("log", {}, {{0, 33}}), CommitOutcome::kCommitted);
  EXPECT_EQ(target.ReadTable("orders").size(), 32u);
}

TEST_F(KafkaSinkTest, TopicsAreMadeAsTheConfigurationSays) {
  KafkaTarget target("format: json\n",
                     "create: {partitions: 5, replication: 1, settings: {retention.ms: "
                     "86400000}}\n");
  auto sink = target.OpenSink();
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")});
  Store(*sink, batch);
  const auto facts = target.admin().FindTopic(target.Topic("orders"));
  ASSERT_OK(facts);
  EXPECT_EQ((*facts)->partitions, 5);
  EXPECT_EQ(target.admin().TopicSettings(target.Topic("orders"))->at("retention.ms"), "86400000");
  const std::string offsets = "tailwater." + target.prefix() + ".copy.offsets";
  EXPECT_EQ((*target.admin().FindTopic(offsets))->partitions, 1);
  EXPECT_EQ(target.admin().TopicSettings(offsets)->at("cleanup.policy"), "compact");
}

TEST_F(KafkaSinkTest, AMissingTopicWaitsForTheOperator) {
  KafkaTarget target("format: json\noffsets_topic: " + KafkaServer::UniqueName("offsets") + "\n",
                     "create: false\n");
  auto sink = target.NewSink();
  const Status opened = sink->Open();
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, "kafka_topic_missing");
  EXPECT_EQ(opened.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(opened.error().message, HasSubstr("cleanup.policy=compact"));
}

TEST_F(KafkaSinkTest, ATopicThatTheClusterRefusesToMakeWaitsForTheOperator) {
  KafkaTarget target("format: json\n", "create: {partitions: 1, replication: 3}\n");
  const Status opened = target.NewSink()->Open();
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().disposition, Disposition::kNeedsOperator);
  EXPECT_EQ(opened.error().code, "kafka_policy_violation");
}

TEST_F(KafkaSinkTest, ATopicThatIsNotCompactedTakesNoOffsets) {
  const std::string offsets = KafkaServer::UniqueName("plain");
  KafkaTarget target("offsets_topic: " + offsets + "\n");
  ASSERT_OK(target.admin().CreateTopic({offsets, 1, 1, {{"cleanup.policy", "delete"}}}));
  const Status opened = target.NewSink()->Open();
  EXPECT_THAT(opened, IsErrorWith("kafka_offsets_topic_unfit"));
}

TEST_F(KafkaSinkTest, TablesThatWouldShareATopicByAccidentAreRefusedEvenAfterARestart) {
  KafkaTarget target;
  auto sink = target.OpenSink();
  const SchemaPtr one = TestSchema("a b", {"id*:int64"});
  const SchemaPtr two = TestSchema("a$b", {"id*:int64"});
  DeliveryBatchBuilder first;
  first.Insert(one, 1, {Int(1)});
  Store(*sink, first);
  DeliveryBatchBuilder second;
  second.Insert(two, 2, {Int(1)});
  for (int again = 0; again < 2; ++again) {
    const auto refused = sink->Write(second.Build(1));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, "kafka_topic_shared");
    EXPECT_EQ(refused.error().disposition, Disposition::kNeedsOperator);
    EXPECT_THAT(refused.error().message, HasSubstr("shop:public.\"a b\""));
    sink = target.OpenSink();
  }
  EXPECT_EQ(target.ReadTable("a_b").size(), 1u);
}

TEST_F(KafkaSinkTest, TablesMayShareATopicOnPurpose) {
  KafkaTarget target("schemas: false\ntopic: \"{source}.all\"\n");
  auto sink = target.OpenSink();
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")});
  const SchemaPtr other = TestSchema("other", {"id*:int64"});
  batch.Insert(other, 2, {Int(1)});
  Store(*sink, batch);
  std::set<std::string> keys;
  for (const auto& record : target.Read(target.prefix() + ".all")) keys.insert(record.key);
  EXPECT_THAT(keys, ElementsAre(HasSubstr(R"("__dbz__physicalTableIdentifier":")" +
                                          target.prefix() + ".public.orders\""),
                                HasSubstr(".public.other")));
}

TEST_F(KafkaSinkTest, ATableOfItsOwnEntryKeepsItsKeyAsItIs) {
  KafkaTarget target("schemas: false\ntables:\n  - public.*\n  - {match: public.orders, topic: " +
                     KafkaServer::UniqueName("mine") + ".orders}\n");
  auto sink = target.OpenSink();
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")});
  Store(*sink, batch);
  const auto topics = target.admin().ListTopics();
  ASSERT_OK(topics);
  for (const std::string& topic : *topics) {
    if (!topic.ends_with(".orders") || !topic.starts_with("mine.")) continue;
    EXPECT_EQ(target.Read(topic).at(0).key, R"({"id":1})");
    return;
  }
  FAIL() << "no such topic";
}

TEST_F(KafkaSinkTest, ACompactedTopicTakesNothingWithoutAKey) {
  KafkaTarget target("",
                     "create: {partitions: 1, replication: 1, settings: {cleanup.policy: "
                     "compact}}\n");
  auto sink = target.OpenSink();
  DeliveryBatchBuilder batch;
  batch.Insert(orders_, 1, {Int(1), Text("a")});
  batch.Add({.operation = Operation::kTruncate, .schema = orders_.get(), .version = 2});
  const auto verdicts = Store(*sink, batch);
  ASSERT_EQ(verdicts.size(), 2u);
  EXPECT_EQ(verdicts[0].kind, Verdict::Kind::kApplied);
  EXPECT_EQ(verdicts[1].code, "kafka_key_missing");
}

}  // namespace
}  // namespace tailwater::kafka_sink
