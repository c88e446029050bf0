// The topics that are written to: found, or made, when the first record for them comes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "kafka/kafka_options.h"
#include "support/kafka/admin.h"
#include "support/kafka/client.h"
#include "tailwater/result.h"

namespace tailwater::kafka_sink {

struct TargetTopic {
  std::string name;
  int32_t partitions = 0;
  size_t max_message_bytes = 0;  // of a batch as the broker stores it
  bool compacted = false;        // takes no record without a key
};

class TargetTopics {
 public:
  TargetTopics(kafka::ClientOptions client, CreateOption create);

  // kRetry: the cluster cannot be reached. kNeedsOperator: it does not take us.
  Status Open();
  // Valid until Forget(). kNeedsOperator "kafka_topic_missing" where topics are not made;
  // "kafka_policy_violation" and "kafka_not_authorized" where the cluster refuses to make it.
  Result<const TargetTopic*> Get(const std::string& topic);
  // Of one partition, compacted. kNeedsOperator "kafka_offsets_topic_unfit".
  Status PrepareOffsetsTopic(const std::string& topic);
  // What is known is asked anew.
  void Forget() { topics_.clear(); }

 private:
  Result<kafka::TopicFacts> FindOrMake(const kafka::TopicSpec& spec, std::string_view advice);

  const kafka::ClientOptions client_;
  const CreateOption create_;
  std::unique_ptr<kafka::Admin> admin_;
  std::map<std::string, TargetTopic> topics_;
};

}  // namespace tailwater::kafka_sink
