// The first entry of <topic>.state: which log this is, and whose.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tailwater/result.h"
#include "topic/kafka/settings.h"

namespace tailwater {

inline constexpr std::string_view kTopicHeadKey = "log";  // in <topic>.state; capture's own keys
                                                          // never have this name

struct TopicHead {
  std::string log_id;  // random, made with the log
  std::string pipeline;
  int32_t partitions = 0;
  int64_t created_micros = 0;

  static TopicHead Make(const KafkaSettings& settings, int32_t partitions, int64_t now_micros);
  std::string Encode() const;
};

// kNeedsOperator "topic_format_newer"; kFatal "topic_corrupt".
Result<TopicHead> ParseTopicHead(std::string_view value, const KafkaSettings& settings);

// kNeedsOperator "topic_of_other_pipeline"; "topic_partitions_changed" if the topic has another
// number of partitions than the log was made with: keys would have moved.
Status CheckTopicHead(const TopicHead& head, int32_t partitions, const KafkaSettings& settings);

}  // namespace tailwater
