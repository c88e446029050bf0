#include "support/utf8.h"

#include <cstdint>
#include <cstring>

namespace tailwater {
namespace {

// Bytes of the character at `next`; 0: there is none. `next` is at or above 0x80.
size_t LongCharacter(const uint8_t* next, size_t left) {
  const auto is_tail = [](uint8_t byte) { return (byte & 0xC0) == 0x80; };
  const uint8_t first = next[0];
  if (first < 0xC2) return 0;  // a tail, or an overlong form
  if (first < 0xE0) return left >= 2 && is_tail(next[1]) ? 2 : 0;
  if (left < 3 || !is_tail(next[1]) || !is_tail(next[2])) return 0;
  if (first < 0xF0) {
    if (first == 0xE0 && next[1] < 0xA0) return 0;   // overlong
    if (first == 0xED && next[1] >= 0xA0) return 0;  // a surrogate
    return 3;
  }
  if (first > 0xF4 || left < 4 || !is_tail(next[3])) return 0;
  if (first == 0xF0 && next[1] < 0x90) return 0;   // overlong
  if (first == 0xF4 && next[1] >= 0x90) return 0;  // above U+10FFFF
  return 4;
}

}  // namespace

size_t AsciiPrefix(std::string_view bytes) {
  constexpr uint64_t kHighBits = 0x8080808080808080;
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t eight;
    std::memcpy(&eight, bytes.data() + i, 8);
    if ((eight & kHighBits) != 0) break;
  }
  while (i < bytes.size() && static_cast<uint8_t>(bytes[i]) < 0x80) ++i;
  return i;
}

size_t Utf8Prefix(std::string_view bytes) {
  size_t i = 0;
  for (;;) {
    i += AsciiPrefix(bytes.substr(i));
    // Where one is, more follow.
    while (i < bytes.size() && static_cast<uint8_t>(bytes[i]) >= 0x80) {
      const size_t size =
          LongCharacter(reinterpret_cast<const uint8_t*>(bytes.data()) + i, bytes.size() - i);
      if (size == 0) return i;
      i += size;
    }
    if (i == bytes.size()) return i;
  }
}

}  // namespace tailwater
