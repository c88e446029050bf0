// The CRC32 of binlog events (the polynomial of zlib and Ethernet), which every byte goes through.
#pragma once

#include <cstdint>
#include <string_view>

namespace tailwater::mysql {

uint32_t Crc32(std::string_view bytes);

}  // namespace tailwater::mysql
