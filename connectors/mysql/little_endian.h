// Bounded reading of little-endian bytes, as everything in a binlog but a few value types is.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tailwater::mysql {

// The first `size` bytes (at most 8) of `bytes`, which has them.
inline uint64_t LoadLittle(const char* bytes, size_t size) {
  uint64_t value = 0;
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(&value, bytes, size);
  } else {
    for (size_t i = 0; i < size; ++i) value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  }
  return value;
}

// Takes from the front of a view. Where bytes are missing it gives zeros and empty views from then
// on and ok() is false: one check at the end of a run of reads.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool empty() const { return rest_.empty(); }
  size_t size() const { return rest_.size(); }
  std::string_view rest() const { return rest_; }
  void Fail() {
    ok_ = false;
    rest_ = {};
  }

  uint64_t Little(size_t size) {
    if (size > rest_.size()) return Fail(), 0;
    const uint64_t value = LoadLittle(rest_.data(), size);
    rest_.remove_prefix(size);
    return value;
  }
  uint8_t U8() { return static_cast<uint8_t>(Little(1)); }
  uint16_t U16() { return static_cast<uint16_t>(Little(2)); }
  uint32_t U32() { return static_cast<uint32_t>(Little(4)); }
  uint64_t U64() { return Little(8); }
  std::string_view Take(uint64_t size) {
    if (size > rest_.size()) return Fail(), std::string_view();
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }
  void Skip(uint64_t size) { Take(size); }
  // A length-encoded integer; 0xFB (NULL) and 0xFF are none.
  uint64_t Lenenc() {
    const uint8_t first = U8();
    if (first < 0xFB) return first;
    if (first == 0xFC) return Little(2);
    if (first == 0xFD) return Little(3);
    if (first == 0xFE) return Little(8);
    return Fail(), 0;
  }
  std::string_view LenencBytes() { return Take(Lenenc()); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace tailwater::mysql
