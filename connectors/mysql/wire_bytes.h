// Numbers and strings as they stand in events: taken from the front of what is left, with bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tailwater::mysql {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

template <class T>
T LoadLittle(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// `size` bytes, at most 8.
inline uint64_t LoadLittle(const char* bytes, size_t size) {
  uint64_t value = 0;
  std::memcpy(&value, bytes, size);
  return value;
}
inline uint64_t LoadBig(const char* bytes, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

// Each Take… answers false where `rest` is too short, and takes nothing then.
inline bool TakeBytes(std::string_view& rest, uint64_t size, std::string_view& out) {
  if (rest.size() < size) return false;
  out = rest.substr(0, size);
  rest.remove_prefix(size);
  return true;
}
template <class T>
bool TakeInt(std::string_view& rest, T& out) {
  if (rest.size() < sizeof out) return false;
  out = LoadLittle<T>(rest.data());
  rest.remove_prefix(sizeof out);
  return true;
}
// An unsigned number of `size` bytes, at most 8.
inline bool TakeInt(std::string_view& rest, size_t size, uint64_t& out) {
  if (rest.size() < size) return false;
  out = LoadLittle(rest.data(), size);
  rest.remove_prefix(size);
  return true;
}

// Length-encoded: one byte up to 250, else 0xfc, 0xfd, 0xfe and 2, 3, 8 bytes.
inline bool TakeLenenc(std::string_view& rest, uint64_t& out) {
  if (rest.empty()) return false;
  const auto first = static_cast<uint8_t>(rest[0]);
  if (first < 0xfb) {
    out = first;
    rest.remove_prefix(1);
    return true;
  }
  const size_t size = first == 0xfc ? 2 : first == 0xfd ? 3 : first == 0xfe ? 8 : 0;
  if (size == 0 || rest.size() < 1 + size) return false;
  out = LoadLittle(rest.data() + 1, size);
  rest.remove_prefix(1 + size);
  return true;
}
inline bool TakeLenencBytes(std::string_view& rest, std::string_view& out) {
  std::string_view left = rest;
  uint64_t size = 0;
  if (!TakeLenenc(left, size) || !TakeBytes(left, size, out)) return false;
  rest = left;
  return true;
}

}  // namespace tailwater::mysql
