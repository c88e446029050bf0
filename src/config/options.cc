// The option tables of what is no connector, and the checks across their fields.
#include "config/options.h"

#include <algorithm>
#include <utility>

#include "config/load_config.h"
#include "http/listen_address.h"

namespace tailwater {
namespace {

void AddTo(const ConfigNode& section, std::string_view key, const std::string& message,
           Problems& problems) {
  const ConfigNode* node = section.Find(key);
  const std::string path =
      section.path.empty() ? std::string(key) : section.path + "." + std::string(key);
  problems.Add(node == nullptr ? section.location : node->location, path + ": " + message);
}

}  // namespace

namespace {

using C = TopicConfig;

bool IsLegalInTopicName(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

constexpr ByteSize kKafkaMaxRecordSize{8 << 20};

OptionSpec TopicType() {
  OptionSpec type;
  type.name = "type";
  type.help =
      "Where the changes are kept. local: an embedded log on this machine. kafka: a topic of a "
      "Kafka cluster, for more than one process or machine.";
  type.type = "local | kafka";
  type.default_text = "local";
  type.parse = [](const ConfigNode& node, void* config, Problems& problems) {
    const std::vector<std::string> types = {"local", "kafka"};
    const int index = ParseChoice(node, types, problems);
    if (index >= 0) static_cast<C*>(config)->type = types[static_cast<size_t>(index)];
  };
  return type;
}

// What both types of topic know.
OptionTable SharedTopicOptions() {
  return {
      Field("retention", &C::retention,
            "How long changes can be read again. A sink that is further behind has a gap. "
            "0s: no limit."),
      Field("max_size", &C::max_size,
            "Size of the stored changes beyond which the oldest are removed before `retention` "
            "is over. 0: no limit."),
      Field("queue_size", &C::queue_size,
            "Changes that may wait in memory in front of the topic; the source waits beyond it."),
      Field("max_record_size", &C::max_record_size,
            "Largest change that is taken; `oversize` says what becomes of a larger one."),
      Choice("oversize", &C::oversize,
             "What a change that is larger than the topic takes does. halt: its source waits in "
             "front of it and says which table and key. omit_columns: its largest columns outside "
             "of the key are left out, marked as omitted and counted.",
             {{"halt", OversizePolicy::kHalt}, {"omit_columns", OversizePolicy::kOmitColumns}}),
      Field("transaction_size", &C::transaction_size,
            "A transaction of the source larger than this is published in parts, in constant "
            "memory."),
  };
}

void Append(OptionTable& table, OptionTable more) {
  for (OptionSpec& option : more) table.push_back(std::move(option));
}

OptionTable MakeLocalOptions() {
  OptionTable table{
      TopicType(),
      Field("path", &C::path,
            "Folder of the log and of the sinks' places in it, on a disk that survives restarts. "
            "No other pipeline may use it.",
            kRequired),
  };
  Append(table, SharedTopicOptions());
  Append(
      table,
      {Field("flush_interval", &C::flush_interval,
             "Longest time that a change waits for others to share one write to the disk."),
       Field("flush_size", &C::flush_size, "Changes of this size are written without waiting.")});
  return table;
}

OptionTable MakeKafkaOptions() {
  using K = KafkaTopicConfig;
  OptionTable table{TopicType()};
  table.front().default_text = "kafka";
  Append(table, Inlined(&C::kafka, Inlined(&K::connection, kafka::ConnectionOptions())));
  Append(table,
         Inlined(&C::kafka,
                 {Field("name", &K::name,
                        "Of the topic; tailwater.<pipeline> if left out. What the daemon keeps "
                        "beside the changes lies in <name>.state and <name>.<sink>.dlq."),
                  Field("partitions", &K::partitions,
                        "Of a topic that has to be made. It cannot change later: keys would move. "
                        "At most so many processes can share one sink's work."),
                  Field("replication", &K::replication,
                        "Copies of each partition of a topic that has to be made."),
                  Choice("compression", &K::compression, "Of the records.",
                         {{"none", KafkaCompression::kNone},
                          {"lz4", KafkaCompression::kLz4},
                          {"zstd", KafkaCompression::kZstd},
                          {"gzip", KafkaCompression::kGzip},
                          {"snappy", KafkaCompression::kSnappy}}),
                  Field("create", &K::create,
                        "Make topics that are not there. A topic that is there is never altered."),
                  Field("scratch", &K::scratch,
                        "Folder for what a source may have to spool; emptied at each start. "
                        "In the system's folder for temporary files if left out.")}));
  OptionTable shared = SharedTopicOptions();
  for (OptionSpec& option : shared) {
    if (option.name == "max_record_size") option.default_text = ConfigText(kKafkaMaxRecordSize);
  }
  Append(table, std::move(shared));
  return table;
}

void CheckLocalTopic(const TopicConfig& config, const ConfigNode& section, Problems& problems) {
  if (section.Find("path") != nullptr && config.path.empty()) {
    AddTo(section, "path", "is empty; name a folder, for example /var/lib/tailwater/shop",
          problems);
  }
  if (config.flush_interval > std::chrono::seconds(10)) {
    AddTo(section, "flush_interval", "must be at most 10s", problems);
  }
}

void CheckKafkaTopic(const KafkaTopicConfig& config, const ConfigNode& section,
                     Problems& problems) {
  kafka::CheckConnection(config.connection, section, problems);
  if (config.name.size() > 200 ||
      !std::all_of(config.name.begin(), config.name.end(), IsLegalInTopicName)) {
    AddTo(section, "name",
          "'" + config.name +
              "' is no name of a topic: letters, digits, '.', '_' and '-', at most 200",
          problems);
  }
  if (config.partitions < 1 || config.partitions > 10'000) {
    AddTo(section, "partitions", "must be from 1 to 10000", problems);
  }
  if (config.replication < 1 || config.replication > 100) {
    AddTo(section, "replication", "must be from 1 to 100", problems);
  }
}

}  // namespace

const OptionTable& LocalTopicOptionTable() {
  static const OptionTable kOptions = MakeLocalOptions();
  return kOptions;
}

const OptionTable& KafkaTopicOptionTable() {
  static const OptionTable kOptions = MakeKafkaOptions();
  return kOptions;
}

void ParseTopic(const ConfigNode& section, TopicConfig& config, Problems& problems) {
  const size_t before = problems.list().size();
  const ConfigNode* type = section.Find("type");
  const bool kafka = type != nullptr && type->scalar == "kafka";
  if (kafka) config.max_record_size = kKafkaMaxRecordSize;
  const OptionTable& table = kafka ? KafkaTopicOptionTable() : LocalTopicOptionTable();
  const OptionTable& other = kafka ? LocalTopicOptionTable() : KafkaTopicOptionTable();
  const auto has = [](const OptionTable& options, const std::string& name) {
    return std::any_of(options.begin(), options.end(),
                       [&](const OptionSpec& option) { return option.name == name; });
  };
  std::vector<std::string_view> reported;
  for (const ConfigNode::Entry& entry : section.entries) {
    if (has(table, entry.key) || !has(other, entry.key)) continue;
    reported.push_back(entry.key);
    problems.Add(entry.key_location,
                 section.path + "." + entry.key + ": belongs to a topic of type " +
                     (kafka ? "local" : "kafka") + ", and this one is of type " +
                     (kafka ? "kafka" : "local"));
  }
  ParseOptions(table, section, reported, &config, problems);
  if (problems.list().size() == before) CheckTopic(config, section, problems);
}

void CheckTopic(const TopicConfig& config, const ConfigNode& section, Problems& problems) {
  if (config.type == "kafka") {
    CheckKafkaTopic(config.kafka, section, problems);
  } else {
    CheckLocalTopic(config, section, problems);
  }
  if (config.retention.count() != 0 && config.retention < std::chrono::minutes(1)) {
    AddTo(section, "retention", "must be at least 1m, or 0s for no limit", problems);
  }
  if (config.max_size.bytes != 0 && config.max_size.bytes < (16u << 20)) {
    AddTo(section, "max_size", "must be at least 16MiB, or 0 for no limit", problems);
  }
  const auto within = [&](std::string_view key, ByteSize size, ByteSize least, ByteSize most) {
    if (size < least || size > most) {
      AddTo(section, key, "must be from " + ConfigText(least) + " to " + ConfigText(most),
            problems);
    }
  };
  within("flush_size", config.flush_size, {1 << 10}, {256 << 20});
  within("queue_size", config.queue_size, {1 << 20}, {16ull << 30});
  within("max_record_size", config.max_record_size, {1 << 10}, {512 << 20});
  within("transaction_size", config.transaction_size, {1 << 10}, {1 << 30});
}

const OptionTable& DaemonOptions() {
  using D = DaemonConfig;
  static const OptionTable kOptions = {
      Field(
          "listen", &D::listen,
          "Address and port of metrics, health and the API. Anything but a loopback address needs "
          "a token."),
      Field("token", &D::token, "What clients of the API must send as a bearer token."),
      Field("instance", &D::instance,
            "Name of this process among those that run the same pipelines on a Kafka topic: one "
            "that comes back under its name gets its work back at once. Host name and port of "
            "`listen` if left out."),
      Choice("log_level", &D::log_level, "Least important lines that are logged.",
             {{"debug", LogLevel::kDebug},
              {"info", LogLevel::kInfo},
              {"warn", LogLevel::kWarn},
              {"error", LogLevel::kError}}),
      Choice("log_format", &D::log_format, "Form of the log lines on standard error.",
             {{"text", LogFormat::kText}, {"json", LogFormat::kJson}}),
      Field("shutdown_timeout", &D::shutdown_timeout,
            "How long a stop waits for what is in flight. Nothing is lost beyond it."),
  };
  return kOptions;
}

void CheckDaemon(const DaemonConfig& config, const ConfigNode& section, Problems& problems) {
  if (config.instance.size() > 200 ||
      !std::all_of(config.instance.begin(), config.instance.end(), IsLegalInTopicName)) {
    AddTo(section, "instance", "must be letters, digits, '.', '_' and '-', at most 200", problems);
  }
  const auto address = ParseListenAddress(config.listen);
  if (!address) {
    AddTo(section, "listen", address.error().message, problems);
  } else if (!address->loopback && config.token.empty()) {
    AddTo(
        section, "listen",
        "'" + config.listen + "' is reachable from elsewhere: set a token, or listen on 127.0.0.1",
        problems);
  }
}

}  // namespace tailwater
