// Looks at and makes topics. Blocking calls, each with a timeout. Threads: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/kafka/client.h"

namespace tailwater::kafka {

struct TopicSpec {
  std::string name;
  int32_t partitions = 1;
  int32_t replication = 1;
  std::map<std::string, std::string> settings;  // "retention.ms": "604800000"
};

struct TopicFacts {
  int32_t partitions = 0;
  int32_t replication = 0;  // of partition 0
};

// A group as its coordinator sees it.
struct GroupFacts {
  struct Member {
    std::string client_id;
    std::string host;
    std::string instance_id;  // empty: dynamic
    std::vector<int32_t> partitions;
  };
  std::vector<Member> members;
};

class Admin {
 public:
  static Result<std::unique_ptr<Admin>> Create(ClientOptions options,
                                               std::chrono::milliseconds timeout);
  ~Admin();
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;

  // Brokers of the cluster. The cheapest question: whether it can be reached and takes us.
  Result<int32_t> BrokerCount();
  // kNeedsOperator "kafka_not_authorized" where the cluster tells that apart from a missing topic.
  Result<std::optional<TopicFacts>> FindTopic(const std::string& topic);
  Result<std::vector<std::string>> ListTopics();  // that we may see
  // A topic that is there already is no error. kNeedsOperator "kafka_policy_violation" where the
  // cluster refuses (replication larger than its brokers, …), "kafka_not_authorized".
  Status CreateTopic(const TopicSpec& spec);
  // Whether CreateTopic() would do; makes nothing.
  Status CheckCreateTopic(const TopicSpec& spec);
  Result<std::map<std::string, std::string>> TopicSettings(const std::string& topic);
  Result<std::map<std::string, std::string>> BrokerSettings();
  // What is not there is no error.
  Status DeleteTopic(const std::string& topic);
  // kNeedsOperator "kafka_policy_violation" while it has members.
  Status DeleteGroup(const std::string& group);
  Result<std::vector<std::string>> ListGroups();  // that we may see
  Result<GroupFacts> DescribeGroup(const std::string& group);
  // Deletes the records of a partition below the offset.
  Status DeleteRecords(const std::string& topic, int32_t partition, int64_t before);

 private:
  class Impl;
  Status CreateTopic(const TopicSpec& spec, bool only_check);
  explicit Admin(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailwater::kafka
