#include "mysql/packed_decimal.h"

#include <array>
#include <cstring>

#include "mysql/wire_bytes.h"

namespace tailwater::mysql {
namespace {

constexpr unsigned kGroupDigits = 9;
constexpr uint8_t kBytes[kGroupDigits + 1] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};  // by digits
constexpr uint32_t kPowers[kGroupDigits + 1] = {
    1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000};

// 00 to 99.
constexpr std::array<char, 200> MakePairs() {
  std::array<char, 200> pairs{};
  for (size_t i = 0; i < 100; ++i) {
    pairs[2 * i] = static_cast<char>('0' + i / 10);
    pairs[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return pairs;
}
constexpr std::array<char, 200> kPairs = MakePairs();

// Reads groups one after the other and prints their digits.
class Digits {
 public:
  Digits(std::string_view bytes, bool negative, char* text)
      : next_(bytes.data()), mask_(negative ? 0xFFFFFFFF : 0), text_(text) {}

  // False: more than `digits` digits.
  bool Put(unsigned digits) {
    const unsigned size = kBytes[digits];
    if (size == 0) return true;
    auto group = static_cast<uint32_t>(LoadBig(next_, size)) ^ (mask_ >> 8 * (4 - size));
    if (first_) group ^= uint32_t{0x80} << 8 * (size - 1);
    first_ = false;
    next_ += size;
    if (group >= kPowers[digits]) return false;
    char* end = text_ + digits;
    text_ = end;
    for (; digits >= 2; digits -= 2) {
      end -= 2;
      std::memcpy(end, &kPairs[2 * (group % 100)], 2);
      group /= 100;
    }
    if (digits != 0) end[-1] = static_cast<char>('0' + group);
    return true;
  }

 private:
  const char* next_;
  const uint32_t mask_;
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
  Digits in(bytes, negative, digits);
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
