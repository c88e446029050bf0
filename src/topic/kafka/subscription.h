// One sink's place in the kafka topic, as a member of the group <topic>.<sink>.
//
// Offsets are the group's, with what else the sink remembers beside them (sink_place.h). Commits of
// offsets alone are plain; those that touch dead letters are one transaction with
// <topic>.<sink>.dlq (letter_writer.h), fenced by the member's generation. Whoever gets a partition
// reads its dead letters to their end, and then its offset, before Poll() tells: what the owner
// before had in flight is decided by then. Threads: the sink's own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/kafka/group_member.h"
#include "topic/kafka/letter_store.h"
#include "topic/kafka/letter_writer.h"
#include "topic/kafka/settings.h"
#include "topic/kafka/sink_place.h"
#include "topic/topic.h"

namespace tailwater {

class KafkaSubscription final : public Subscription {
 public:
  // `together`: all partitions go to one member; the group then deals out the one partition of
  // <topic>.state in their place. kRetry "topic_not_created".
  static Result<std::unique_ptr<KafkaSubscription>> Open(const KafkaSettings& settings,
                                                         const std::string& sink,
                                                         bool together = false);

  Result<Assignment> Poll(std::chrono::milliseconds timeout) override;
  // Of the partitions that are ours; of the group's while none is. Paused: one of them is.
  Result<Stored> Load() override;
  Result<Offsets> GroupOffsets() override;
  // kRetry "not_owner" also where the cluster did not say whether it was stored: what is stored is
  // read again with the next Poll(), a generation later.
  Status Commit(uint64_t generation, const Update& update) override;
  Result<DeadLetterCounts> CountDeadLetters() override;
  Result<std::vector<BlockedKey>> BlockedKeys(size_t limit,
                                              std::optional<RecordPlace> after) override;
  Result<std::vector<DeadLetter>> LoadBlocked(const std::string& key, size_t max_records,
                                              size_t max_bytes) override;
  Result<std::vector<std::string>> Requeue(uint64_t generation,
                                           const DeadLetterFilter& filter) override;
  Result<uint64_t> DropDeadLetters(uint64_t generation, const DeadLetterFilter& filter) override;

 private:
  KafkaSubscription(KafkaSettings settings, std::string sink, int32_t partitions, bool together);
  Status Join();
  // Takes over what the partitions' last owner left.
  Status TakeOver();
  Status CheckOwner(uint64_t generation) const;
  bool Owns(const Update& update) const;
  SinkPlaces Moved(const Update& update) const;
  Result<SinkPlaces> LoadGroup();
  // Changes dead letters and moves to `places` in one transaction.
  Status Change(const std::function<Status(DeadLetterTable&)>& change, SinkPlaces places);
  // Stores the places that differ from places_.
  Status CommitPlaces(SinkPlaces places);
  Error Refused(Error error, bool undecided);

  const KafkaSettings settings_;
  const std::string sink_;
  const bool together_;
  std::vector<int32_t> all_;  // partitions of the topic
  std::unique_ptr<kafka::GroupMember> member_;
  uint64_t member_generation_ = 0;  // of the assignment that was taken over
  bool stale_ = true;               // what is stored is to be read again
  Assignment assignment_;
  SinkPlaces places_;  // of the partitions that are ours, each of them
  std::unique_ptr<LetterStore> letters_;
  LetterWriter writer_;
};

}  // namespace tailwater
