#include "topic/kafka/topic_specs.h"

#include <algorithm>

#include "support/text.h"

namespace tailwater {
namespace {

// What every topic of ours has: an acknowledged record survives the loss of one broker, and no
// broker that missed it ever becomes leader.
kafka::TopicSpec Spec(std::string name, int32_t partitions, const KafkaSettings& settings) {
  return {std::move(name),
          partitions,
          settings.replication,
          {{"min.insync.replicas", settings.replication >= 3 ? "2" : "1"},
           {"unclean.leader.election.enable", "false"},
           {"compression.type", "producer"},  // as we compressed them
           {"max.message.bytes", std::to_string(settings.MaxMessageBytes())}}};
}

kafka::TopicSpec CompactedSpec(std::string name, int32_t partitions,
                               const KafkaSettings& settings) {
  kafka::TopicSpec spec = Spec(std::move(name), partitions, settings);
  spec.settings["cleanup.policy"] = "compact";
  // Small segments and an eager cleaner: it is read from its beginning at each start.
  spec.settings["segment.bytes"] =
      std::to_string(std::max<size_t>(16 << 20, settings.MaxMessageBytes() + (1 << 20)));
  spec.settings["min.cleanable.dirty.ratio"] = "0.1";
  return spec;
}

}  // namespace

kafka::TopicSpec RecordTopicSpec(const KafkaSettings& settings) {
  kafka::TopicSpec spec = Spec(settings.topic, settings.partitions, settings);
  spec.settings["cleanup.policy"] = "delete";
  const int64_t millis = std::chrono::milliseconds(settings.retention).count();
  spec.settings["retention.ms"] = std::to_string(millis == 0 ? -1 : millis);
  const auto partitions = static_cast<uint64_t>(std::max(1, settings.partitions));
  spec.settings["retention.bytes"] =
      settings.max_bytes == 0 ? "-1" : std::to_string(settings.max_bytes / partitions);
  return spec;
}

kafka::TopicSpec StateTopicSpec(const KafkaSettings& settings) {
  return CompactedSpec(settings.StateTopic(), 1, settings);
}

kafka::TopicSpec DeadLetterTopicSpec(const KafkaSettings& settings, const std::string& sink,
                                     int32_t partitions) {
  return CompactedSpec(settings.DeadLetterTopic(sink), partitions, settings);
}

}  // namespace tailwater
