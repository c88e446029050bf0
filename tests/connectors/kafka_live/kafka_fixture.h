// Kafka sinks made from YAML against a real broker, and a look at what lies in their topics.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/yaml.h"
#include "kafka/kafka_sink.h"
#include "kafka_live/read_back.h"
#include "support/delivery_batch.h"
#include "support/kafka/admin.h"
#include "support/kafka_server.h"
#include "support/matchers.h"
#include "support/stub_metrics.h"
#include "support/topic_feeder.h"

namespace tailwater::kafka_sink {

// One target: a cluster, and topics whose names begin with a name of their own.
class KafkaTarget {
 public:
  // `yaml`: options beside brokers, server_name and create.
  explicit KafkaTarget(std::string yaml = "format: json\n",
                       std::string create = "create: {partitions: 2, replication: 1}\n",
                       KafkaServer& server = KafkaServer::Shared())
      : server_(server), yaml_(std::move(yaml)), create_(std::move(create)) {
    admin_ = *kafka::Admin::Create(server_.client(), std::chrono::seconds(30));
  }

  std::unique_ptr<KafkaSink> NewSink() { return NewSink(yaml_); }
  std::unique_ptr<KafkaSink> NewSink(const std::string& yaml) {
    Problems problems;
    const auto node = ParseYaml(
        "brokers: [" + server_.brokers() + "]\nserver_name: " + prefix_ + "\n" + create_ + yaml,
        "sink.yaml", problems);
    KafkaConfig config;
    ParseOptions(KafkaOptions(), *node, kSinkKeys, &config, problems);
    TableRules<KafkaTableOptions> rules;
    rules.selection = TableSelection::Parse(node->Find("tables"), problems);
    for (const TableEntry& entry : rules.selection.entries()) {
      KafkaTableOptions& options = rules.options.emplace_back();
      if (entry.options.kind == ConfigNode::Kind::kMap) {
        ParseOptions(KafkaTableOptionsTable(), entry.options, kTableEntryKeys, &options, problems);
      }
    }
    ValidateKafka(config, rules, *node, problems);
    for (const Problem& problem : problems.list()) ADD_FAILURE() << problem.ToString();
    SinkContext context{prefix_,        "copy",   rules.selection,
                        Logger("test"), metrics_, {{"shop", "postgres", "app"}}};
    return std::make_unique<KafkaSink>(config, std::move(rules), std::move(context));
  }
  std::unique_ptr<KafkaSink> OpenSink(const std::vector<int32_t>& partitions = {0}) {
    auto sink = NewSink();
    EXPECT_OK(sink->Open());
    EXPECT_OK(sink->Assigned(partitions));
    return sink;
  }

  std::string Topic(const std::string& table) const { return prefix_ + ".public." + table; }
  // Of all partitions; each in its order.
  std::vector<StoredRecord> Read(const std::string& topic, bool committed = true) {
    std::vector<StoredRecord> all;
    const auto facts = admin_->FindTopic(topic);
    EXPECT_OK(facts);
    if (!facts || !*facts) return all;
    for (int32_t partition = 0; partition < (*facts)->partitions; ++partition) {
      for (StoredRecord& record : ReadBack(server_.brokers(), topic, partition, committed)) {
        all.push_back(std::move(record));
      }
    }
    return all;
  }
  std::vector<StoredRecord> ReadTable(const std::string& table) { return Read(Topic(table)); }
  kafka::Admin& admin() { return *admin_; }
  const std::string& prefix() const { return prefix_; }
  StubMetrics& metrics() { return metrics_; }

 private:
  KafkaServer& server_;
  const std::string prefix_ = KafkaServer::UniqueName("target");
  const std::string yaml_, create_;
  StubMetrics metrics_;
  std::unique_ptr<kafka::Admin> admin_;
};

}  // namespace tailwater::kafka_sink
