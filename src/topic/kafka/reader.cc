#include "topic/kafka/reader.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "support/text.h"
#include "topic/kafka/head.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;

// Held of all partitions in a lane, and of each at least.
constexpr size_t kLaneBytes = 4 << 20;
constexpr size_t kPartitionBytes = 128 << 10;
constexpr std::chrono::seconds kIdle{5};
constexpr int64_t kLittle = 16;
// Looked at even if nothing rang: what librdkafka forgot to tell costs no more than this.
constexpr std::chrono::milliseconds kLookAnyway{1000};
// Of a question to the cluster; those of status come often.
constexpr std::chrono::milliseconds kPatience{10'000};

size_t PartitionBytes(int32_t partitions) {
  return std::max(kPartitionBytes, kLaneBytes / static_cast<size_t>(std::max(partitions, 1)));
}

Error NotCreated(const KafkaSettings& settings) {
  return Error{Disposition::kRetry, "topic_not_created",
               fmt::format("there is no log in {} yet; it appears once capture runs",
                           settings.StateTopic())};
}

}  // namespace

Result<TopicHead> FindTopicHead(const KafkaSettings& settings) {
  std::optional<std::string> head;
  const Status read = kafka::ReadToEnd(
      settings.client, settings.StateTopic(), 0, {}, settings.request_timeout,
      [&](const kafka::IncomingRecord& record) -> Status {
        if (record.key != kTopicHeadKey) return {};
        head = std::string(record.value);
        return Error{Disposition::kCancelled, "stopped", "found"};  // written once: read no further
      });
  if (head) return ParseTopicHead(*head, settings);
  if (!read && read.error().code == "kafka_topic_missing") return NotCreated(settings);
  TW_TRY(read);
  return NotCreated(settings);
}

KafkaReader::KafkaReader(KafkaSettings settings, std::string log_id, int32_t partitions,
                         std::unique_ptr<kafka::Consumer> asker)
    : settings_(std::move(settings)),
      log_id_(std::move(log_id)),
      partitions_(partitions),
      all_(static_cast<size_t>(partitions)),
      asker_(std::move(asker)),
      known_ranges_([this] { return Ranges(); }) {
  std::iota(all_.begin(), all_.end(), 0);
}

Result<std::shared_ptr<KafkaReader>> KafkaReader::Open(const KafkaSettings& settings) {
  TW_ASSIGN_OR_RETURN(const TopicHead head, FindTopicHead(settings));
  kafka::ConsumerOptions options;
  options.client = settings.client;
  options.topic = settings.topic;
  TW_ASSIGN_OR_RETURN(auto asker, kafka::Consumer::Create(std::move(options)));
  TW_ASSIGN_OR_RETURN(const int32_t partitions, asker->Partitions(settings.request_timeout));
  TW_TRY(CheckTopicHead(head, partitions, settings));
  return std::shared_ptr<KafkaReader>(
      new KafkaReader(settings, head.log_id, partitions, std::move(asker)));
}

Status KafkaReader::AddLane() {
  TW_ASSIGN_OR_RETURN(auto lane, FetchLane::Open({.client = settings_.client,
                                                  .topic = settings_.topic,
                                                  .partition_bytes = PartitionBytes(partitions_),
                                                  .on_ready = [this] { bell_.Ring(); }}));
  TW_TRY(lane->consumer().Partitions(kPatience));
  MutexLock lock(mutex_);
  lanes_.push_back(std::move(lane));
  return {};
}

Result<std::shared_ptr<const ReadBatch>> KafkaReader::Read(int32_t partition, int64_t offset,
                                                           size_t max_bytes,
                                                           std::chrono::milliseconds timeout,
                                                           std::stop_token stop) {
  const auto deadline = SteadyClock::now() + timeout;
  while (true) {
    const uint64_t sequence = bell_.sequence();
    TW_ASSIGN_OR_RETURN(auto batch, ReadNow(partition, offset, max_bytes));
    const auto now = SteadyClock::now();
    if (batch != nullptr || now >= deadline || stop.stop_requested()) return batch;
    bell_.WaitFor(sequence, std::min(deadline, now + kLookAnyway), stop);
  }
}

bool KafkaReader::WaitForAny(const Offsets& offsets, std::chrono::milliseconds timeout,
                             std::stop_token stop) {
  const auto deadline = SteadyClock::now() + timeout;
  while (true) {
    const uint64_t sequence = bell_.sequence();
    const auto any = LookForAny(offsets);
    if (!any || *any) return true;  // Read() meets the error again
    const auto now = SteadyClock::now();
    if (now >= deadline || stop.stop_requested()) return false;
    bell_.WaitFor(sequence, std::min(deadline, now + kLookAnyway), stop);
  }
}

Result<bool> KafkaReader::LookForAny(const Offsets& offsets) {
  const auto now = SteadyClock::now();
  Lanes idle;  // destroyed last, without the lock
  bool any = false;
  for (auto next = offsets.begin(); next != offsets.end();) {  // all, so that each is fetched
    const auto& [partition, offset] = *next;
    if (partition < 0 || partition >= partitions_) return true;
    {
      MutexLock lock(mutex_);
      if (idle.empty()) idle = TakeIdleLanes(now);
      TW_ASSIGN_OR_RETURN(FetchLane* const lane, LaneAt(partition, offset, now));
      if (lane != nullptr) {
        any |= lane->Look(partition, offset, SIZE_MAX, now) || lane->consumer().Trouble();
        ++next;
        continue;
      }
    }
    TW_TRY(AddLane());
  }
  return any;
}

