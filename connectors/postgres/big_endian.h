// Integers as they stand in what the server sends.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace tailwater::postgres {

template <class T>
T LoadBig(const char* bytes) {
  std::make_unsigned_t<T> value;
  std::memcpy(&value, bytes, sizeof value);
  if constexpr (sizeof(T) == 8) value = __builtin_bswap64(value);
  if constexpr (sizeof(T) == 4) value = __builtin_bswap32(value);
  if constexpr (sizeof(T) == 2) value = __builtin_bswap16(value);
  return static_cast<T>(value);
}

}  // namespace tailwater::postgres
