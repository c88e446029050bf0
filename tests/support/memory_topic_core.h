// Inside the stub topic: what its handles share. Included by memory_topic*.cc alone.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "codec/codec.h"
#include "support/memory_topic.h"
#include "support/memory_topic_dead_letters.h"

namespace tailwater {

namespace stub {

struct Partition {
  std::deque<StubMemoryTopic::StoredRecord> records;
  int64_t begin = 0;
  int64_t end = 0;
};

struct Pending {
  AppendBatch batch;
  AppendDone done;
  size_t bytes = 0;
  bool stored = false;
  std::optional<Result<AppendReceipt>> answer;
};

struct Member {
  uint64_t id = 0;
  std::vector<int32_t> partitions;
};

struct Group {
  Subscription::Stored stored;
  uint64_t generation = 1;
  std::vector<Member> members;
  DeadLetterStore dead_letters;
};

}  // namespace stub

struct StubMemoryTopic::Core {
  explicit Core(Options options) : options(std::move(options)) {
    partitions.resize(this->options.partitions);
  }

  const Options options;
  mutable std::mutex mutex;
  std::condition_variable_any changed;
  std::string log_id;
  std::vector<stub::Partition> partitions;
  std::map<std::string, std::string> state;
  bool created = false;

  uint64_t lease = 0;       // id of the writer that holds it; 0 = free
  bool lease_lost = false;  // the writer's, and it is not gone yet
  bool stranger = false;    // somebody who is no handle of ours holds or gets the lease
  std::stop_source lost;    // of the writer
  uint64_t next_id = 1;
  std::deque<stub::Pending> queue;
  size_t queued_bytes = 0;
  bool draining = false;  // callbacks run on one thread at a time
  bool hold = false;
  size_t manual_allowance = 0;
  std::optional<Error> failed;
  std::optional<Error> fail_next;
  std::optional<Error> lose_next;
  std::optional<Error> broken;
  std::optional<Error> fail_recover;
  int fail_recover_times = 0;
  std::optional<Error> fail_commit;
  int fail_commit_times = 0;
  std::optional<Error> fail_read;
  int fail_read_times = 0;
  uint64_t reads = 0;

  std::map<std::string, stub::Group> groups;
  std::map<std::pair<int32_t, int64_t>, std::weak_ptr<const ReadBatch>> cache;

  // All below: with the mutex held.
  Offsets Ends() const {
    Offsets ends;
    for (size_t i = 0; i < partitions.size(); ++i) {
      ends[static_cast<int32_t>(i)] = partitions[i].end;
    }
    return ends;
  }

  static Error LeaseLost() {
    return {Disposition::kRetry, "topic_lease_lost", "this writer lost its lease"};
  }

  void Store(stub::Pending& pending) {
    pending.stored = true;
    if (!failed && fail_next) failed = std::exchange(fail_next, std::nullopt);
    if (!failed && broken) failed = broken;
    if (!failed && lease_lost) failed = LeaseLost();
    for (const auto& record : pending.batch.records()) {
      if (!failed && size_t{record.key_size} + record.value_size > options.max_record_bytes) {
        failed = Error{Disposition::kNeedsOperator, "topic_record_too_large",
                       "a record is larger than the topic takes; raise max_record_bytes"};
      }
    }
    if (failed) {
      pending.answer = *failed;
      return;
    }
    std::set<int32_t> touched;
    std::vector<PartitionOffset> fences;
    for (const auto& record : pending.batch.records()) {
      stub::Partition& partition = partitions.at(record.partition);
      const int64_t offset = partition.end++;
      touched.insert(record.partition);
      std::string value(pending.batch.value(record));
      if (record.fence) {
        for (const PartitionOffset& fence : fences) AppendFence(fence, value);
      }
      if (record.fenced) {
        fences.push_back({record.partition, offset});
      } else {
        fences.clear();
      }
      partition.records.push_back({offset, record.timestamp_micros,
                                   std::string(pending.batch.key(record)), std::move(value)});
    }
    for (auto& [key, value] : pending.batch.state) {
      if (value.empty()) {
        state.erase(key);
      } else {
        state[key] = value;
      }
    }
    if (options.commit_markers) {
      for (const int32_t partition : touched) ++partitions[partition].end;
    }
    if (lose_next) {
      failed = std::exchange(lose_next, std::nullopt);
      pending.answer = *failed;
    } else {
      pending.answer = AppendReceipt{Ends()};
    }
    changed.notify_all();
  }

  size_t StoreUpTo(size_t count) {
    size_t stored = 0;
    for (auto& pending : queue) {
      if (stored == count) break;
      if (pending.stored) continue;
      Store(pending);
      ++stored;
    }
    return stored;
  }

  // Calls back for stored batches at the head, at most `count`; drops the lock around each call.
  size_t Complete(std::unique_lock<std::mutex>& lock, size_t count) {
    if (draining) return 0;
    draining = true;
    size_t completed = 0;
    while (completed < count && !queue.empty() && queue.front().stored) {
      stub::Pending pending = std::move(queue.front());
      queue.pop_front();
      queued_bytes -= pending.bytes;
      changed.notify_all();
      lock.unlock();
      pending.done(std::move(*pending.answer));
      pending = {};
      lock.lock();
      ++completed;
    }
    draining = false;
    changed.notify_all();
    return completed;
  }

  void Drain(std::unique_lock<std::mutex>& lock) {
    // A callback may append: go round until nothing is left.
    while (!draining && !queue.empty()) {
      StoreUpTo(SIZE_MAX);
      if (hold || Complete(lock, SIZE_MAX) == 0) return;
    }
  }

  void Deal(stub::Group& group) {
    ++group.generation;
    for (auto& member : group.members) member.partitions.clear();
    if (group.members.empty()) return;
    for (int32_t i = 0; i < options.partitions; ++i) {
      group.members[i % group.members.size()].partitions.push_back(i);
    }
    changed.notify_all();
  }
};

namespace stub {

using Core = StubMemoryTopic::Core;
using Lock = std::unique_lock<std::mutex>;

std::unique_ptr<TopicWriter> MakeWriter(std::shared_ptr<Core> core, uint64_t id);
std::shared_ptr<TopicReader> MakeReader(std::shared_ptr<Core> core);
std::unique_ptr<Subscription> MakeSubscription(std::shared_ptr<Core> core, std::string sink,
                                               uint64_t id);

}  // namespace stub

}  // namespace tailwater
