// A topic of its own per test, on the shared broker.
#pragma once

#include <gmock/gmock.h>

#include <future>

#include "kafka_live/read_back.h"
#include "support/append.h"
#include "support/kafka/admin.h"
#include "support/kafka/producer.h"
#include "support/kafka_server.h"
#include "support/matchers.h"
#include "topic/kafka/head.h"
#include "topic/kafka/writer.h"

namespace tailwater {

using namespace std::chrono_literals;

class KafkaWriterLive : public ::testing::Test {
 protected:
  using Opened = Result<std::unique_ptr<KafkaWriter>>;

  KafkaWriterLive() {
    settings_.client = server_.client();
    settings_.pipeline = "shop";
    settings_.topic = KafkaServer::UniqueName("tailwater.shop");
    settings_.partitions = 3;
    settings_.replication = 1;
    settings_.max_record_bytes = 100'000;
  }

  Opened Open(const KafkaSettings& settings, std::stop_token stop = {},
              const std::function<void(std::string)>& standby = {}) {
    return KafkaWriter::Open(settings, stop, standby, std::make_shared<std::atomic<bool>>(false));
  }
  std::unique_ptr<KafkaWriter> Open() {
    auto writer = Open(settings_);
    EXPECT_OK(writer);
    return writer ? std::move(*writer) : nullptr;
  }
  static AppendBatch Batch(const std::vector<WrittenRecord>& records,
                           std::map<std::string, std::string> state = {}) {
    AppendBatch batch;
    for (const WrittenRecord& record : records) AddRecord(batch, record);
    batch.state = std::move(state);
    return batch;
  }
  std::vector<std::string> Values(int32_t partition = 0) {
    return ValuesOf(ReadBack(server_.brokers(), settings_.topic, partition));
  }
  std::unique_ptr<kafka::Admin> MakeAdmin() {
    auto admin = kafka::Admin::Create(settings_.client, 30s);
    EXPECT_OK(admin);
    return std::move(*admin);
  }
  // Somebody else's producer.
  std::unique_ptr<kafka::Producer> MakeProducer(const std::string& id, const std::string& topic) {
    kafka::ProducerOptions options;
    options.client = settings_.client;
    options.transactional_id = id;
    options.transaction_timeout = 60s;
    auto producer = kafka::Producer::Create(options);
    EXPECT_OK(producer);
    EXPECT_OK((*producer)->Init({}, 30s));
    EXPECT_OK((*producer)->Prepare(topic, 30s));
    return std::move(*producer);
  }
  Status Put(kafka::Producer& producer, const std::string& topic, std::string_view key,
             std::string_view value) {
    kafka::OutgoingRecord record;
    record.key = key;
    record.value = value;
    TW_TRY(producer.Send(topic, record));
    return producer.Flush();
  }

  KafkaServer& server_ = KafkaServer::Shared();
  KafkaSettings settings_;
};

}  // namespace tailwater
