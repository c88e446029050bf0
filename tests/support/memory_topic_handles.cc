#include <thread>

#include "support/memory_topic_core.h"
#include "support/text.h"

namespace tailwater {

namespace stub {

namespace {

class StubWriter final : public TopicWriter {
 public:
  StubWriter(std::shared_ptr<Core> core, uint64_t id)
      : core_(std::move(core)), id_(id), log_id_(core_->log_id), lost_(core_->lost.get_token()) {
    if (core_->options.completion == StubMemoryTopic::Completion::kThread) {
      thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
    }
  }

  ~StubWriter() override {
    if (thread_.joinable()) {
      thread_.request_stop();
      thread_.join();
    }
    Lock lock(core_->mutex);
    if (core_->lease != id_) return;
    core_->hold = false;
    core_->Drain(lock);
    core_->changed.wait(lock, [&] { return !core_->draining; });
    core_->lease = 0;
    core_->lease_lost = false;
    core_->changed.notify_all();
  }

  std::stop_token lost() const override { return lost_; }
  int32_t partitions() const override { return core_->options.partitions; }
  const std::string& log_id() const override { return log_id_; }

  Result<std::map<std::string, std::string>> LoadState() override {
    Lock lock(core_->mutex);
    return core_->state;
  }

  Result<Offsets> Ends() override {
    Lock lock(core_->mutex);
    return core_->Ends();
  }

  size_t max_record_bytes() const override { return core_->options.max_record_bytes; }

  void Append(AppendBatch batch, AppendDone done) override {
    Lock lock(core_->mutex);
    if (core_->lease != id_) return;  // crashed: whatever comes now goes nowhere
    Pending pending;
    pending.bytes = batch.bytes();
    pending.batch = std::move(batch);
    pending.done = std::move(done);
    core_->queued_bytes += pending.bytes;
    core_->queue.push_back(std::move(pending));
    core_->changed.notify_all();
    if (core_->options.completion == StubMemoryTopic::Completion::kInline) core_->Drain(lock);
  }

  bool WaitForRoom(std::chrono::milliseconds timeout) override {
    Lock lock(core_->mutex);
    return core_->changed.wait_for(
        lock, timeout, [&] { return core_->queued_bytes <= core_->options.capacity_bytes; });
  }

  size_t queued_bytes() const override {
    Lock lock(core_->mutex);
    return core_->queued_bytes;
  }

  void Flush() override {}

  Status Recover() override {
    Lock lock(core_->mutex);
    if (core_->lease != id_ || core_->lease_lost) return Core::LeaseLost();
    if (core_->fail_recover_times > 0) {
      --core_->fail_recover_times;
      return *core_->fail_recover;
    }
    if (core_->broken) return *core_->broken;
    core_->failed.reset();
    return {};
  }

 private:
  void Run(std::stop_token stop) {
    Lock lock(core_->mutex);
    while (core_->changed.wait(lock, stop, [&] {
      return std::any_of(core_->queue.begin(), core_->queue.end(),
                         [&](const Pending& pending) { return !pending.stored || !core_->hold; });
    })) {
      core_->Drain(lock);
    }
  }

  std::shared_ptr<Core> core_;
  const uint64_t id_;
  const std::string log_id_;
  const std::stop_token lost_;
  std::jthread thread_;
};

class StubReader final : public TopicReader {
 public:
  explicit StubReader(std::shared_ptr<Core> core)
      : core_(std::move(core)), log_id_(core_->log_id) {}

  int32_t partitions() const override { return core_->options.partitions; }
  const std::string& log_id() const override { return log_id_; }

