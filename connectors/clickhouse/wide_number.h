// Decimal text as a whole number of up to 256 bits: what Decimal, Int128 and Int256 are made of.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace tailwater::clickhouse {

struct DecimalDigits {
  bool negative = false;
  std::string digits;     // without a point and leading zeros; empty: zero
  uint32_t fraction = 0;  // how many of them stand behind the point
};

// "-12.50" and "1.5e-3". False: NaN, infinite, or no number.
bool ParseDecimalDigits(std::string_view text, DecimalDigits& out);

// Brings the number to `scale` digits behind the point. False: digits other than 0 would be lost.
bool Rescale(DecimalDigits& number, uint32_t scale);

// Two's complement, the lowest byte first, in `bytes` bytes. `digits` fit into 255 bits, 76 of
// them.
void AppendWhole(const DecimalDigits& number, uint32_t bytes, std::string& out);

}  // namespace tailwater::clickhouse
