#include "topic/kafka/writer.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "codec/codec.h"
#include "support/text.h"
#include "topic/kafka/ends.h"
#include "topic/kafka/head.h"
#include "topic/kafka/state.h"
#include "util/clock.h"
#include "util/crash_point.h"
#include "util/thread_name.h"

namespace tailwater {
namespace {

using SteadyClock = std::chrono::steady_clock;

// One transaction takes no more than this, but one batch.
constexpr size_t kGroupBytes = 8 << 20;
constexpr int32_t kStatePartition = 0;

// What the Kafka client says, in the topic's words.
Error TopicError(Error error, const KafkaSettings& settings) {
  if (error.code == "kafka_fenced") return LeaseLost(settings);
  if (error.code == "kafka_record_too_large") {
    return Error{Disposition::kNeedsOperator, "topic_record_too_large",
                 fmt::format("topic {}: {}", settings.topic, error.message)};
  }
  if (error.code == "kafka_offset_out_of_range") error.disposition = Disposition::kRetry;
  return std::move(error).Within(fmt::format("topic {}", settings.topic));
}

}  // namespace

KafkaWriter::KafkaWriter(const KafkaSettings& settings, TopicLayout layout,
                         std::unique_ptr<CaptureLease> lease)
    : settings_(settings), layout_(layout), lease_(std::move(lease)) {}

Result<std::unique_ptr<KafkaWriter>> KafkaWriter::Open(
    const KafkaSettings& settings, const std::stop_token& stop,
    const std::function<void(std::string holder)>& standby, CaptureLease::Contested contested) {
  TopicLayout layout;
  {
    TW_ASSIGN_OR_RETURN(const auto admin,
                        kafka::Admin::Create(settings.client, settings.request_timeout));
    TW_ASSIGN_OR_RETURN(layout, SetUpTopics(*admin, settings));
  }
  TW_ASSIGN_OR_RETURN(auto lease,
                      CaptureLease::Wait(settings, stop, standby, std::move(contested)));
  std::unique_ptr<KafkaWriter> writer(new KafkaWriter(settings, layout, std::move(lease)));
  {
    MutexLock lock(writer->producer_mutex_);
    if (Status status = writer->TakeOver(stop); !status) {
      writer->producer_.reset();
      return TopicError(std::move(status).error(), settings);
    }
  }
  writer->thread_ = std::jthread([raw = writer.get()](std::stop_token stop) { raw->Run(stop); });
  return writer;
}

KafkaWriter::~KafkaWriter() {
  if (thread_.joinable()) {
    thread_.request_stop();
    {
      MutexLock lock(queue_mutex_);
      changed_.NotifyAll();
    }
    thread_.join();
  }
  MutexLock lock(producer_mutex_);
  producer_.reset();
}

Status KafkaWriter::TakeOver(const std::stop_token& stop) {
  producer_.reset();
  fences_.clear();
  kafka::ProducerOptions options;
  options.client = settings_.client;
  options.transactional_id = settings_.CaptureTransactionalId();
  options.compression = settings_.compression;
  options.transaction_timeout = settings_.transaction_timeout;
  options.queue_bytes = std::max<size_t>(kGroupBytes, settings_.queue_bytes);
  // State and a sweep marker with its fence are checked by the topic itself.
  options.max_record_bytes = settings_.max_record_bytes + (32 << 10);
  TW_ASSIGN_OR_RETURN(producer_, kafka::Producer::Create(std::move(options)));
  // Only who holds the lease may fence; whoever held it before is fenced by this.
  TW_TRY(lease_->Confirm());
  TW_TRY(producer_->Init(stop, settings_.request_timeout));
  TW_TRY(producer_->Prepare(settings_.topic, settings_.request_timeout));
  TW_TRY(producer_->Prepare(settings_.StateTopic(), settings_.request_timeout));
  TW_CRASH_POINT("topic_taken_over");
  TW_ASSIGN_OR_RETURN(auto stored, ReadState(settings_, stop));
  TW_ASSIGN_OR_RETURN(ends_, QueryEnds(settings_, layout_.partitions));
  return CheckHead(std::move(stored));
}

Status KafkaWriter::CheckHead(std::map<std::string, std::string> stored) {
  const auto head = stored.find(std::string(kTopicHeadKey));
  if (head == stored.end()) {
    const bool empty =
        std::all_of(ends_.begin(), ends_.end(), [](const auto& end) { return end.second == 0; });
    if (!empty || !log_id_.empty()) return StateLost(settings_);
    state_ = std::move(stored);
    return WriteHead();
  }
  TW_ASSIGN_OR_RETURN(const TopicHead read, ParseTopicHead(head->second, settings_));
  TW_TRY(CheckTopicHead(read, layout_.partitions, settings_));
  if (!log_id_.empty() && log_id_ != read.log_id) {
    return Error{Disposition::kGap, "topic_replaced",
                 fmt::format("topic {} was deleted and made anew by another process (log {} became "
                             "{}); start again, with a snapshot",
                             settings_.topic, log_id_, read.log_id)};
  }
  log_id_ = read.log_id;
  stored.erase(head);
  state_ = std::move(stored);
  return {};
}

Status KafkaWriter::WriteHead() {
  const TopicHead head = TopicHead::Make(settings_, layout_.partitions, SystemClock().UnixMicros());
  const std::string value = head.Encode();
  // Before the first record: a topic that has one always has a head, too.
  Status stored = producer_->Begin();
  if (stored) {
    kafka::OutgoingRecord record;
    record.partition = kStatePartition;
    record.key = kTopicHeadKey;
    record.value = value;
    stored = producer_->Send(settings_.StateTopic(), record);
  }
  if (stored) stored = producer_->Commit();
  if (!stored) {
    producer_.reset();  // it may still point to `value`
    return stored;
  }
  log_id_ = head.log_id;
  return {};
}

Result<std::map<std::string, std::string>> KafkaWriter::LoadState() {
  {
    MutexLock lock(queue_mutex_);
    if (failed_) return *failed_;
  }
  MutexLock lock(producer_mutex_);
  return state_;
}

Result<Offsets> KafkaWriter::Ends() {
  auto ends = QueryEnds(settings_, layout_.partitions);
  if (!ends) return TopicError(std::move(ends).error(), settings_);
  return ends;
}

void KafkaWriter::Append(AppendBatch batch, AppendDone done) {
  Item item;
  item.bytes = batch.bytes();
  item.too_large = std::any_of(
      batch.records().begin(), batch.records().end(), [&](const AppendBatch::Record& record) {
        return size_t{record.key_size} + record.value_size > layout_.max_record_bytes;
      });
  item.batch = std::move(batch);
  item.done = std::move(done);
  MutexLock lock(queue_mutex_);
  queued_bytes_ += item.bytes;
  queue_.push_back(std::move(item));
  if (queue_.size() == 1) changed_.NotifyAll();
}

bool KafkaWriter::WaitForRoom(std::chrono::milliseconds timeout) {
  const auto deadline = SteadyClock::now() + timeout;
  MutexLock lock(queue_mutex_);
  while (queued_bytes_ > settings_.queue_bytes) {
    if (SteadyClock::now() >= deadline) return false;
    changed_.WaitUntil(queue_mutex_, deadline);
  }
  return true;
}

size_t KafkaWriter::queued_bytes() const {
  MutexLock lock(queue_mutex_);
  return queued_bytes_;
}

void KafkaWriter::Run(const std::stop_token& stop) {
  NameThread("tw-append");
  while (true) {
    std::vector<Item> group = TakeGroup(stop);
    if (group.empty()) return;  // stopped
    Offsets ends;
    const Status status = StoreGroup(group, ends);
    Finish(std::move(group), status, ends);
  }
}

std::vector<KafkaWriter::Item> KafkaWriter::TakeGroup(const std::stop_token& stop) {
  std::vector<Item> group;
  MutexLock lock(queue_mutex_);
  while (queue_.empty()) {
    if (stop.stop_requested()) return group;
    changed_.Wait(queue_mutex_, stop, std::chrono::hours(1));
  }
  size_t bytes = 0;
  while (!queue_.empty() && (group.empty() || bytes + queue_.front().bytes <= kGroupBytes)) {
    // It fails alone: what came before it is stored.
    if (queue_.front().too_large && !group.empty()) break;
    bytes += queue_.front().bytes;
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
    if (group.back().too_large) break;
  }
  return group;
}

void KafkaWriter::Finish(std::vector<Item> group, const Status& status, const Offsets& ends) {
  for (Item& item : group) {
    AppendDone done = std::move(item.done);
    const size_t bytes = item.bytes;
    item = {};
    {
      MutexLock lock(queue_mutex_);
      queued_bytes_ -= bytes;
      changed_.NotifyAll();
    }
    if (status) {
      // All of the group became durable at once.
      done(AppendReceipt{ends});
    } else {
      done(status.error());
    }
  }
}

Error KafkaWriter::Failed(Error error) {
  // Before anything that it may still point to.
  producer_.reset();
  fences_.clear();
  if (error.code == "kafka_fenced" || error.code == "topic_lease_lost") lease_->Lose();
  error = lease_->lost().stop_requested() ? LeaseLost(settings_)
                                          : TopicError(std::move(error), settings_);
  MutexLock lock(queue_mutex_);
  failed_ = error;
  return error;
}

Status KafkaWriter::StoreGroup(const std::vector<Item>& group, Offsets& ends) {
  {
    MutexLock lock(queue_mutex_);
    if (failed_) return *failed_;
  }
  MutexLock lock(producer_mutex_);
  if (lease_->lost().stop_requested()) return Failed(LeaseLost(settings_));
  std::map<std::string_view, std::string_view> state;  // the last word on each key
  for (const Item& item : group) {
    for (const auto& [key, value] : item.batch.state) state[key] = value;
  }
  Status status;
  try {
    status = SendGroup(group);
    if (status) status = SendState(state);
    TW_CRASH_POINT("topic_before_commit");
    if (status) status = producer_->Commit();
  } catch (const std::exception& exception) {
    status = Error{Disposition::kRetry, "topic_out_of_memory", exception.what()};
  }
  if (!status) return Failed(std::move(status).error());
  TW_CRASH_POINT("topic_committed");
  for (const auto& [key, value] : state) {
    if (value.empty()) {
      state_.erase(std::string(key));
    } else {
      state_[std::string(key)] = std::string(value);
    }
  }
  for (const auto& [partition, offset] : producer_->delivered(settings_.topic)) {
    ends_[partition] = offset + 1;
  }
  fences_.clear();
  ends = ends_;
  return {};
}

Status KafkaWriter::SendGroup(const std::vector<Item>& group) {
  TW_TRY(producer_->Begin());
  for (const Item& item : group) {
    if (item.too_large) {
      return Error{Disposition::kNeedsOperator, "topic_record_too_large",
                   fmt::format("a record is larger than the topic takes ({} bytes); raise "
                               "max_record_size under topic, and the topic's max.message.bytes",
                               layout_.max_record_bytes)};
    }
    const auto records = item.batch.records();
    for (size_t i = 0; i < records.size(); ++i) {
      if (records[i].partition < 0 || records[i].partition >= layout_.partitions) {
        return Error{Disposition::kFatal, "topic_no_such_partition",
                     fmt::format("a record is for partition {} of {}; report this",
                                 records[i].partition, layout_.partitions)};
      }
      TW_TRY(records[i].fence ? SendFence(item.batch, i) : SendRecord(item.batch, records[i]));
    }
  }
  return {};
}

Status KafkaWriter::SendRecord(const AppendBatch& batch, const AppendBatch::Record& record) {
  kafka::OutgoingRecord out;
  out.partition = record.partition;
  out.key = batch.key(record);
  out.value = batch.value(record);
  out.headers = headers_.Read(out.value);
  return producer_->Send(settings_.topic, out);
}

// The copies for other partitions were sent just before; where they lie is known once they are
// stored.
Status KafkaWriter::SendFence(const AppendBatch& batch, size_t index) {
  TW_TRY(producer_->Flush());
  const std::map<int32_t, int64_t>& delivered = producer_->delivered(settings_.topic);
  const auto records = batch.records();
  size_t first = index;
  while (first > 0 && records[first - 1].fenced) --first;
  std::string& value = fences_.emplace_back(batch.value(records[index]));
  for (size_t i = first; i < index; ++i) {
    AppendFence({records[i].partition, delivered.at(records[i].partition)}, value);
  }
  kafka::OutgoingRecord out;
  out.partition = records[index].partition;
  out.key = batch.key(records[index]);
  out.value = value;
  out.headers = headers_.Read(out.value);
  return producer_->Send(settings_.topic, out);
}

Status KafkaWriter::SendState(const std::map<std::string_view, std::string_view>& state) {
  for (const auto& [key, value] : state) {
    if (key == kTopicHeadKey) {
      return Error{Disposition::kFatal, "topic_reserved_name",
                   fmt::format("state under the key '{}' would replace the topic's head; report "
                               "this",
                               key)};
    }
    kafka::OutgoingRecord out;
    out.partition = kStatePartition;
    out.key = key;
    if (!value.empty()) out.value = value;  // else a tombstone
    TW_TRY(producer_->Send(settings_.StateTopic(), out));
  }
  return {};
}

Status KafkaWriter::Recover() {
  {
    MutexLock lock(queue_mutex_);
    if (!queue_.empty()) {
      return Error{Disposition::kRetry, "topic_busy",
                   "batches are still queued; it is tried again when they are answered"};
    }
    if (!failed_) return {};
  }
  if (lease_->lost().stop_requested()) return LeaseLost(settings_);
  {
    MutexLock lock(producer_mutex_);
    if (Status status = TakeOver(lease_->lost()); !status) {
      Error error = std::move(status).error();
      producer_.reset();
      if (error.code == "kafka_fenced") lease_->Lose();
      if (lease_->lost().stop_requested()) return LeaseLost(settings_);
      return TopicError(std::move(error), settings_);
    }
  }
  MutexLock lock(queue_mutex_);
  failed_.reset();
  changed_.NotifyAll();
  return {};
}

}  // namespace tailwater
