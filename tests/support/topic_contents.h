// What lies in a stub topic, decoded and copied out, so that tests can say what they expect.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "support/memory_topic.h"
#include "tailwater/change.h"

namespace tailwater {

struct TopicRecord {
  int32_t partition = 0;
  int64_t offset = 0;
  int64_t timestamp_micros = 0;
  std::string key;
  Operation operation{};
  std::string id;
  std::string source, table, position, transaction_id, frontier, log_id;
  uint32_t epoch = 0;
  uint64_t ordinal = 0;
  uint32_t part = 0;
  int64_t version = 0;
  int64_t source_time_micros = 0;
  std::string before, after;  // readable values, joined by a comma
  SnapshotMark snapshot{};
  std::string addressee;
  int64_t sweep_below = 0;
  std::vector<PartitionOffset> fence;
};

// One partition after the other, each in the order of its offsets.
std::vector<TopicRecord> Contents(const StubMemoryTopic& topic, int32_t partitions = 1);

// "insert public.orders 7", "frontier 0/20", "schema public.orders", …
std::string Describe(const TopicRecord& record);
std::vector<std::string> Describe(const std::vector<TopicRecord>& records);

// Those that are no control records, in the order of their versions.
std::vector<TopicRecord> Rows(std::vector<TopicRecord> records);

}  // namespace tailwater
