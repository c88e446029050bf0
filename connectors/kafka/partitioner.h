// Where Kafka's own clients put a record.
#pragma once

#include <cstdint>
#include <string_view>

namespace tailwater::kafka_sink {

// (murmur2(key) & 0x7fffffff) % partitions: the default partitioner of the Java client, so that
// what it wrote before and what this sink writes lie together.
int32_t PartitionOfKey(std::string_view key, int32_t partitions);

}  // namespace tailwater::kafka_sink
