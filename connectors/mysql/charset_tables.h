// The character sets of one byte that are ASCII below 0x80.
#pragma once

#include <span>
#include <string_view>

namespace tailwater::mysql {

struct SingleByteTable {
  std::string_view name;
  std::u16string_view high;  // 128 characters, from 0x80 on
};

std::span<const SingleByteTable> SingleByteTables();

}  // namespace tailwater::mysql
