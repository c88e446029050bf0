#include "kafka/kafka_options.h"

#include <algorithm>
#include <array>

#include "support/text.h"

namespace tailwater::kafka_sink {
namespace {

constexpr std::string_view kDefaultTopic = "{source}.{schema}.{table}";
constexpr std::array<std::string_view, 5> kCompressions = {"none", "gzip", "snappy", "lz4", "zstd"};

void Add(const ConfigNode& node, const std::string& message, Problems& problems) {
  problems.Add(node.location, node.path + ": " + message);
}

template <class Config>
OptionSpec TopicSpecOf(std::string help) {
  OptionSpec spec;
  spec.name = "topic";
  spec.help = std::move(help);
  spec.type = "text";
  if constexpr (std::is_same_v<Config, KafkaConfig>) {
    spec.default_text = ConfigText(std::string(kDefaultTopic));
  }
  spec.parse = [](const ConfigNode& node, void* opaque, Problems& problems) {
    std::string text;
    const size_t before = problems.list().size();
    ParseScalar(node, text, problems);
    if (problems.list().size() != before) return;
    std::string problem;
    const auto parsed = TopicTemplate::Parse(text, problem);
    if (!parsed) return Add(node, problem, problems);
    static_cast<Config*>(opaque)->topic = {*parsed, true};
  };
  return spec;
}

// Settings of topics, name: value, as Kafka names them.
OptionSpec SettingsSpec() {
  OptionSpec spec;
  spec.name = "settings";
  spec.help = "Settings of the topics, as Kafka names them: {cleanup.policy: compact}.";
  spec.type = "map of text";
  spec.parse = [](const ConfigNode& node, void* opaque, Problems& problems) {
    if (node.kind != ConfigNode::Kind::kMap) {
      return Add(node, "must be a map, for example {retention.ms: 604800000}", problems);
    }
    for (const ConfigNode::Entry& entry : node.entries) {
      if (entry.value.kind != ConfigNode::Kind::kScalar) {
        Add(entry.value, "must be a text or a number", problems);
        continue;
      }
      std::string value;
      ParseScalar(entry.value, value, problems);
      static_cast<CreateOption*>(opaque)->settings[entry.key] = value;
    }
  };
  return spec;
}

OptionSpec CreateSpec() {
  static const OptionTable kTable = {
      Field("partitions", &CreateOption::partitions, "Partitions of each topic."),
      Field("replication", &CreateOption::replication,
            "Copies of each partition; the cluster needs as many brokers."),
      SettingsSpec()};
  OptionSpec spec;
  spec.name = "create";
  spec.help = "How topics are made that are not there yet. false: they are never made.";
  spec.type = "false | map";
  spec.options = kTable;
  spec.parse = [](const ConfigNode& node, void* opaque, Problems& problems) {
    CreateOption& create = static_cast<KafkaConfig*>(opaque)->create;
    if (node.kind == ConfigNode::Kind::kMap) {
      return ParseOptions(kTable, node, {}, &create, problems);
    }
    ParseScalar(node, create.enabled, problems);
  };
  return spec;
}

// Problems at the place of an option, or of the section if the option is not written.
class Reporter {
 public:
  Reporter(const ConfigNode& section, Problems& problems)
      : section_(section), problems_(problems) {}
  void Add(std::string_view key, std::string_view message) {
    const ConfigNode* const node = section_.Find(key);
    problems_.Add(node == nullptr ? section_.location : node->location,
                  section_.path.empty() ? fmt::format("{}: {}", key, message)
                                        : fmt::format("{}.{}: {}", section_.path, key, message));
  }
  bool has(std::string_view key) const { return section_.Find(key) != nullptr; }

