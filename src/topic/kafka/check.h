// What `tailwater check` says of a Kafka topic. Creates nothing, joins nothing, fences nobody.
#pragma once

#include <vector>

#include "tailwater/source.h"
#include "topic/kafka/settings.h"

namespace tailwater {

std::vector<Finding> CheckKafkaTopic(const KafkaSettings& settings);

}  // namespace tailwater
