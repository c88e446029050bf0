// Makes what a pipeline needs in the cluster, or looks whether what is there will do.
#pragma once

#include <cstdint>

#include "support/kafka/admin.h"
#include "tailwater/result.h"
#include "topic/kafka/settings.h"

namespace tailwater {

struct TopicLayout {
  int32_t partitions = 0;
  size_t max_record_bytes = 0;  // key and value; the topic may take less than is configured
};

// For capture, before it takes the lease. What differs and does no harm is logged. kNeedsOperator
// "topic_partitions_changed", "topic_compacted", "topic_state_not_compacted",
// "topic_replication_too_high", "topic_not_created" (create: false). kGap "topic_state_lost": there
// are records and no state of theirs; "topic_records_lost": the reverse.
Result<TopicLayout> SetUpTopics(kafka::Admin& admin, const KafkaSettings& settings);

// Makes the topic if it is not there, and looks at it otherwise. Answers its settings, empty if
// the cluster does not tell.
Result<std::map<std::string, std::string>> EnsureTopic(kafka::Admin& admin,
                                                       const KafkaSettings& settings,
                                                       const kafka::TopicSpec& spec);

// "topic_state_lost".
Error StateLost(const KafkaSettings& settings);

}  // namespace tailwater
