#include "kafka/partitioner.h"

#include <cassert>

namespace tailwater::kafka_sink {
namespace {

uint32_t Murmur2(std::string_view bytes) {
  constexpr uint32_t kMultiplier = 0x5bd1e995;
  const auto byte = [&](size_t i) { return uint32_t{static_cast<uint8_t>(bytes[i])}; };
  uint32_t hash = 0x9747b28c ^ static_cast<uint32_t>(bytes.size());
  size_t at = 0;
  for (; at + 4 <= bytes.size(); at += 4) {
    uint32_t word = byte(at) | byte(at + 1) << 8 | byte(at + 2) << 16 | byte(at + 3) << 24;
    word *= kMultiplier;
    word ^= word >> 24;
    word *= kMultiplier;
    hash = hash * kMultiplier ^ word;
  }
  if (at < bytes.size()) {
    for (size_t i = bytes.size(); i > at; --i) hash ^= byte(i - 1) << 8 * (i - 1 - at);
    hash *= kMultiplier;
  }
  hash ^= hash >> 13;
  hash *= kMultiplier;
  return hash ^ hash >> 15;
}

}  // namespace

int32_t PartitionOfKey(std::string_view key, int32_t partitions) {
  assert(partitions > 0);
  return static_cast<int32_t>(Murmur2(key) & 0x7fffffff) % partitions;
}

}  // namespace tailwater::kafka_sink
