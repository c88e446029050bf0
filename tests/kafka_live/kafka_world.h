// A topic of type kafka of its own, on the test's broker.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "conformance/topic_conformance.h"
#include "support/kafka/admin.h"
#include "support/kafka/consumer.h"
#include "support/kafka_server.h"
#include "topic/kafka/kafka_topic.h"

namespace tailwater {

class KafkaWorld final : public TopicWorld {
 public:
  explicit KafkaWorld(int32_t partitions) {
    settings_.client = KafkaServer::Shared().client();
    settings_.pipeline = "shop";
    settings_.topic = KafkaServer::UniqueName("tailwater.shop");
    settings_.partitions = partitions;
    settings_.replication = 1;
    settings_.max_record_bytes = 2 << 20;
  }
  int32_t partitions() const override { return settings_.partitions; }
  bool exclusive_sinks() const override { return false; }
  size_t max_record_bytes() const override { return settings_.max_record_bytes; }
  std::unique_ptr<Topic> Open() override { return std::make_unique<KafkaTopic>(settings_); }
  void BreakStorage() override {}
  void MendStorage() override {}
  std::string broken_code() const override { return {}; }
  void Trim(Topic&) override {
    auto admin = kafka::Admin::Create(settings_.client, settings_.request_timeout);
    ASSERT_OK(admin);
    ASSERT_OK((*admin)->DeleteRecords(settings_.topic, 0, 5));
  }
  bool keeps_timestamps() const override { return false; }
  bool ends_with_records() const override { return false; }
  // A commit is answered a moment before its markers are written.
  void WaitUntilReadable() override {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (Ends(true) != Ends(false)) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "a transaction is open";
      std::this_thread::yield();
    }
  }
  // Groups have partitions once there is a topic.
  void PrepareToSubscribe(Topic& topic) override {
    if (prepared_) return;
    prepared_ = true;
    if (topic.OpenReader()) return;
    ASSERT_OK(topic.OpenWriter({}, nullptr));
  }

 private:
  Offsets Ends(bool committed) {
    auto& asker = askers_[committed];
    std::vector<int32_t> all;
    for (int32_t i = 0; i < settings_.partitions; ++i) all.push_back(i);
    Offsets ends;
    if (asker == nullptr) {
      kafka::ConsumerOptions options;
      options.client = settings_.client;
      options.topic = settings_.topic;
      options.read_committed = committed;
      auto made = kafka::Consumer::Create(options);
      EXPECT_OK(made);
      asker = std::move(*made);
    }
    const auto marks = asker->QueryWatermarks(all, std::chrono::seconds(20));
    EXPECT_OK(marks);
    if (marks) {
      for (const auto& [partition, each] : *marks) ends[partition] = each.high;
    }
    return ends;
  }

  KafkaSettings settings_;
  bool prepared_ = false;
  std::unique_ptr<kafka::Consumer> askers_[2];
};

}  // namespace tailwater
