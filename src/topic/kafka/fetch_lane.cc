#include "topic/kafka/fetch_lane.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace tailwater {
namespace {

constexpr size_t kFetchBytes = 64 << 10;

}  // namespace

Result<std::unique_ptr<FetchLane>> FetchLane::Open(Options options) {
  std::unique_ptr<FetchLane> lane(new FetchLane(std::move(options)));
  kafka::ConsumerOptions consumer;
  consumer.client = lane->options_.client;
  consumer.topic = lane->options_.topic;
  // A fetch is compressed, and what it holds is queued whole: several times as much, and each
  // record costs librdkafka some 500 bytes more.
  consumer.queue_bytes = lane->options_.partition_bytes / 2;
  consumer.fetch_bytes = std::max(kFetchBytes, lane->options_.partition_bytes / 8);
  consumer.on_ready = lane->options_.on_ready;
  TW_ASSIGN_OR_RETURN(lane->consumer_, kafka::Consumer::Create(std::move(consumer)));
  return lane;
}

bool FetchLane::Covers(int32_t partition, int64_t offset) const {
  const auto stream = streams_.find(partition);
  return stream != streams_.end() && stream->second.chain.Covers(offset);
}

Status FetchLane::Start(int32_t partition, int64_t offset, TimePoint now) {
  TW_TRY(consumer_->Start(partition, offset));
  streams_.insert_or_assign(
      partition, Stream{BatchChain(offset, options_.partition_bytes), now, std::nullopt});
  return {};
}

bool FetchLane::Look(int32_t partition, int64_t offset, size_t max_bytes, TimePoint now) {
  Stream& stream = streams_.at(partition);
  stream.last_use = now;
  if (offset == stream.chain.end() && !stream.error) Take(partition, stream, max_bytes);
  return offset < stream.chain.end() || stream.error;
}

Result<std::shared_ptr<const ReadBatch>> FetchLane::Read(int32_t partition, int64_t offset,
                                                         size_t max_bytes, TimePoint now) {
  if (!Look(partition, offset, max_bytes, now)) return std::shared_ptr<const ReadBatch>();
  Stream& stream = streams_.at(partition);
  if (auto batch = stream.chain.Find(offset, max_bytes)) return batch;
  Error error = *std::move(stream.error);
  Stop(partition);
  return error;
}

void FetchLane::Take(int32_t partition, Stream& stream, size_t max_bytes) {
  kafka::Taken taken = consumer_->Take(partition, std::min(max_bytes, options_.partition_bytes));
  stream.error = std::move(taken.error);
  if (taken.next_offset <= stream.chain.end()) return;
  auto batch = std::make_shared<ReadBatch>();
  batch->partition = partition;
  batch->next_offset = taken.next_offset;
  batch->bytes = taken.bytes;
  batch->memory = std::move(taken.memory);
  batch->records.reserve(taken.records.size());
  for (const kafka::IncomingRecord& record : taken.records) {
    batch->records.push_back(
        {record.offset, record.timestamp_millis * 1000, record.key, record.value});
  }
  stream.chain.Add(std::move(batch));
}

void FetchLane::StopIdle(TimePoint since) {
  std::vector<int32_t> idle;
  for (const auto& [partition, stream] : streams_) {
    if (stream.last_use < since) idle.push_back(partition);
  }
  for (const int32_t partition : idle) Stop(partition);
}

void FetchLane::Stop(int32_t partition) {
  consumer_->Stop(partition);
  streams_.erase(partition);
}

}  // namespace tailwater