  Result<std::shared_ptr<const ReadBatch>> Read(int32_t partition, int64_t offset, size_t max_bytes,
                                                std::chrono::milliseconds timeout,
                                                std::stop_token stop) override {
    Lock lock(core_->mutex);
    ++core_->reads;
    if (core_->fail_read_times > 0) {
      --core_->fail_read_times;
      return *core_->fail_read;
    }
    Partition& from = core_->partitions.at(partition);
    // An offset behind the end is a gap, not something to wait for.
    if (timeout.count() > 0) {  // waiting for no time at all takes the kernel's timer slack
      core_->changed.wait_for(lock, stop, timeout, [&] { return offset != from.end; });
    }
    if (core_->log_id != log_id_) {
      return Error{
          Disposition::kGap, "topic_log_replaced",
          fmt::format("log {} was replaced by log {}; open it again", log_id_, core_->log_id)};
    }
    if (offset == from.end) return std::shared_ptr<const ReadBatch>();
    if (offset < from.begin || offset > from.end) {
      return Error{Disposition::kGap, "topic_offset_out_of_range",
                   fmt::format("offset {} of partition {} is outside the log ({} to {})", offset,
                               partition, from.begin, from.end)};
    }
    if (auto cached = core_->cache[{partition, offset}].lock()) {
      const bool same = cached->bytes <= max_bytes || cached->records.size() <= 1;
      if (same && cached->next_offset == from.end) return cached;
    }
    auto batch = std::make_shared<ReadBatch>();
    auto memory = std::make_shared<std::deque<std::string>>();
    batch->partition = partition;
    batch->next_offset = from.end;
    const auto first =
        std::lower_bound(from.records.begin(), from.records.end(), offset,
                         [](const auto& record, int64_t wanted) { return record.offset < wanted; });
    for (auto it = first; it != from.records.end(); ++it) {
      const size_t bytes = it->key.size() + it->value.size();
      if (!batch->records.empty() && batch->bytes + bytes > max_bytes) {
        batch->next_offset = it->offset;
        break;
      }
      const std::string& key = memory->emplace_back(it->key);
      const std::string& value = memory->emplace_back(it->value);
      batch->records.push_back({it->offset, it->timestamp_micros, key, value});
      batch->bytes += bytes;
    }
    batch->memory = std::move(memory);
    core_->cache[{partition, offset}] = batch;
    return std::shared_ptr<const ReadBatch>(std::move(batch));
  }

  bool WaitForAny(const Offsets& offsets, std::chrono::milliseconds timeout,
                  std::stop_token stop) override {
    Lock lock(core_->mutex);
    const auto any = [&] {
      if (core_->fail_read_times > 0 || core_->log_id != log_id_) return true;
      return std::any_of(offsets.begin(), offsets.end(), [&](const auto& entry) {
        return core_->partitions.at(entry.first).end != entry.second;
      });
    };
    if (timeout.count() > 0) core_->changed.wait_for(lock, stop, timeout, any);
    return any();
  }

  Result<std::map<int32_t, PartitionRange>> Ranges() override {
    Lock lock(core_->mutex);
    std::map<int32_t, PartitionRange> ranges;
    for (size_t i = 0; i < core_->partitions.size(); ++i) {
      ranges[static_cast<int32_t>(i)] = {core_->partitions[i].begin, core_->partitions[i].end};
    }
    return ranges;
  }

  Result<int64_t> OffsetAt(int32_t partition, int64_t time_micros) override {
    Lock lock(core_->mutex);
    const Partition& from = core_->partitions.at(partition);
    for (const auto& record : from.records) {
      if (record.timestamp_micros >= time_micros) return record.offset;
    }
    return from.end;
  }

 private:
  std::shared_ptr<Core> core_;
  const std::string log_id_;
};

class StubSubscription final : public Subscription {
 public:
  StubSubscription(std::shared_ptr<Core> core, std::string sink, uint64_t id)
      : core_(std::move(core)), sink_(std::move(sink)), id_(id) {}

  ~StubSubscription() override {
    Lock lock(core_->mutex);
    Group& group = core_->groups[sink_];
    std::erase_if(group.members, [&](const Member& member) { return member.id == id_; });
    core_->Deal(group);
    core_->changed.notify_all();
  }

  Result<Assignment> Poll(std::chrono::milliseconds timeout) override {
    Lock lock(core_->mutex);
    if (timeout.count() > 0) {
      core_->changed.wait_for(lock, timeout, [&] { return !Me().partitions.empty(); });
    }
    return Assignment{core_->groups[sink_].generation, Me().partitions};
  }

