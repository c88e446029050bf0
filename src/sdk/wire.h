// Protobuf's wire format in small: varints, zigzag, tags, sizes, and a reader that never leaves its
// bytes. For the SDK's own blocks (schema, array) and the codec; not installed.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tailwater::wire {

static_assert(std::endian::native == std::endian::little, "fixed64 is copied as it is");

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

constexpr uint32_t Tag(uint32_t field, WireType type) { return field << 3 | type; }

constexpr uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
// A sint32 is zigzagged in 32 bits.
constexpr uint32_t ZigZag32(int32_t value) {
  return (static_cast<uint32_t>(value) << 1) ^ static_cast<uint32_t>(value >> 31);
}
constexpr int64_t UnZigZag(uint64_t value) {
  return static_cast<int64_t>((value >> 1) ^ (~(value & 1) + 1));
}

// Bytes of a varint: 1 to 10.
constexpr size_t VarintSize(uint64_t value) {
  return static_cast<size_t>((std::bit_width(value | 1) * 9 + 64) / 64);
}
// A length and the bytes behind it.
constexpr size_t DelimitedSize(size_t bytes) { return VarintSize(bytes) + bytes; }

inline char* PutVarint(char* out, uint64_t value) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}
inline char* PutFixed64(char* out, uint64_t value) {
  std::memcpy(out, &value, sizeof value);
  return out + sizeof value;
}
inline char* PutDelimited(char* out, std::string_view bytes) {
  out = PutVarint(out, bytes.size());
  if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

inline void AppendVarint(std::string& out, uint64_t value) {
  char buffer[10];
  out.append(buffer, static_cast<size_t>(PutVarint(buffer, value) - buffer));
}
inline void AppendDelimited(std::string& out, uint32_t field, std::string_view bytes) {
  AppendVarint(out, Tag(field, kBytes));
  AppendVarint(out, bytes.size());
  out.append(bytes);
}

// One field as it stands on the wire.
struct Field {
  uint32_t number = 0;
  uint32_t type = 0;          // WireType
  uint64_t number_value = 0;  // kVarint, kFixed64, kFixed32
  std::string_view bytes;     // kBytes
};

// Reads the fields of one message. After false: done if ok(), malformed if not.
class Reader {
 public:
  explicit Reader(std::string_view bytes)
      : position_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return ok_; }

  bool Next(Field& field) {
    if (position_ == end_) return false;
    uint64_t tag;
    if (!ReadVarint(tag) || tag > UINT32_MAX || tag >> 3 == 0) return Fail();
    field.number = static_cast<uint32_t>(tag >> 3);
    field.type = static_cast<uint32_t>(tag & 7);
    switch (field.type) {
      case kVarint:
        return ReadVarint(field.number_value) || Fail();
      case kFixed64:
        return ReadFixed(field.number_value, 8);
      case kFixed32:
        return ReadFixed(field.number_value, 4);
      case kBytes: {
        uint64_t size;
        if (!ReadVarint(size) || size > static_cast<uint64_t>(end_ - position_)) return Fail();
        field.bytes = {position_, static_cast<size_t>(size)};
        position_ += size;
        return true;
      }
      default:  // groups and what does not exist: proto3 has neither
        return Fail();
    }
  }

 private:
  bool Fail() {
    ok_ = false;
    position_ = end_;
    return false;
  }
  bool ReadVarint(uint64_t& value) {
    if (position_ != end_ && static_cast<unsigned char>(*position_) < 0x80) {
      value = static_cast<unsigned char>(*position_++);
      return true;
    }
    value = 0;
    for (uint32_t shift = 0; shift < 64 && position_ != end_; shift += 7) {
      const uint64_t byte = static_cast<unsigned char>(*position_++);
      if (shift == 63 && byte > 1) return false;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool ReadFixed(uint64_t& value, size_t size) {
    if (static_cast<size_t>(end_ - position_) < size) return Fail();
    value = 0;
    std::memcpy(&value, position_, size);
    position_ += size;
    return true;
  }

  const char* position_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace tailwater::wire
