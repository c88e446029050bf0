// Writes a sink's dead letters into <topic>.<sink>.dlq, in one Kafka transaction with the offsets
// they belong to.
//
// The topic and the producer are made when the first letter comes. Not thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "support/kafka/group_member.h"
#include "support/kafka/producer.h"
#include "topic/kafka/letter_store.h"
#include "topic/kafka/settings.h"

namespace tailwater {

class LetterWriter {
 public:
  LetterWriter(const KafkaSettings& settings, std::string sink, int32_t partitions);

  // Stores both or neither. kRetry "kafka_fenced": the member's generation is over, nothing was
  // stored. After a failure undecided() tells whether it may have been stored all the same.
  Status Publish(const LetterStore::Changes& changes, const kafka::GroupMember& member,
                 const std::map<int32_t, kafka::CommittedOffset>& offsets);
  bool undecided() const { return undecided_; }

 private:
  Status Open();
  Status Send(const LetterStore::Changes& changes);

  const KafkaSettings settings_;
  const std::string sink_;
  const int32_t partitions_;
  const std::string topic_;
  std::string transactional_id_;
  std::unique_ptr<kafka::Producer> producer_;
  bool undecided_ = false;
};

}  // namespace tailwater
