#include "kafka/kafka_options.h"

#include <gmock/gmock.h>

#include "codec/codec.h"
#include "config/yaml.h"
#include "kafka/partitioner.h"
#include "tailwater/registry.h"

namespace tailwater::kafka_sink {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Parsed {
  KafkaConfig config;
  TableRules<KafkaTableOptions> rules;
  std::vector<std::string> problems;
};

Parsed Parse(const std::string& yaml) {
  Parsed parsed;
  Problems problems;
  const auto node = ParseYaml(yaml, "sink.yaml", problems);
  if (node) {
    ParseOptions(KafkaOptions(), *node, kSinkKeys, &parsed.config, problems);
    parsed.rules.selection = TableSelection::Parse(node->Find("tables"), problems);
    for (const TableEntry& entry : parsed.rules.selection.entries()) {
      KafkaTableOptions& options = parsed.rules.options.emplace_back();
      if (entry.options.kind == ConfigNode::Kind::kMap) {
        ParseOptions(KafkaTableOptionsTable(), entry.options, kTableEntryKeys, &options, problems);
      }
    }
    ValidateKafka(parsed.config, parsed.rules, *node, problems);
  }
  for (const Problem& problem : problems.list()) parsed.problems.push_back(problem.ToString());
  return parsed;
}

const std::string kGood = "brokers: [127.0.0.1:9092]\n";

TEST(KafkaOptionsTest, ABrokerSuffices) {
  const Parsed parsed = Parse(kGood);
  EXPECT_THAT(parsed.problems, IsEmpty());
  EXPECT_EQ(parsed.config.topic.name.text(), "{source}.{schema}.{table}");
  EXPECT_TRUE(parsed.config.create.enabled);
  EXPECT_THAT(Parse("format: json\n").problems, ElementsAre(HasSubstr("sink.yaml:1:1: ")));
}

TEST(KafkaOptionsTest, CreateIsFalseOrAMap) {
  EXPECT_FALSE(Parse(kGood + "create: false\n").config.create.enabled);
  const Parsed parsed = Parse(
      kGood + "create: {partitions: 3, replication: 1, settings: {cleanup.policy: compact}}\n");
  EXPECT_THAT(parsed.problems, IsEmpty());
  EXPECT_EQ(parsed.config.create.partitions, 3);
  EXPECT_EQ(parsed.config.create.settings.at("cleanup.policy"), "compact");
  EXPECT_THAT(Parse(kGood + "create: {partitions: 0}\n").problems,
              ElementsAre("sink.yaml:2:9: create: partitions must be between 1 and 100000"));
}

TEST(KafkaOptionsTest, ATopicThatCannotBeIsToldAtLoad) {
  const struct {
    std::string topic, problem;
  } kCases[] = {
      {"a/b",
       "sink.yaml:2:8: topic: holds '/'; names of topics have letters, digits, dots, _ and "
       "- only"},
      {"'{tabel}'",
       "sink.yaml:2:8: topic: '{tabel}' is not known; there are {source}, {schema} and "
       "{table}"},
      {"'{table'", "sink.yaml:2:8: topic: has a { without its }"},
      {"''", "sink.yaml:2:8: topic: is empty"},
      {"'..'", "sink.yaml:2:8: topic: cannot be the name of a topic"},
      {std::string(250, 'a'),
       "sink.yaml:2:8: topic: is longer than the 249 characters that a "
       "topic's name may have"},
  };
  for (const auto& [topic, problem] : kCases) {
    EXPECT_THAT(Parse(kGood + "topic: " + topic + "\n").problems, ElementsAre(problem));
  }
  EXPECT_THAT(Parse(kGood + "tables:\n  - {match: public.orders, topic: a b}\n").problems,
              ElementsAre(HasSubstr("sink.yaml:3:35: tables[0].topic: holds ' '")));
}

TEST(KafkaOptionsTest, WhatBelongsToAnotherFormatIsRefused) {
  EXPECT_THAT(Parse(kGood + "format: json\ndecimal: string\n").problems,
              ElementsAre("sink.yaml:3:10: decimal: belongs to format: debezium_json; remove it"));
  EXPECT_THAT(Parse(kGood + "decimal: exact\n").problems, ElementsAre(HasSubstr("sink.yaml:2:10")));
  EXPECT_THAT(Parse(kGood + "compression: best\n").problems,
              ElementsAre("sink.yaml:2:14: compression: 'best' is none of none, gzip, snappy, lz4, "
                          "zstd"));
  EXPECT_THAT(Parse(kGood + "sasl: {mechanism: plain}\n").problems,
              ElementsAre(HasSubstr("needs username and password")));
}

TEST(TopicTemplateTest, WhatNoTopicCanBeCalledBecomesAnUnderscore) {
  std::string problem;
  const auto name = TopicTemplate::Parse("{source}.{schema}.{table}", problem);
  ASSERT_TRUE(name);
  EXPECT_TRUE(name->names_table());
  EXPECT_EQ(name->Name("shop", {"public", "orders"}), "shop.public.orders");
  EXPECT_EQ(name->Name("shop", {"public", "Größe $1"}), "shop.public.Gr__e__1");
  EXPECT_EQ(name->Name("shop", {"public", std::string(300, 'x')}).size(), 249u);
  EXPECT_EQ(LegalTopicName(".."), "__");
}

TEST(PartitionerTest, IsThatOfTheEngineAndOfJava) {
  std::string key;
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(PartitionOfKey(key, 1 + i % 13), PartitionOf(key, 1 + i % 13)) << key;
    key += static_cast<char>(i * 37);
  }
}

}  // namespace
}  // namespace tailwater::kafka_sink
