#include "support/kafka/group_member.h"
#include "support/kafka/partition_list.h"
#include "support/kafka/producer_impl.h"

namespace tailwater::kafka {

Status Producer::SendOffsets(const GroupMember& member,
                             const std::map<int32_t, CommittedOffset>& offsets) {
  const PartitionList list(member.topic());
  for (const auto& [partition, committed] : offsets) {
    list.Add(partition, committed.offset, committed.metadata);
  }
  const rd_kafka_consumer_group_metadata_t* group = member.Metadata();
  if (group == nullptr) {
    return MakeError(RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST, "adding offsets to the transaction");
  }
  return impl_->SendOffsets(list.get(), group);
}

}  // namespace tailwater::kafka
