#include "support/memory_topic.h"

#include "support/memory_topic_core.h"
#include "support/text.h"

namespace tailwater {

using stub::Group;
using stub::Lock;
using stub::Partition;
using stub::Pending;

StubMemoryTopic::StubMemoryTopic(Options options) : core_(std::make_shared<Core>(options)) {
  core_->log_id = options.log_id.empty() ? "stub-log" : options.log_id;
}

StubMemoryTopic::~StubMemoryTopic() = default;

std::string StubMemoryTopic::Describe() const { return "stub in memory"; }

Result<std::unique_ptr<TopicWriter>> StubMemoryTopic::OpenWriter(
    std::stop_token stop, const std::function<void(std::string holder)>& standby) {
  Lock lock(core_->mutex);
  const auto held = [&] { return core_->lease != 0 || core_->stranger; };
  if (held()) {
    if (standby)
      standby(core_->stranger ? "a stranger" : fmt::format("stub writer {}", core_->lease));
    if (!core_->changed.wait(lock, stop, [&] { return !held(); })) {
      return Error{Disposition::kCancelled, "cancelled", "stopped while standing by"};
    }
  }
  core_->created = true;
  core_->failed.reset();
  core_->lease = core_->next_id++;
  core_->lost = std::stop_source();
  return stub::MakeWriter(core_, core_->lease);
}

Result<std::shared_ptr<TopicReader>> StubMemoryTopic::OpenReader() {
  Lock lock(core_->mutex);
  if (!core_->created) {
    return Error{Disposition::kRetry, "topic_not_created", "capture has not made the log yet"};
  }
  return stub::MakeReader(core_);
}

Result<std::unique_ptr<Subscription>> StubMemoryTopic::Subscribe(
    const std::string& sink, std::stop_token stop,
    const std::function<void(std::string holder)>& standby) {
  Lock lock(core_->mutex);
  Group& group = core_->groups[sink];
  if (core_->options.exclusive_subscriptions && !group.members.empty()) {
    if (standby) standby(fmt::format("stub subscription {}", group.members[0].id));
    if (!core_->changed.wait(lock, stop, [&] { return group.members.empty(); })) {
      return Error{Disposition::kCancelled, "cancelled", "stopped while standing by"};
    }
  }
  const uint64_t id = core_->next_id++;
  group.members.push_back({id, {}});
  core_->Deal(group);
  return stub::MakeSubscription(core_, sink, id);
}

Result<Subscription::Stored> StubMemoryTopic::PeekOffsets(const std::string& sink) {
  Lock lock(core_->mutex);
  const auto it = core_->groups.find(sink);
  return it == core_->groups.end() ? Subscription::Stored() : it->second.stored;
}

Result<Subscription::DeadLetterCounts> StubMemoryTopic::PeekDeadLetters(const std::string& sink) {
  Lock lock(core_->mutex);
  const auto it = core_->groups.find(sink);
  return it == core_->groups.end() ? Subscription::DeadLetterCounts()
                                   : it->second.dead_letters.Count();
}

Result<DeadLetterPage> StubMemoryTopic::ListDeadLetters(const std::string& sink,
                                                        const DeadLetterFilter& filter,
                                                        std::optional<RecordPlace> from,
                                                        size_t limit, size_t max_bytes) {
  Lock lock(core_->mutex);
  const auto it = core_->groups.find(sink);
  return it == core_->groups.end() ? DeadLetterPage()
                                   : it->second.dead_letters.List(filter, from, limit, max_bytes);
}

Result<std::vector<std::string>> StubMemoryTopic::KnownSinks() {
  Lock lock(core_->mutex);
  std::vector<std::string> sinks;
  for (const auto& [sink, group] : core_->groups) sinks.push_back(sink);
  return sinks;
}

Result<std::map<std::string, std::string>> StubMemoryTopic::PeekState() {
  Lock lock(core_->mutex);
  return core_->state;
}

std::optional<uint64_t> StubMemoryTopic::StoredBytes() {
  Lock lock(core_->mutex);
  uint64_t bytes = 0;
  for (const auto& partition : core_->partitions) {
    for (const auto& record : partition.records) bytes += record.key.size() + record.value.size();
  }
  return bytes;
}

Status StubMemoryTopic::Destroy() {
  Lock lock(core_->mutex);
  bool held = core_->lease != 0;
  for (const auto& [sink, group] : core_->groups) held |= !group.members.empty();
  if (held) {
    return Error{Disposition::kNeedsOperator, "topic_locked",
                 "capture or a sink still runs; stop it, then destroy the topic"};
  }
  core_->partitions.assign(core_->options.partitions, {});
  core_->state.clear();
  core_->groups.clear();
  core_->cache.clear();
  core_->created = false;
  core_->log_id = fmt::format("stub-log-{}", core_->next_id++);
  return {};
}

std::unique_ptr<StubMemoryTopic> StubMemoryTopic::Share() const {
  return std::unique_ptr<StubMemoryTopic>(new StubMemoryTopic(core_));
}

void StubMemoryTopic::BreakWrites(std::optional<Error> error) {
  Lock lock(core_->mutex);
  core_->broken = std::move(error);
}

size_t StubMemoryTopic::RunPending(size_t count) {
  Lock lock(core_->mutex);
  size_t completed = 0;
  while (completed < count && !core_->queue.empty()) {
    if (!core_->queue.front().stored) core_->StoreUpTo(1);
    const size_t step = core_->Complete(lock, 1);
    if (step == 0) break;
    completed += step;
  }
  return completed;
}

size_t StubMemoryTopic::StoreWithoutCompleting(size_t count) {
  Lock lock(core_->mutex);
  return core_->StoreUpTo(count);
}

size_t StubMemoryTopic::queued() const {
  Lock lock(core_->mutex);
  return std::count_if(core_->queue.begin(), core_->queue.end(),
                       [](const Pending& pending) { return !pending.stored; });
}

void StubMemoryTopic::HoldCompletions() {
  Lock lock(core_->mutex);
  core_->hold = true;
}

void StubMemoryTopic::ReleaseCompletions() {
  Lock lock(core_->mutex);
  core_->hold = false;
  core_->changed.notify_all();
  if (core_->options.completion != Completion::kThread) core_->Complete(lock, SIZE_MAX);
}

void StubMemoryTopic::FailNextAppend(Error error) {
  Lock lock(core_->mutex);
  core_->fail_next = std::move(error);
}

void StubMemoryTopic::LoseNextAnswer(Error error) {
  Lock lock(core_->mutex);
  core_->lose_next = std::move(error);
}

void StubMemoryTopic::FailRecover(Error error, int times) {
  Lock lock(core_->mutex);
  core_->fail_recover = std::move(error);
  core_->fail_recover_times = times;
}

void StubMemoryTopic::FailNextCommit(Error error, int times) {
  Lock lock(core_->mutex);
  core_->fail_commit = std::move(error);
  core_->fail_commit_times = times;
}

void StubMemoryTopic::FailNextRead(Error error, int times) {
  Lock lock(core_->mutex);
  core_->fail_read = std::move(error);
  core_->fail_read_times = times;
}

void StubMemoryTopic::Crash() {
  Lock lock(core_->mutex);
  core_->queue.clear();
  core_->queued_bytes = 0;
  core_->lease = 0;
  core_->failed.reset();
  core_->changed.notify_all();
}

void StubMemoryTopic::LoseLease() {
  std::stop_source lost;
  {
    Lock lock(core_->mutex);
    core_->stranger = true;
    core_->lease_lost = core_->lease != 0;
    lost = core_->lost;
  }
  lost.request_stop();
}

void StubMemoryTopic::FreeLease() {
  Lock lock(core_->mutex);
  core_->stranger = false;
  core_->changed.notify_all();
}

void StubMemoryTopic::Assign(const std::string& sink,
                             const std::vector<std::vector<int32_t>>& partitions) {
  Lock lock(core_->mutex);
  Group& group = core_->groups[sink];
  ++group.generation;
  for (size_t i = 0; i < group.members.size(); ++i) {
    group.members[i].partitions = i < partitions.size() ? partitions[i] : std::vector<int32_t>();
  }
  core_->changed.notify_all();
}

void StubMemoryTopic::Rebalance(const std::string& sink) {
  Lock lock(core_->mutex);
  ++core_->groups[sink].generation;
  core_->changed.notify_all();
}

void StubMemoryTopic::Trim(int32_t partition, int64_t begin) {
  Lock lock(core_->mutex);
  Partition& from = core_->partitions.at(partition);
  from.begin = std::clamp(begin, from.begin, from.end);
  while (!from.records.empty() && from.records.front().offset < from.begin) {
    from.records.pop_front();
  }
  core_->changed.notify_all();
}

void StubMemoryTopic::ReplaceLog(std::string log_id) {
  Lock lock(core_->mutex);
  core_->log_id = std::move(log_id);
  core_->partitions.assign(core_->options.partitions, {});
  core_->cache.clear();
  core_->changed.notify_all();
}

std::vector<StubMemoryTopic::StoredRecord> StubMemoryTopic::Records(int32_t partition) const {
  Lock lock(core_->mutex);
  const auto& records = core_->partitions.at(partition).records;
  return {records.begin(), records.end()};
}

std::vector<DeadLetter> StubMemoryTopic::DeadLetters(const std::string& sink) const {
  Lock lock(core_->mutex);
  std::vector<DeadLetter> letters;
  const auto it = core_->groups.find(sink);
  if (it == core_->groups.end()) return letters;
  for (const auto& [place, letter] : it->second.dead_letters.letters()) letters.push_back(letter);
  return letters;
}

uint64_t StubMemoryTopic::reads() const {
  std::lock_guard lock(core_->mutex);
  return core_->reads;
}

std::map<std::string, std::string> StubMemoryTopic::State() const {
  Lock lock(core_->mutex);
  return core_->state;
}

}  // namespace tailwater
