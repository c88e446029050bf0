// Three brokers, of which one is killed while capture writes.

#include "topic/kafka_live/writer_fixture.h"

namespace tailwater {
namespace {

TEST(KafkaWriterCluster, ABrokerThatIsKilledCostsNothingButTime) {
  KafkaServer cluster({"--nodes", "3"});
  KafkaSettings settings;
  settings.client = cluster.client();
  settings.pipeline = "shop";
  settings.topic = "tailwater.shop";
  settings.partitions = 3;
  settings.replication = 3;
  settings.max_record_bytes = 100'000;
  const auto contested = std::make_shared<std::atomic<bool>>(false);
  auto opened = KafkaWriter::Open(settings, {}, {}, contested);
  ASSERT_OK(opened);
  std::unique_ptr<KafkaWriter> writer = std::move(*opened);
  auto admin = kafka::Admin::Create(settings.client, 30s);
  ASSERT_OK(admin);
  EXPECT_EQ((*admin)->TopicSettings(settings.topic)->at("min.insync.replicas"), "2");

  int next = 0;
  std::jthread killer;
  const auto deadline = std::chrono::steady_clock::now() + 120s;
  int stored_since_kill = 0;
  while (stored_since_kill < 100 && std::chrono::steady_clock::now() < deadline) {
    if (next == 100 && !killer.joinable()) {
      killer = std::jthread([&] { cluster.Command("crash 1"); });
    }
    const std::string text = std::to_string(next);
    AppendBatch batch;
    for (int32_t partition = 0; partition < 3; ++partition) {
      AddRecord(batch, {"k", text, partition});
    }
    batch.state["next"] = std::to_string(next + 1);
    if (AppendAndWait(*writer, std::move(batch))) {
      ++next;
      if (killer.joinable()) ++stored_since_kill;
      continue;
    }
    // As capture does: from what is stored.
    while (std::chrono::steady_clock::now() < deadline) {
      if (writer != nullptr && writer->lost().stop_requested()) writer.reset();
      if (writer == nullptr) {
        auto again = KafkaWriter::Open(settings, {}, {}, contested);
        if (again) writer = std::move(*again);
      } else if (writer->Recover()) {
        break;
      }
      std::this_thread::sleep_for(50ms);  // the backoff
    }
    ASSERT_TRUE(writer);
    const auto state = writer->LoadState();
    ASSERT_OK(state);
    const int stored = std::stoi(state->at("next"));
    EXPECT_GE(stored, next);
    EXPECT_LE(stored, next + 1);
    next = stored;
  }
  EXPECT_GE(stored_since_kill, 100) << "stored nothing any more";
  killer.join();
  std::vector<std::string> expected;
  for (int i = 0; i < next; ++i) expected.push_back(std::to_string(i));
  for (int32_t partition = 0; partition < 3; ++partition) {
    EXPECT_EQ(ValuesOf(ReadBack(cluster.brokers(), settings.topic, partition)), expected);
  }
}

}  // namespace
}  // namespace tailwater