 private:
  const ConfigNode& section_;
  Problems& problems_;
};

}  // namespace

KafkaConfig::KafkaConfig() {
  std::string problem;
  topic.name = *TopicTemplate::Parse(kDefaultTopic, problem);
}

const OptionTable& KafkaOptions() {
  using C = KafkaConfig;
  static const OptionTable kOptions = [] {
    OptionTable options = Inlined(&C::connection, kafka::ConnectionOptions());
    const OptionTable own = {
        TopicSpecOf<C>(
            "Topic of each table: a text with {source} (server_name, where that is set), {schema} "
            "and {table}. What no topic can be called becomes _. Without {table}, tables share a "
            "topic."),
        Choice("format", &C::format,
               "debezium_json: as Debezium's Postgres connector. json: one flat object. protobuf: "
               "the record as it lies in the pipeline's topic.",
               {{"debezium_json", Format::kDebeziumJson},
                {"json", Format::kJson},
                {"protobuf", Format::kProtobuf}}),
        Field("schemas", &C::schemas,
              "debezium_json: each record carries its schema (value.converter.schemas.enable)."),
        Field("tombstones", &C::tombstones,
              "A delete is followed by a record with its key and no value (tombstones.on.delete)."),
        Choice("decimal", &C::decimal, "debezium_json: decimal.handling.mode.",
               {{"precise", DecimalMode::kPrecise},
                {"double", DecimalMode::kDouble},
                {"string", DecimalMode::kString}}),
        Choice("time_precision", &C::time_precision, "debezium_json: time.precision.mode.",
               {{"adaptive", TimePrecision::kAdaptive},
                {"adaptive_time_microseconds", TimePrecision::kAdaptiveTimeMicroseconds},
                {"connect", TimePrecision::kConnect}}),
        Choice("binary", &C::binary, "debezium_json: binary.handling.mode.",
               {{"bytes", BinaryMode::kBytes},
                {"base64", BinaryMode::kBase64},
                {"base64-url-safe", BinaryMode::kBase64UrlSafe},
                {"hex", BinaryMode::kHex}}),
        Choice("interval", &C::interval, "debezium_json: interval.handling.mode.",
               {{"numeric", IntervalMode::kNumeric}, {"string", IntervalMode::kString}}),
        Choice("unsigned_bigint", &C::unsigned_bigint,
               "debezium_json: bigint.unsigned.handling.mode, of MySQL. As long, a number beyond "
               "2^63 - 1 is a dead letter.",
               {{"long", UnsignedBigintMode::kLong}, {"precise", UnsignedBigintMode::kPrecise}}),
        Field("unavailable_placeholder", &C::unavailable_placeholder,
              "debezium_json: what stands for a value that the log did not repeat "
              "(unavailable.value.placeholder)."),
        Field("server_name", &C::server_name,
              "Stands for the source in {source} and in the records (topic.prefix). Empty: the "
              "source's name."),
        CreateSpec(),
        Field("offsets_topic", &C::offsets_topic,
              "Compacted topic of one partition in which the sink keeps its offsets. Empty: "
              "tailwater.<pipeline>.<sink>.offsets."),
        Field("compression", &C::compression, "none, gzip, snappy, lz4 or zstd."),
        Field("transaction_timeout", &C::transaction_timeout,
              "When the cluster gives up a transaction that a process left open "
              "(transaction.timeout.ms); readers wait so long."),
    };
    options.insert(options.end(), own.begin(), own.end());
    return options;
  }();
  return kOptions;
}

const OptionTable& KafkaTableOptionsTable() {
  static const OptionTable kOptions = {
      TopicSpecOf<KafkaTableOptions>("Topic of these tables, instead of the sink's topic.")};
  return kOptions;
}

void ValidateKafka(const KafkaConfig& config, const TableRules<KafkaTableOptions>&,
                   const ConfigNode& section, Problems& problems) {
  kafka::CheckConnection(config.connection, section, problems);
  Reporter report(section, problems);
  if (config.format != Format::kDebeziumJson) {
    for (const std::string_view key : {"schemas", "decimal", "time_precision", "binary", "interval",
                                       "unsigned_bigint", "unavailable_placeholder"}) {
      if (report.has(key)) report.Add(key, "belongs to format: debezium_json; remove it");
    }
  }
  if (!config.server_name.empty() && LegalTopicName(config.server_name) != config.server_name) {
    report.Add("server_name", "may have letters, digits, dots, _ and - only");
  }
  if (!config.offsets_topic.empty() &&
      LegalTopicName(config.offsets_topic) != config.offsets_topic) {
    report.Add("offsets_topic", "may have letters, digits, dots, _ and - only, 249 at most");
  }
  if (config.create.partitions < 1 || config.create.partitions > 100'000) {
    report.Add("create", "partitions must be between 1 and 100000");
  }
  if (config.create.replication < 1 || config.create.replication > 100) {
    report.Add("create", "replication must be between 1 and 100");
  }
  if (std::find(kCompressions.begin(), kCompressions.end(), config.compression) ==
      kCompressions.end()) {
    report.Add("compression",
               fmt::format("'{}' is none of none, gzip, snappy, lz4, zstd", config.compression));
  }
  if (config.transaction_timeout < std::chrono::seconds(1) ||
      config.transaction_timeout > std::chrono::minutes(15)) {
    report.Add("transaction_timeout", "must be between 1s and 15m");
  }
}

}  // namespace tailwater::kafka_sink
