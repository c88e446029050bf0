// What capture hands to the topic at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "util/mutex.h"

namespace tailwater {

class BatchPool;

// Records and state to be stored together: all or nothing. It owns one growing buffer of bytes,
// which goes back to its pool, if it has one, when the batch ends.
class AppendBatch {
 public:
  struct Record {
    int32_t partition = 0;
    bool fence =
        false;  // sweep marker for partition 0: the topic appends (AppendFence) the offsets of the
                // records that stand directly before it in this batch and bear `fenced`
    bool fenced = false;  // a copy of a sweep marker for another partition
    uint32_t key_size = 0;
    uint32_t value_size = 0;
    size_t start = 0;              // of the key in the buffer; the value follows it
    int64_t timestamp_micros = 0;  // source time, or the time of publication
  };

  AppendBatch() = default;
  explicit AppendBatch(std::shared_ptr<BatchPool> pool);
  AppendBatch(AppendBatch&&) noexcept = default;
  AppendBatch& operator=(AppendBatch&& other) noexcept;
  ~AppendBatch();

  // Write key then value at the end of buffer(), then call Add() with the size that the buffer had
  // before.
  std::string& buffer() { return buffer_; }
  void Add(size_t start, size_t key_size, int32_t partition, int64_t timestamp_micros,
           bool fence = false, bool fenced = false) {
    records_.push_back({partition, fence, fenced, static_cast<uint32_t>(key_size),
                        static_cast<uint32_t>(buffer_.size() - start - key_size), start,
                        timestamp_micros});
  }
  // Forgets what was added since the batch had so many records and bytes in its buffer.
  void Truncate(size_t records, size_t buffer_bytes) {
    records_.resize(records);
    buffer_.resize(buffer_bytes);
  }
  std::span<const Record> records() const { return records_; }
  std::string_view key(const Record& record) const {
    return std::string_view(buffer_).substr(record.start, record.key_size);
  }
  std::string_view value(const Record& record) const {
    return std::string_view(buffer_).substr(record.start + record.key_size, record.value_size);
  }
  // Key-value pairs of capture's state (checkpoints); an empty value removes the key.
  std::map<std::string, std::string> state;
  size_t bytes() const { return buffer_.size() + records_.size() * sizeof(Record); }

 private:
  friend class BatchPool;
  std::shared_ptr<BatchPool> pool_;
  std::string buffer_;
  std::vector<Record> records_;
};

// Memory of batches that ended, for those that begin: without it each batch would fault its pages
// in anew. Thread-safe.
class BatchPool {
 public:
  // Keeps at most so many bytes; what is more is given back to the system.
  explicit BatchPool(size_t bytes) : capacity_bytes_(bytes) {}

 private:
  friend class AppendBatch;
  void Take(AppendBatch& batch) TW_EXCLUDES(mutex_);
  void Give(AppendBatch& batch) TW_EXCLUDES(mutex_);

  struct Memory {
    std::string buffer;
    std::vector<AppendBatch::Record> records;
  };
  const size_t capacity_bytes_;
  Mutex mutex_;
  size_t bytes_ TW_GUARDED_BY(mutex_) = 0;
  std::vector<Memory> free_ TW_GUARDED_BY(mutex_);
};

}  // namespace tailwater
