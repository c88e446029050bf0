// Writes binlog bytes for tests.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "mysql/binlog_event.h"
#include "mysql/crc32.h"

namespace tailwater::mysql {

// "01 FF 00 …"; anything that is no hexadecimal digit stands between bytes.
inline std::string Hex(std::string_view text) {
  std::string bytes, digits;
  for (const char c : text) {
    if (std::string_view("0123456789abcdefABCDEF").find(c) == std::string_view::npos) continue;
    digits += c;
    if (digits.size() < 2) continue;
    bytes += static_cast<char>(std::stoi(digits, nullptr, 16));
    digits.clear();
  }
  return bytes;
}

inline std::string Little(uint64_t value, size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i) & 255);
  return bytes;
}

struct EventSpec {
  uint32_t end = 0;
  uint16_t flags = 0;
  uint32_t server_id = 1;
  bool checksum = false;
};

// Header, body and, if asked for, checksum.
inline std::string EventBytes(EventType type, std::string_view body, EventSpec spec = {}) {
  const size_t size = 19 + body.size() + (spec.checksum ? 4 : 0);
  std::string bytes = Little(1'700'000'000, 4) + Little(static_cast<uint8_t>(type), 1) +
                      Little(spec.server_id, 4) + Little(size, 4) + Little(spec.end, 4) +
                      Little(spec.flags, 2);
  bytes += body;
  if (spec.checksum) bytes += Little(Crc32(bytes), 4);
  return bytes;
}

// Behind a FORMAT_DESCRIPTION there is always room for a checksum.
inline std::string FormatBytes(std::string_view version, bool checksums, EventSpec spec = {}) {
  std::string body = Little(4, 2) + std::string(version);
  body.resize(52);
  body += Little(0, 4) + Little(19, 1);
  std::string lengths(42, '\0');
  lengths[1] = 13, lengths[3] = 8, lengths[18] = 8, lengths[29] = 10;
  body += lengths + Little(checksums ? 1 : 0, 1);
  spec.checksum = true;
  return EventBytes(EventType::kFormatDescription, body, spec);
}

inline std::string RotateBytes(std::string_view file, uint64_t offset, EventSpec spec = {}) {
  return EventBytes(EventType::kRotate, Little(offset, 8) + std::string(file), spec);
}

}  // namespace tailwater::mysql
