// How the topics of a pipeline are made.
#pragma once

#include <cstdint>
#include <string>

#include "support/kafka/admin.h"
#include "topic/kafka/settings.h"

namespace tailwater {

kafka::TopicSpec RecordTopicSpec(const KafkaSettings& settings);
kafka::TopicSpec StateTopicSpec(const KafkaSettings& settings);
// With as many partitions as the records have.
kafka::TopicSpec DeadLetterTopicSpec(const KafkaSettings& settings, const std::string& sink,
                                     int32_t partitions);

}  // namespace tailwater
