#include "topic/kafka/topic_review.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "support/text.h"

namespace tailwater {
namespace {

std::optional<int64_t> Number(const std::map<std::string, std::string>& settings,
                              const std::string& name) {
  const auto found = settings.find(name);
  if (found == settings.end()) return std::nullopt;
  int64_t number = 0;
  const char* end = found->second.data() + found->second.size();
  const auto [stopped, error] = std::from_chars(found->second.data(), end, number);
  if (error != std::errc() || stopped != end) return std::nullopt;
  return number;
}

std::string Alter(const std::string& topic, const std::string& name, const std::string& value) {
  return fmt::format("kafka-configs --alter --topic {} --add-config {}={}", topic, name, value);
}

}  // namespace

std::vector<TopicDifference> ReviewTopic(const kafka::TopicSpec& wanted,
                                         const kafka::TopicFacts& facts,
                                         const std::map<std::string, std::string>& is) {
  std::vector<TopicDifference> differences;
  if (facts.partitions != wanted.partitions) {
    differences.push_back(
        {true, "topic_partitions_changed",
         fmt::format("topic {} has {} partitions instead of {}: keys would be in other partitions "
                     "than before and lose their order",
                     wanted.name, facts.partitions, wanted.partitions),
         wanted.partitions == 1
             ? std::string("delete the topic if nothing else uses it, or give another topic name")
             : fmt::format("write partitions: {} if the topic was made so; a topic that grew is "
                           "replaced by one of another name, with a snapshot",
                           facts.partitions)});
  }
  if (facts.replication != wanted.replication) {
    differences.push_back({false, "topic_replication_differs",
                           fmt::format("topic {} has a replication factor of {}, configured is {}",
                                       wanted.name, facts.replication, wanted.replication),
                           "kafka-reassign-partitions, or correct replication in the "
                           "configuration"});
  }
  for (const auto& [name, value] : wanted.settings) {
    const auto found = is.find(name);
    if (found == is.end() || found->second == value) continue;
    const bool policy = name == "cleanup.policy";
    // Ours where nobody else chose it: more than asked for is no difference.
    if (name == "max.message.bytes" || name == "min.insync.replicas") {
      const auto has = Number(is, name);
      const auto wants = Number(wanted.settings, name);
      if (has && wants && *has >= *wants) continue;
    }
    if (name == "segment.bytes" || name == "min.cleanable.dirty.ratio" ||
        name == "compression.type") {
      continue;
    }
    differences.push_back(
        {policy,
         policy ? (value == "compact" ? "topic_state_not_compacted" : "topic_compacted")
                : "topic_settings_differ",
         policy ? fmt::format("topic {} has cleanup.policy={}, and {}", wanted.name, found->second,
                              value == "compact" ? "would lose entries that are old and still hold"
                                                 : "would lose all but the last change of each row")
                : fmt::format("topic {} has {}={}, configured is {}", wanted.name, name,
                              found->second, value),
         Alter(wanted.name, name, value)});
  }
  return differences;
}

size_t RecordBytesOf(const std::map<std::string, std::string>& is, const KafkaSettings& settings) {
  const auto most = Number(is, "max.message.bytes");
  if (!most) return settings.max_record_bytes;
  const auto overhead =
      static_cast<int64_t>(settings.MaxMessageBytes() - settings.max_record_bytes);
  return std::min<size_t>(settings.max_record_bytes,
                          static_cast<size_t>(std::max<int64_t>(*most - overhead, *most / 2)));
}

}  // namespace tailwater
