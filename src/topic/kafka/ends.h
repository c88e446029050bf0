// Where the partitions of the topic end.
#pragma once

#include <cstdint>

#include "tailwater/result.h"
#include "tailwater/sink.h"
#include "topic/kafka/settings.h"

namespace tailwater {

// Next offset of each partition's log, transactions that are open included.
Result<Offsets> QueryEnds(const KafkaSettings& settings, int32_t partitions);

}  // namespace tailwater
