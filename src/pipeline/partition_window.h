// What a sink has read of one partition and not yet committed: a window over the topic in which
// records become final in any order and leave in offset order.
//
// A key that its sink puts off gets a lane: it and what follows of the same key waits, other keys
// go on. Not thread-safe. The window keeps the read batches alive that its records point into.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "tailwater/change.h"
#include "topic/topic.h"
#include "util/backoff.h"
#include "util/clock.h"

namespace tailwater {

struct WindowRecord {
  const Change* change = nullptr;
  std::string_view key;
  std::string_view value;
  int64_t offset = 0;
  bool final = false;
};

class PartitionWindow {
 public:
  PartitionWindow(int32_t partition, int64_t start)
      : partition_(partition), read_offset_(start), committed_(start) {}

  int32_t partition() const { return partition_; }
  int64_t read_offset() const { return read_offset_; }  // where the next read starts
  int64_t committed() const { return committed_; }
  void set_committed(int64_t offset) { committed_ = offset; }
  // The offset that may be committed: every record before it is final, or was none of ours.
  int64_t passed_offset() const;

  // Takes over a batch that was read at read_offset(), up to `next_offset`. `selected` holds
  // indexes of its records.
  void Add(std::shared_ptr<const ReadBatch> batch, std::span<const Change> changes,
           std::span<const uint32_t> selected, int64_t next_offset);

  // The record at read_offset() could not be judged when it was read last. It is read again once
  // all that was read before it is committed.
  bool blocked() const { return blocked_; }
  void set_blocked(bool blocked) { blocked_ = blocked; }

  // Not yet dropped, in offset order.
  std::span<WindowRecord> records() { return std::span<WindowRecord>(records_).subspan(head_); }
  size_t size() const { return records_.size() - head_; }
  size_t bytes() const { return bytes_; }
  // First record without a final verdict; null if all have one.
  const WindowRecord* first_open() const;

  // Drops the records below committed(), calling `dropped` for each.
  template <class F>
  void DropCommitted(F dropped) {
    while (head_ < records_.size() && records_[head_].offset < committed_) {
      dropped(records_[head_]);
      ++head_;
      --chunks_.front().remaining;
      ReleaseChunks();
    }
    Compact();
  }

  struct Lane {
    Backoff backoff;
    Clock::TimePoint not_before;
  };
  std::unordered_map<std::string, Lane>& lanes() { return lanes_; }
  const std::unordered_map<std::string, Lane>& lanes() const { return lanes_; }
  Lane* FindLane(std::string_view key) {
    if (lanes_.empty()) return nullptr;
    const auto lane = lanes_.find(std::string(key));
    return lane == lanes_.end() ? nullptr : &lane->second;
  }

 private:
  struct Chunk {
    std::shared_ptr<const ReadBatch> batch;
    size_t remaining;
  };
  void ReleaseChunks();
  void Compact();

  int32_t partition_;
  int64_t read_offset_;
  int64_t committed_;
  bool blocked_ = false;
  std::vector<WindowRecord> records_;  // from head_ on
  size_t head_ = 0;
  std::deque<Chunk> chunks_;
  size_t bytes_ = 0;
  std::unordered_map<std::string, Lane> lanes_;
};

}  // namespace tailwater
