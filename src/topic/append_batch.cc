#include "topic/append_batch.h"

#include <utility>

namespace tailwater {

AppendBatch::AppendBatch(std::shared_ptr<BatchPool> pool) : pool_(std::move(pool)) {
  if (pool_) pool_->Take(*this);
}

AppendBatch& AppendBatch::operator=(AppendBatch&& other) noexcept {
  // Swapped, so that what was here goes back to its pool when `ended` does.
  AppendBatch ended(std::move(other));
  std::swap(state, ended.state);
  std::swap(pool_, ended.pool_);
  std::swap(buffer_, ended.buffer_);
  std::swap(records_, ended.records_);
  return *this;
}

AppendBatch::~AppendBatch() {
  if (pool_) pool_->Give(*this);
}

void BatchPool::Take(AppendBatch& batch) {
  MutexLock lock(mutex_);
  if (free_.empty()) return;
  batch.buffer_ = std::move(free_.back().buffer);
  batch.records_ = std::move(free_.back().records);
  free_.pop_back();
  bytes_ -= batch.buffer_.capacity();
}

void BatchPool::Give(AppendBatch& batch) {
  const size_t bytes = batch.buffer_.capacity();
  MutexLock lock(mutex_);
  if (bytes == 0 || bytes_ + bytes > capacity_bytes_) return;
  bytes_ += bytes;
  batch.buffer_.clear();
  batch.records_.clear();
  free_.push_back({std::move(batch.buffer_), std::move(batch.records_)});
}

}  // namespace tailwater
