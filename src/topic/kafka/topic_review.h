// Compares a topic as it is with how it should be. Nothing is ever altered: that is its owner's.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "support/kafka/admin.h"
#include "topic/kafka/settings.h"

namespace tailwater {

struct TopicDifference {
  bool refused = false;   // capture must not write to it; else it works, otherwise than configured
  std::string_view code;  // "topic_partitions_changed", …
  std::string message;
  std::string remedy;
};

// `is`: what the cluster told of its settings; empty if it did not.
std::vector<TopicDifference> ReviewTopic(const kafka::TopicSpec& wanted,
                                         const kafka::TopicFacts& facts,
                                         const std::map<std::string, std::string>& is);

// The largest key and value that a topic with these settings takes.
size_t RecordBytesOf(const std::map<std::string, std::string>& is, const KafkaSettings& settings);

}  // namespace tailwater
