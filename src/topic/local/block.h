// A block: consecutive records of the log as one compressed row of changes.db.
//
// Form (kBlockEncoding): varint record count, varint size and varint compressed size of the
// headers, the headers, the same for the payload, then XXH3-64 of all that, little-endian. Headers
// hold, per record, varint key size, varint value size, and the zigzag varint of the timestamp's
// distance to the one before; the payload is key and value of each record, end to end. Both parts
// are LZ4 blocks: it costs half the CPU of zstd level 1, and the log lives for days, not for years.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/result.h"
#include "topic/topic.h"

namespace tailwater::local {

inline constexpr int64_t kBlockEncoding = 1;

// Collects records and compresses them; reused for block after block. Not thread-safe.
class BlockBuilder {
 public:
  void Add(std::string_view key_and_value, size_t key_size, int64_t timestamp_micros);
  size_t count() const { return count_; }
  size_t raw_bytes() const { return payload_.size() + headers_.size(); }
  // Of the timestamps.
  int64_t first_micros() const { return first_micros_; }
  int64_t last_micros() const { return last_micros_; }  // the latest, not that of the last record
  // The block; the view lives until the next call.
  std::string_view Finish();
  // Forgets the records; memory beyond `keep_bytes` is given back.
  void Clear(size_t keep_bytes);

 private:
  static char* WritePart(std::string_view raw, char* out);
  size_t count_ = 0;
  int64_t first_micros_ = 0;
  int64_t last_micros_ = 0;
  int64_t previous_micros_ = 0;
  std::string headers_;
  std::string payload_;
  std::unique_ptr<char[]> block_;
  size_t block_capacity_ = 0;
};

// Appends the records of a block to `records`, with views into memory that is added to `memory`.
// kFatal "topic_corrupt".
Status ReadBlock(std::string_view block, int64_t base_offset,
                 std::vector<ReadBatch::Record>& records,
                 std::vector<std::unique_ptr<char[]>>& memory);

}  // namespace tailwater::local
