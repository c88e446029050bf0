// The configuration of a kafka sink: plain data, and the checks that need no cluster.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kafka/connect_type.h"
#include "kafka/topic_template.h"
#include "support/kafka/connection.h"
#include "tailwater/config.h"
#include "tailwater/tables.h"

namespace tailwater::kafka_sink {

enum class Format : uint8_t { kDebeziumJson, kJson, kProtobuf };

// `topic:`, read when the configuration is.
struct TopicOption {
  TopicTemplate name;
  bool configured = false;
};

// `create:` false, or a map.
struct CreateOption {
  bool enabled = true;
  int32_t partitions = 6;
  int32_t replication = 3;
  std::map<std::string, std::string> settings;
};

struct KafkaConfig {
  KafkaConfig();  // the default of `topic`

  kafka::Connection connection;
  TopicOption topic;
  Format format = Format::kDebeziumJson;
  bool schemas = true;
  bool tombstones = true;
  DecimalMode decimal = DecimalMode::kPrecise;
  TimePrecision time_precision = TimePrecision::kAdaptive;
  BinaryMode binary = BinaryMode::kBytes;
  IntervalMode interval = IntervalMode::kNumeric;
  UnsignedBigintMode unsigned_bigint = UnsignedBigintMode::kLong;
  std::string unavailable_placeholder = "__debezium_unavailable_value";
  std::string server_name;
  CreateOption create;
  std::string offsets_topic;  // empty: tailwater.<pipeline>.<sink>.offsets
  std::string compression = "lz4";
  std::chrono::milliseconds transaction_timeout{60'000};
};

// Of one entry of `tables:`.
struct KafkaTableOptions {
  TopicOption topic;
};

const OptionTable& KafkaOptions();
const OptionTable& KafkaTableOptionsTable();

void ValidateKafka(const KafkaConfig& config, const TableRules<KafkaTableOptions>& tables,
                   const ConfigNode& section, Problems& problems);

}  // namespace tailwater::kafka_sink
