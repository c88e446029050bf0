// A member of a consumer group that never fetches: it knows which partitions are its own, and
// commits their offsets.
//
// Eager assignment (range) with static membership: a member that comes back under the same instance
// id within the session timeout gets its partitions without a rebalance. Threads: one at a time,
// but for IsOwner().
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/kafka/client.h"

struct rd_kafka_consumer_group_metadata_s;

namespace tailwater::kafka {

struct GroupMemberOptions {
  ClientOptions client;
  std::string topic;          // whose partitions the group deals out
  std::string offsets_topic;  // whose offsets it stores; empty: the same
  std::string group;
  std::string instance_id;  // empty: dynamic membership, leaves the group when it ends
  std::chrono::milliseconds session_timeout{10'000};
  std::chrono::milliseconds heartbeat_interval{2'000};
  // A member whose owner does not call Poll() for so long gives its partitions up.
  std::chrono::milliseconds max_poll_interval{300'000};
  // How long a commit waits for its coordinator.
  std::chrono::milliseconds commit_timeout{30'000};
};

struct CommittedOffset {
  int64_t offset = 0;
  std::string metadata;  // text
};

class GroupMember {
 public:
  // Joins in the background; Poll() tells the outcome.
  static Result<std::unique_ptr<GroupMember>> Join(GroupMemberOptions options);
  // Dynamic members leave the group; static ones keep their partitions for the session timeout.
  ~GroupMember();
  GroupMember(const GroupMember&) = delete;
  GroupMember& operator=(const GroupMember&) = delete;

  // Takes part in rebalances; must be called often. The set is empty while none is assigned: then
  // this waits for one, at most `timeout`; otherwise it answers at once.
  // kRetry "kafka_fenced": another process uses the instance id; this member is over.
  struct Assignment {
    uint64_t generation = 0;  // grows at each change of the set
    std::vector<int32_t> partitions;
  };
  Result<Assignment> Poll(std::chrono::milliseconds timeout);
  // Whether partitions are ours by all that this member knows; false after a revocation, a missed
  // session or a fence, noticed on librdkafka's own thread. Any thread.
  bool IsOwner() const;

  // kRetry "kafka_fenced": the generation is over, or another process uses the instance id. After
  // kRetry "kafka_timeout" the commit is undecided.
  Status Commit(const std::map<int32_t, CommittedOffset>& offsets);
  // Of the whole group; partitions without a commit are absent. Waits for transactions that are
  // about to commit some.
  Result<std::map<int32_t, CommittedOffset>> Committed(const std::vector<int32_t>& partitions,
                                                       std::chrono::milliseconds timeout);

  const std::string& topic() const;

 private:
  friend class Producer;
  class Impl;
  explicit GroupMember(std::unique_ptr<Impl> impl);
  // Who we are in the generation that the last Poll() told, for Producer::SendOffsets(); null while
  // nothing is assigned. Lives until the next Poll(). Not what librdkafka would say now: a member
  // that was expelled has no id, and is not fenced.
  const rd_kafka_consumer_group_metadata_s* Metadata() const;
  std::unique_ptr<Impl> impl_;
};

// Offsets of a group without joining it; for status.
Result<std::map<int32_t, CommittedOffset>> PeekCommitted(const ClientOptions& client,
                                                         const std::string& topic,
                                                         const std::string& group,
                                                         const std::vector<int32_t>& partitions,
                                                         std::chrono::milliseconds timeout);

}  // namespace tailwater::kafka
