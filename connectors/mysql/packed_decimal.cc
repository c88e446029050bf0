#include "mysql/packed_decimal.h"

#include <cstring>

namespace tailwater::mysql {
namespace {

constexpr unsigned kGroupDigits = 9;
constexpr uint8_t kBytes[kGroupDigits + 1] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};  // by digits
constexpr uint32_t kPowers[kGroupDigits + 1] = {
    1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000};

// Reads groups one after the other and prints their digits.
class Digits {
 public:
  Digits(std::string_view bytes, uint8_t mask, char* text)
      : next_(bytes.data()), mask_(mask), text_(text) {}

  // False: more than `digits` digits.
  bool Put(unsigned digits) {
    uint32_t group = 0;
    for (unsigned i = 0; i < kBytes[digits]; ++i) {
      uint8_t byte = static_cast<uint8_t>(*next_++) ^ mask_;
      if (first_) byte ^= 0x80;
      first_ = false;
      group = group << 8 | byte;
    }
    if (group >= kPowers[digits]) return false;
    for (unsigned i = digits; i > 0; --i) {
      text_[i - 1] = static_cast<char>('0' + group % 10);
      group /= 10;
    }
    text_ += digits;
    return true;
  }

 private:
  const char* next_;
  const uint8_t mask_;
  bool first_ = true;
  char* text_;
};

}  // namespace

size_t PackedDecimalSize(unsigned precision, unsigned scale) {
  if (precision == 0 || precision > 65 || scale > 30 || scale > precision) return 0;
  const unsigned whole = precision - scale;
  return whole / kGroupDigits * 4 + kBytes[whole % kGroupDigits] + scale / kGroupDigits * 4 +
         kBytes[scale % kGroupDigits];
}

size_t UnpackDecimal(std::string_view bytes, unsigned precision, unsigned scale, char* text) {
  const size_t size = PackedDecimalSize(precision, scale);
  if (size == 0 || bytes.size() != size) return 0;
  const unsigned whole = precision - scale;
  const bool negative = (static_cast<uint8_t>(bytes[0]) & 0x80) == 0;
  char digits[65];
  Digits in(bytes, negative ? 0xFF : 0, digits);
  if (!in.Put(whole % kGroupDigits)) return 0;
  for (unsigned i = 0; i < whole / kGroupDigits; ++i) {
    if (!in.Put(kGroupDigits)) return 0;
  }
  for (unsigned i = 0; i < scale / kGroupDigits; ++i) {
    if (!in.Put(kGroupDigits)) return 0;
  }
  if (!in.Put(scale % kGroupDigits)) return 0;

  char* next = text;
  if (negative) *next++ = '-';
  unsigned leading = 0;
  while (leading < whole && digits[leading] == '0') ++leading;
  if (leading == whole) {
    *next++ = '0';
  } else {
    std::memcpy(next, digits + leading, whole - leading);
    next += whole - leading;
  }
  if (scale != 0) {
    *next++ = '.';
    std::memcpy(next, digits + whole, scale);
    next += scale;
  }
  return static_cast<size_t>(next - text);
}

}  // namespace tailwater::mysql
