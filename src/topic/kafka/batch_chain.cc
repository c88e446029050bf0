#include "topic/kafka/batch_chain.h"

#include <algorithm>
#include <utility>

namespace tailwater {
namespace {

// Many batches without a record are small, but not nothing.
constexpr size_t kMaxBatches = 256;

std::shared_ptr<const ReadBatch> Part(std::shared_ptr<const ReadBatch> batch, int64_t offset,
                                      size_t max_bytes) {
  auto part = std::make_shared<ReadBatch>();
  part->partition = batch->partition;
  part->next_offset = batch->next_offset;
  auto record = std::find_if(batch->records.begin(), batch->records.end(),
                             [&](const ReadBatch::Record& each) { return each.offset >= offset; });
  for (; record != batch->records.end(); ++record) {
    const size_t more = record->key.size() + record->value.size();
    if (!part->records.empty() && part->bytes + more > max_bytes) {
      part->next_offset = part->records.back().offset + 1;
      break;
    }
    part->bytes += more;
    part->records.push_back(*record);
  }
  part->memory = std::move(batch);
  return part;
}

}  // namespace

void BatchChain::Add(std::shared_ptr<const ReadBatch> batch) {
  const int64_t begin = std::exchange(end_, batch->next_offset);
  links_.push_back({begin, std::move(batch)});
  size_t total = bytes();
  while (links_.size() > 1 && (total > capacity_bytes_ || links_.size() > kMaxBatches)) {
    total -= std::min(total, links_.front().batch->memory_bytes());
    links_.pop_front();
  }
}

std::shared_ptr<const ReadBatch> BatchChain::Find(int64_t offset, size_t max_bytes) const {
  const auto link = std::find_if(links_.begin(), links_.end(), [&](const Link& each) {
    return offset < each.batch->next_offset;
  });
  if (link == links_.end() || offset < link->begin) return nullptr;
  const ReadBatch& batch = *link->batch;
  const bool whole = batch.records.empty() || offset <= batch.records.front().offset;
  const bool fits = batch.bytes <= max_bytes || batch.records.size() <= 1;
  return whole && fits ? link->batch : Part(link->batch, offset, max_bytes);
}

size_t BatchChain::bytes() const {
  size_t total = 0;
  for (const Link& link : links_) total += link.batch->memory_bytes();
  return total;
}

}  // namespace tailwater
