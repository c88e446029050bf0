// What a sink has read of one partition and not yet committed: a window over the topic in which
// records become final in any order and leave in offset order.
//
// Each record is handed out once, by next() and Take(); who took it (a batch, a lane) brings it to
// its end. Addresses of records are stable until they are dropped. No call looks at more than the
// records that it changes. Not thread-safe. The window keeps the read batches alive that its
// records point into.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string_view>

#include "tailwater/change.h"
#include "topic/topic.h"

namespace tailwater {

class PartitionWindow;

struct WindowRecord {
  PartitionWindow* window = nullptr;
  const Change* change = nullptr;
  std::string_view key;
  std::string_view value;
  int64_t offset = 0;
  bool final = false;
  WindowRecord* next_of_key = nullptr;  // in its lane
};

class PartitionWindow {
 public:
  PartitionWindow(int32_t partition, int64_t start)
      : partition_(partition), read_offset_(start), committed_(start) {}
  PartitionWindow(const PartitionWindow&) = delete;  // records point back
  PartitionWindow& operator=(const PartitionWindow&) = delete;

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

  size_t size() const { return records_.size(); }  // not yet dropped
  size_t open() const { return open_; }            // of these, without a final verdict
  size_t bytes() const { return bytes_; }                // as read
  size_t memory_bytes() const { return memory_bytes_; }  // decoded as well

  // The first record that nobody has taken; null if there is none.
  WindowRecord* next() { return next_ < records_.size() ? &records_[next_] : nullptr; }
  void Take() { ++next_; }
  void Finish(WindowRecord& record);
  // First record without a final verdict; null if all have one.
  const WindowRecord* first_open() const;
  // A transaction was rolled back: nothing is final or taken.
  void Reopen();

  // Drops the records below committed(), calling `dropped` for each.
  template <class F>
  void DropCommitted(F dropped) {
    while (!records_.empty() && records_.front().offset < committed_) {
      dropped(records_.front());
      DropFront();
    }
  }

 private:
  struct Chunk {
    std::shared_ptr<const ReadBatch> batch;
    size_t remaining;
    size_t memory_bytes;
  };
  void DropFront();

  int32_t partition_;
  int64_t read_offset_;
  int64_t committed_;
  bool blocked_ = false;
  std::deque<WindowRecord> records_;
  std::deque<Chunk> chunks_;
  size_t next_ = 0;                // index of the first that nobody has taken
  mutable size_t first_open_ = 0;  // all before this index are final
  size_t open_ = 0;
  size_t bytes_ = 0;
  size_t memory_bytes_ = 0;
};

}  // namespace tailwater
