// The CRC32 of binlog events (the polynomial of zlib and Ethernet). Every byte of the log goes
// through it, so it is done 16 bytes at a time where the processor can multiply without carries.
#pragma once

#include <cstdint>
#include <string_view>

namespace tailwater::mysql {

uint32_t Crc32(std::string_view bytes);

}  // namespace tailwater::mysql
