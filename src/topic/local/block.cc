#include "topic/local/block.h"

#include <lz4.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "support/text.h"

namespace tailwater::local {

namespace {

constexpr int kAcceleration = 4;  // half the CPU of 1 for 4 % more bytes

char* WriteVarint(uint64_t value, char* out) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}

uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}

int64_t UnZigZag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

bool TakeVarint(std::string_view& in, uint64_t& value) {
  value = 0;
  for (size_t i = 0; i < in.size() && i < 10; ++i) {
    const auto byte = static_cast<uint8_t>(in[i]);
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      in.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

bool TakePart(std::string_view& in, std::unique_ptr<char[]>& raw, size_t& raw_size) {
  uint64_t size = 0;
  uint64_t compressed_size = 0;
  if (!TakeVarint(in, size) || !TakeVarint(in, compressed_size)) return false;
  if (compressed_size > in.size() || size > LZ4_MAX_INPUT_SIZE) return false;
  raw.reset(new char[size + 1]);
  raw_size = size;
  const int done = LZ4_decompress_safe(in.data(), raw.get(), static_cast<int>(compressed_size),
                                       static_cast<int>(size));
  in.remove_prefix(compressed_size);
  return done >= 0 && static_cast<uint64_t>(done) == size;
}

Error Corrupt(int64_t base_offset, std::string_view what) {
  return Error{Disposition::kFatal, "topic_corrupt",
               fmt::format("the block of offset {} {}; the disk lost data: restore the topic's "
                           "folder, or destroy it and start over",
                           base_offset, what)};
}

}  // namespace

void BlockBuilder::Add(std::string_view key_and_value, size_t key_size, int64_t timestamp_micros) {
  if (count_ == 0) {
    first_micros_ = last_micros_ = timestamp_micros;
    previous_micros_ = 0;
  }
  last_micros_ = std::max(last_micros_, timestamp_micros);
  char header[30];
  char* end = WriteVarint(key_size, header);
  end = WriteVarint(key_and_value.size() - key_size, end);
  // Unsigned: a database may have commit times so far apart that their distance wraps around.
  const uint64_t distance =
      static_cast<uint64_t>(timestamp_micros) - static_cast<uint64_t>(previous_micros_);
  end = WriteVarint(ZigZag(static_cast<int64_t>(distance)), end);
  headers_.append(header, end);
  previous_micros_ = timestamp_micros;
  payload_.append(key_and_value);
  ++count_;
}

char* BlockBuilder::WritePart(std::string_view raw, char* out) {
  out = WriteVarint(raw.size(), out);
  // The compressed size is only known afterwards: it goes into five fixed bytes of varint.
  char* const bytes = out + 5;
  const int raw_size = static_cast<int>(raw.size());
  const int size =
      LZ4_compress_fast(raw.data(), bytes, raw_size, LZ4_compressBound(raw_size), kAcceleration);
  for (int i = 0; i < 5; ++i) {
    const auto bits = static_cast<uint8_t>((static_cast<uint64_t>(size) >> (7 * i)) & 0x7f);
    out[i] = static_cast<char>(i < 4 ? bits | 0x80 : bits);
  }
  return bytes + size;
}

std::string_view BlockBuilder::Finish() {
  const size_t bound = 64 + LZ4_compressBound(static_cast<int>(headers_.size())) +
                       LZ4_compressBound(static_cast<int>(payload_.size()));
  if (block_capacity_ < bound) {
    block_.reset(new char[bound]);
    block_capacity_ = bound;
  }
  char* end = WriteVarint(count_, block_.get());
  end = WritePart(headers_, end);
  end = WritePart(payload_, end);
  const uint64_t hash = XXH3_64bits(block_.get(), end - block_.get());
  for (int i = 0; i < 8; ++i) *end++ = static_cast<char>(hash >> (8 * i));
  return {block_.get(), static_cast<size_t>(end - block_.get())};
}

void BlockBuilder::Clear(size_t keep_bytes) {
  if (block_capacity_ > keep_bytes) {
    block_.reset();
    block_capacity_ = 0;
  }
  const auto clear = [keep_bytes](std::string& buffer) {
    if (buffer.capacity() > keep_bytes) {
      std::string().swap(buffer);
    } else {
      buffer.clear();
    }
  };
  clear(headers_);
  clear(payload_);
  count_ = 0;
}

Status ReadBlock(std::string_view block, int64_t base_offset,
                 std::vector<ReadBatch::Record>& records,
                 std::vector<std::unique_ptr<char[]>>& memory) {
  if (block.size() < 8) return Corrupt(base_offset, "is cut short");
  uint64_t hash = 0;
  for (int i = 0; i < 8; ++i) {
    hash |= static_cast<uint64_t>(static_cast<uint8_t>(block[block.size() - 8 + i])) << (8 * i);
  }
  block.remove_suffix(8);
  if (XXH3_64bits(block.data(), block.size()) != hash) {
    return Corrupt(base_offset, "has a wrong checksum");
  }
  uint64_t count = 0;
  std::unique_ptr<char[]> headers;
  std::unique_ptr<char[]> payload;
  size_t headers_size = 0;
  size_t payload_size = 0;
  if (!TakeVarint(block, count) || !TakePart(block, headers, headers_size) ||
      !TakePart(block, payload, payload_size) || count > headers_size) {
    return Corrupt(base_offset, "cannot be decompressed");
  }
  std::string_view header(headers.get(), headers_size);
  std::string_view bytes(payload.get(), payload_size);
  records.reserve(records.size() + count);
  uint64_t timestamp_micros = 0;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t key_size = 0;
    uint64_t value_size = 0;
    uint64_t distance = 0;
    if (!TakeVarint(header, key_size) || !TakeVarint(header, value_size) ||
        !TakeVarint(header, distance) || key_size > bytes.size() ||
        value_size > bytes.size() - key_size) {
      return Corrupt(base_offset, "holds a malformed record");
    }
    timestamp_micros += static_cast<uint64_t>(UnZigZag(distance));
    records.push_back({base_offset + static_cast<int64_t>(i),
                       static_cast<int64_t>(timestamp_micros), bytes.substr(0, key_size),
                       bytes.substr(key_size, value_size)});
    bytes.remove_prefix(key_size + value_size);
  }
  if (!bytes.empty() || !header.empty()) return Corrupt(base_offset, "holds more than its records");
  memory.push_back(std::move(payload));
  return {};
}

}  // namespace tailwater::local
