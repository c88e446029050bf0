// A stub of the topic in memory, for tests that need no file and no broker: several partitions, and
// hooks that make it fail, wait, rebalance and trim on command. Nothing is durable but to the
// object itself: a "crash" is Crash() or dropping the writer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "topic/topic.h"

namespace tailwater {

class StubMemoryTopic : public Topic {
 public:
  enum class Completion : uint8_t {
    kInline,  // Append() stores and calls back before it returns
    kManual,  // RunPending() does
    kThread,  // a thread of the topic's, as real topics do it
  };
  struct Options {
    int32_t partitions = 1;
    Completion completion = Completion::kInline;
    size_t capacity_bytes = 64 << 20;
    size_t max_record_bytes = 16 << 20;
    // Each stored batch takes one more offset per partition it touches, as Kafka's transaction
    // markers do.
    bool commit_markers = false;
    // One owner per sink under a lease, as the local topic has it. False: every Subscribe() joins a
    // group, and the partitions are dealt out among its members, as Kafka does.
    bool exclusive_subscriptions = true;
    std::string log_id;  // empty: made up
  };
  StubMemoryTopic() : StubMemoryTopic(Options()) {}
  explicit StubMemoryTopic(Options options);
  ~StubMemoryTopic() override;

  std::string Describe() const override;
  Result<std::unique_ptr<TopicWriter>> OpenWriter(
      std::stop_token stop, const std::function<void(std::string holder)>& standby) override;
  Result<std::shared_ptr<TopicReader>> OpenReader() override;
  Result<std::unique_ptr<Subscription>> Subscribe(
      const std::string& sink, std::stop_token stop,
      const std::function<void(std::string holder)>& standby) override;
  Result<Subscription::Stored> PeekOffsets(const std::string& sink) override;
  Result<Subscription::DeadLetterCounts> PeekDeadLetters(const std::string& sink) override;
  Result<DeadLetterPage> ListDeadLetters(const std::string& sink, const DeadLetterFilter& filter,
                                         std::optional<RecordPlace> from, size_t limit,
                                         size_t max_bytes) override;
  Result<std::vector<std::string>> KnownSinks() override;
  Result<std::map<std::string, std::string>> PeekState() override;
  std::optional<uint64_t> StoredBytes() override;
  Status Destroy() override;

  // Another handle on the same topic, as another process would have it.
  std::unique_ptr<StubMemoryTopic> Share() const;

  // --- hooks ---
  // Completion::kManual: stores and completes up to `count` queued batches; answers how many.
  size_t RunPending(size_t count = SIZE_MAX);
  // Stores up to `count` queued batches but does not tell; RunPending() or ReleaseCompletions()
  // tells later, in order.
  size_t StoreWithoutCompleting(size_t count = SIZE_MAX);
  size_t queued() const;  // batches accepted and not yet stored

  // kInline and kThread: batches are stored, completions wait for ReleaseCompletions().
  void HoldCompletions();
  void ReleaseCompletions();

  // The next batch fails and is not stored; so does everything after it until Recover().
  void FailNextAppend(Error error);
  // The next batch is stored but answered with the error (the answer was lost).
  void LoseNextAnswer(Error error);
  // While set, every batch fails with it and Recover() answers it.
  void BreakWrites(std::optional<Error> error);
  // Recover() answers this `times` times.
  void FailRecover(Error error, int times = 1);
  // Commit() of any subscription answers this `times` times and stores nothing.
  void FailNextCommit(Error error, int times = 1);
  // Read() answers this `times` times.
  void FailNextRead(Error error, int times = 1);

  // The writer dies with all that it has not stored: no callback comes any more, what is appended
  // from now on vanishes, the lease is free.
  void Crash();

  // Somebody else takes the lease: the writer's lost() is requested, what it has not stored fails.
  // Everybody stands by until FreeLease().
  void LoseLease();
  void FreeLease();

  // shared subscriptions: deals the sink's partitions to its members, in order of joining. A new
  // generation.
  void Assign(const std::string& sink, const std::vector<std::vector<int32_t>>& partitions);
  // A new generation with the same assignment.
  void Rebalance(const std::string& sink);

  // Drops the records below `begin`.
  void Trim(int32_t partition, int64_t begin);
  // A new, empty log with another id; state, offsets and dead letters stay.
  void ReplaceLog(std::string log_id);

  // What lies in the log, and what a sink left behind.
  struct StoredRecord {
    int64_t offset = 0;
    int64_t timestamp_micros = 0;
    std::string key;
    std::string value;
  };
  std::vector<StoredRecord> Records(int32_t partition) const;
  std::vector<DeadLetter> DeadLetters(const std::string& sink) const;
  std::map<std::string, std::string> State() const;
  uint64_t reads() const;  // calls of Read() so far

  struct Core;

 private:
  explicit StubMemoryTopic(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  std::shared_ptr<Core> core_;
};

}  // namespace tailwater
