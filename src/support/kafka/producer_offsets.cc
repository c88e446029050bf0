#include <cstring>
#include <memory>

#include "support/kafka/group_member.h"
#include "support/kafka/producer_impl.h"

namespace tailwater::kafka {

Status Producer::SendOffsets(const GroupMember& member,
                             const std::map<int32_t, CommittedOffset>& offsets) {
  const std::unique_ptr<rd_kafka_topic_partition_list_t,
                        decltype(&rd_kafka_topic_partition_list_destroy)>
      list(rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())),
           rd_kafka_topic_partition_list_destroy);
  for (const auto& [partition, committed] : offsets) {
    rd_kafka_topic_partition_t* each =
        rd_kafka_topic_partition_list_add(list.get(), member.topic().c_str(), partition);
    each->offset = committed.offset;
    if (committed.metadata.empty()) continue;
    // The list frees it.
    each->metadata_size = committed.metadata.size();
    each->metadata = rd_kafka_mem_malloc(nullptr, committed.metadata.size());
    std::memcpy(each->metadata, committed.metadata.data(), committed.metadata.size());
  }
  const std::unique_ptr<rd_kafka_consumer_group_metadata_t,
                        decltype(&rd_kafka_consumer_group_metadata_destroy)>
      group(member.Metadata(), rd_kafka_consumer_group_metadata_destroy);
  if (group == nullptr) {
    return MakeError(RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST, "adding offsets to the transaction");
  }
  return impl_->SendOffsets(list.get(), group.get());
}

}  // namespace tailwater::kafka
