#include "topic/open_topic.h"

#include <utility>

#include "support/text.h"
#include "topic/kafka/kafka_topic.h"
#include "topic/local/local_topic.h"

namespace tailwater {
namespace {

LocalTopicOptions LocalOptions(const TopicConfig& config) {
  LocalTopicOptions options;
  options.path = config.path;
  options.retention = config.retention;
  options.max_bytes = config.max_size.bytes;
  options.flush_interval = config.flush_interval;
  options.flush_bytes = config.flush_size.bytes;
  options.capacity_bytes = config.queue_size.bytes;
  options.max_record_bytes = config.max_record_size.bytes;
  return options;
}

// librdkafka's names.
std::string CodecName(KafkaCompression compression) {
  switch (compression) {
    case KafkaCompression::kNone:
      return "none";
    case KafkaCompression::kLz4:
      return "lz4";
    case KafkaCompression::kZstd:
      return "zstd";
    case KafkaCompression::kGzip:
      return "gzip";
    case KafkaCompression::kSnappy:
      return "snappy";
  }
  return "lz4";
}

KafkaSettings Settings(const TopicConfig& config, const std::string& pipeline,
                       const std::string& instance) {
  KafkaSettings settings;
  settings.client = {config.kafka.connection, "tailwater-" + pipeline, Logger(pipeline + ".kafka")};
  settings.pipeline = pipeline;
  settings.topic = config.kafka.name;
  settings.instance = instance;
  settings.partitions = config.kafka.partitions;
  settings.replication = config.kafka.replication;
  settings.compression = CodecName(config.kafka.compression);
  settings.create = config.kafka.create;
  settings.retention = config.retention;
  settings.max_bytes = config.max_size.bytes;
  settings.max_record_bytes = config.max_record_size.bytes;
  settings.queue_bytes = config.queue_size.bytes;
  return settings;
}

}  // namespace

Result<std::unique_ptr<Topic>> OpenTopic(const TopicConfig& config, const std::string& pipeline,
                                         const std::string& instance) {
  if (config.type == "local") {
    return std::unique_ptr<Topic>(std::make_unique<LocalTopic>(LocalOptions(config)));
  }
  if (config.type == "kafka") {
    return std::unique_ptr<Topic>(
        std::make_unique<KafkaTopic>(Settings(config, pipeline, instance)));
  }
  return Error{Disposition::kFatal, "topic_type_unknown",
               fmt::format("pipeline {}: there is no topic of type '{}'; write type: local or "
                           "type: kafka",
                           pipeline, config.type)};
}

}  // namespace tailwater