Result<std::shared_ptr<const ReadBatch>> KafkaReader::ReadNow(int32_t partition, int64_t offset,
                                                              size_t max_bytes) {
  if (partition < 0 || partition >= partitions_) {
    return Error{Disposition::kFatal, "topic_no_such_partition",
                 fmt::format("partition {} was asked for, and {} has {}; report this", partition,
                             settings_.topic, partitions_)};
  }
  const auto now = SteadyClock::now();
  Lanes idle;  // destroyed last, without the lock
  std::optional<Error> error;
  for (bool found = false; !found;) {
    {
      MutexLock lock(mutex_);
      if (idle.empty()) idle = TakeIdleLanes(now);
      TW_ASSIGN_OR_RETURN(FetchLane* const lane, LaneAt(partition, offset, now));
      found = lane != nullptr;
      if (found) {
        auto batch = lane->Read(partition, offset, max_bytes, now);
        if (batch && *batch != nullptr) return batch;
        // Nothing comes, and the brokers may have said why nothing will.
        error = batch ? lane->consumer().Trouble() : std::move(batch).error();
      }
    }
    if (!found) TW_TRY(AddLane());
  }
  if (error) return Named(*std::move(error), partition, offset);
  return std::shared_ptr<const ReadBatch>();
}

Result<FetchLane*> KafkaReader::LaneAt(int32_t partition, int64_t offset,
                                       SteadyClock::time_point now) {
  FetchLane* best = nullptr;
  FetchLane* free = nullptr;
  for (const auto& lane : lanes_) {
    if (!lane->Reads(partition)) {
      if (free == nullptr) free = lane.get();
      continue;
    }
    // A little ahead of it lie markers that it has not passed yet.
    if (const int64_t end = lane->End(partition); offset > end && offset - end <= kLittle) {
      lane->Look(partition, end, SIZE_MAX, now);
    }
    if (lane->Covers(partition, offset) &&
        (best == nullptr || lane->End(partition) > best->End(partition))) {
      best = lane.get();
    }
  }
  if (best == nullptr && free != nullptr) {
    TW_TRY(free->Start(partition, offset, now));
    best = free;
  }
  return best;
}

KafkaReader::Lanes KafkaReader::TakeIdleLanes(SteadyClock::time_point now) {
  Lanes idle;
  if (now - last_look_ < 1s) return idle;
  last_look_ = now;
  for (const auto& lane : lanes_) lane->StopIdle(now - kIdle);
  for (auto lane = lanes_.begin(); lane != lanes_.end();) {
    if ((*lane)->idle()) {
      idle.push_back(std::move(*lane));
      lane = lanes_.erase(lane);
    } else {
      ++lane;
    }
  }
  return idle;
}

Error KafkaReader::Named(Error error, int32_t partition, int64_t offset) {
  if (error.disposition != Disposition::kGap && error.code != "kafka_topic_missing") return error;
  if (Status log = CheckLog(); !log) return std::move(log).error();
  if (error.disposition != Disposition::kGap) return error;
  return Error{Disposition::kGap, "topic_offset_out_of_range",
               fmt::format("offset {} of {}, partition {}, is outside the log: retention dropped "
                           "it, or the log lost its end; rewind or rebuild the sink, and keep the "
                           "topic longer than a sink may stand still",
                           offset, settings_.topic, partition)};
}

Status KafkaReader::CheckLog() {
  auto head = FindTopicHead(settings_);
  if (!head && head.error().code != "topic_not_created") return std::move(head).error();
  if (head && head->log_id == log_id_) return {};
  replaced_ = true;
  return Error{Disposition::kGap, "topic_log_replaced",
               fmt::format("log {} of {} was replaced by {}; open it again", log_id_,
                           settings_.topic, head ? "log " + head->log_id : "nothing yet")};
}

Result<std::map<int32_t, PartitionRange>> KafkaReader::Ranges() {
  TW_ASSIGN_OR_RETURN(const auto watermarks, asker_->QueryWatermarks(all_, kPatience));
  std::map<int32_t, PartitionRange> ranges;
  bool shrunk = false;
  {
    MutexLock lock(mutex_);
    for (const auto& [partition, marks] : watermarks) {
      ranges[partition] = {marks.low, marks.high};
      int64_t& seen = seen_ends_[partition];
      shrunk |= marks.high < seen;
      // Concurrent calls answer in any order; a log that was made anew begins at 0.
      seen = std::max(seen, marks.high);
    }
  }
  if (shrunk) TW_TRY(CheckLog());
  return ranges;
}

Result<int64_t> KafkaReader::OffsetAt(int32_t partition, int64_t time_micros) {
  // Stored in milliseconds: the first one at or after the time.
  const int64_t millis = time_micros <= 0 ? 0 : (time_micros - 1) / 1000 + 1;
  TW_ASSIGN_OR_RETURN(const auto offset, asker_->OffsetAt(partition, millis, kPatience));
  if (offset) return *offset;
  TW_ASSIGN_OR_RETURN(const auto ranges, Ranges());
  const auto range = ranges.find(partition);
  if (range != ranges.end()) return range->second.end;
  return Error{Disposition::kRetry, "topic_partition_missing",
               fmt::format("{} does not know partition {}", settings_.topic, partition)};
}

size_t KafkaReader::lanes() const {
  MutexLock lock(mutex_);
  return lanes_.size();
}

}  // namespace tailwater
