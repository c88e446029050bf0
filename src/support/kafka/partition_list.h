// librdkafka's list of partitions of one topic, owned.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace tailwater::kafka {

class PartitionList {
 public:
  explicit PartitionList(std::string topic)
      : topic_(std::move(topic)), list_(rd_kafka_topic_partition_list_new(4), &Destroy) {}

  void Add(int32_t partition, int64_t offset, const std::string& metadata = {}) const {
    rd_kafka_topic_partition_t* entry =
        rd_kafka_topic_partition_list_add(list_.get(), topic_.c_str(), partition);
    entry->offset = offset;
    if (metadata.empty()) return;
    entry->metadata = std::malloc(metadata.size());  // freed by librdkafka
    std::memcpy(entry->metadata, metadata.data(), metadata.size());
    entry->metadata_size = metadata.size();
  }

  rd_kafka_topic_partition_list_t* get() const { return list_.get(); }
  std::span<const rd_kafka_topic_partition_t> entries() const {
    return {list_->elems, static_cast<size_t>(list_->cnt)};
  }

 private:
  static void Destroy(rd_kafka_topic_partition_list_t* list) {
    rd_kafka_topic_partition_list_destroy(list);
  }

  std::string topic_;
  std::unique_ptr<rd_kafka_topic_partition_list_t, void (*)(rd_kafka_topic_partition_list_t*)>
      list_;
};

}  // namespace tailwater::kafka