  Result<Stored> Load() override {
    Lock lock(core_->mutex);
    return core_->groups[sink_].stored;
  }

  Result<Offsets> GroupOffsets() override {
    Lock lock(core_->mutex);
    return core_->groups[sink_].stored.offsets;
  }

  Status Commit(uint64_t generation, const Update& update) override {
    Lock lock(core_->mutex);
    if (core_->fail_commit_times > 0) {
      --core_->fail_commit_times;
      return *core_->fail_commit;
    }
    Group& group = core_->groups[sink_];
    bool all_owned = generation == group.generation;
    for (const auto& [partition, offset] : update.offsets) all_owned &= Owned(partition);
    for (const auto& letter : update.add) all_owned &= Owned(letter.partition);
    for (const auto& place : update.remove) all_owned &= Owned(place.partition);
    if (!all_owned) return NotOwner(generation);
    group.dead_letters.Apply(update);
    if (!update.log_id.empty() && update.log_id != group.stored.log_id) {
      group.stored = {.log_id = update.log_id, .paused = group.stored.paused};
    }
    for (const auto& [partition, offset] : update.offsets) group.stored.offsets[partition] = offset;
    for (const auto& [partition, offset] : update.rewound_from) {
      group.stored.rewound_from[partition] = offset;
    }
    if (update.paused) group.stored.paused = *update.paused;
    return {};
  }

  Result<DeadLetterCounts> CountDeadLetters() override {
    Lock lock(core_->mutex);
    return core_->groups[sink_].dead_letters.Count();
  }

  Result<std::vector<BlockedKey>> BlockedKeys(size_t limit,
                                              std::optional<RecordPlace> after) override {
    Lock lock(core_->mutex);
    return core_->groups[sink_].dead_letters.BlockedKeys(limit, after, Owner());
  }

  Result<std::vector<DeadLetter>> LoadBlocked(const std::string& key, size_t max_records,
                                              size_t max_bytes) override {
    Lock lock(core_->mutex);
    return core_->groups[sink_].dead_letters.LoadBlocked(key, max_records, max_bytes, Owner());
  }

  Result<std::vector<std::string>> Requeue(uint64_t generation,
                                           const DeadLetterFilter& filter) override {
    Lock lock(core_->mutex);
    Group& group = core_->groups[sink_];
    if (generation != group.generation) return NotOwner(generation);
    return group.dead_letters.Requeue(filter, Owner());
  }

  Result<uint64_t> DropDeadLetters(uint64_t generation, const DeadLetterFilter& filter) override {
    Lock lock(core_->mutex);
    Group& group = core_->groups[sink_];
    if (generation != group.generation) return NotOwner(generation);
    return group.dead_letters.Drop(filter, Owner());
  }

 private:
  bool Owned(int32_t partition) const {
    const auto& mine = Me().partitions;
    return std::find(mine.begin(), mine.end(), partition) != mine.end();
  }
  DeadLetterStore::Owned Owner() const {
    return [this](int32_t partition) { return Owned(partition); };
  }
  Error NotOwner(uint64_t generation) const {
    return Error{Disposition::kRetry, "not_owner",
                 fmt::format("generation {} of sink '{}' is over", generation, sink_)};
  }

  const Member& Me() const {
    for (const auto& member : core_->groups[sink_].members) {
      if (member.id == id_) return member;
    }
    static const Member kNobody;
    return kNobody;
  }

  std::shared_ptr<Core> core_;
  const std::string sink_;
  const uint64_t id_;
};

}  // namespace

std::unique_ptr<TopicWriter> MakeWriter(std::shared_ptr<Core> core, uint64_t id) {
  return std::make_unique<StubWriter>(std::move(core), id);
}

std::shared_ptr<TopicReader> MakeReader(std::shared_ptr<Core> core) {
  return std::make_shared<StubReader>(std::move(core));
}

std::unique_ptr<Subscription> MakeSubscription(std::shared_ptr<Core> core, std::string sink,
                                               uint64_t id) {
  return std::make_unique<StubSubscription>(std::move(core), std::move(sink), id);
}

}  // namespace stub

}  // namespace tailwater
