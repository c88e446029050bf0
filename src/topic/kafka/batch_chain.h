// The last batches read of one partition, each beginning where the one before it ends: what sinks
// that are close behind each other share.
//
// Pure and not thread-safe. Bounded in bytes, decoded changes included as far as they are decoded
// when a batch is added; the newest batch always stays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "topic/topic.h"

namespace tailwater {

class BatchChain {
 public:
  BatchChain(int64_t begin, size_t capacity_bytes) : end_(begin), capacity_bytes_(capacity_bytes) {}

  // `batch` begins at end(), and moves it.
  void Add(std::shared_ptr<const ReadBatch> batch);
  // What follows from `offset` on, at most about max_bytes but at least a record if there is any:
  // the batch as it was added, or, where it begins in front of the offset or is too large, a part
  // of it. Null: nothing is held of it.
  std::shared_ptr<const ReadBatch> Find(int64_t offset, size_t max_bytes) const;

  int64_t begin() const { return links_.empty() ? end_ : links_.front().begin; }
  int64_t end() const { return end_; }
  // Whether a reader at `offset` can go on here.
  bool Covers(int64_t offset) const { return offset >= begin() && offset <= end_; }
  size_t bytes() const;

 private:
  struct Link {
    int64_t begin = 0;
    std::shared_ptr<const ReadBatch> batch;
  };
  std::deque<Link> links_;  // oldest first
  int64_t end_;
  size_t capacity_bytes_;
};

}  // namespace tailwater
