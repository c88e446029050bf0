#include "clickhouse/wide_number.h"

#include <charconv>

namespace tailwater::clickhouse {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Longer numbers than any type holds are not written out.
constexpr int32_t kMostZeros = 100'000;

}  // namespace

bool ParseDecimalDigits(std::string_view text, DecimalDigits& out) {
  out = {};
  size_t at = 0;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) out.negative = text[at++] == '-';
  bool any = false;
  bool point = false;
  for (; at < text.size() && (IsDigit(text[at]) || (text[at] == '.' && !point)); ++at) {
    if (text[at] == '.') {
      point = true;
      continue;
    }
    any = true;
    if (point) ++out.fraction;
    if (text[at] != '0' || !out.digits.empty()) out.digits += text[at];
  }
  if (!any) return false;
  if (at < text.size()) {
    if (text[at] != 'e' && text[at] != 'E') return false;
    if (++at < text.size() && text[at] == '+') ++at;
    int32_t exponent = 0;
    const auto [end, error] =
        std::from_chars(text.data() + at, text.data() + text.size(), exponent);
    if (error != std::errc() || end != text.data() + text.size()) return false;
    if (exponent < -kMostZeros || exponent > kMostZeros) return false;
    const int64_t fraction = int64_t{out.fraction} - exponent;
    if (fraction < 0 && !out.digits.empty()) {
      out.digits.append(static_cast<size_t>(-fraction), '0');
    }
    out.fraction = fraction < 0 ? 0 : static_cast<uint32_t>(fraction);
  }
  if (out.digits.empty()) out = {};  // no zero has a sign here
  return true;
}

bool Rescale(DecimalDigits& number, uint32_t scale) {
  if (number.digits.empty()) {
    number.fraction = scale;
    return true;
  }
  for (; number.fraction > scale; --number.fraction) {
    if (number.digits.empty() || number.digits.back() != '0') return false;
    number.digits.pop_back();
  }
  number.digits.append(scale - number.fraction, '0');
  number.fraction = scale;
  return true;
}

void AppendWhole(const DecimalDigits& number, uint32_t bytes, std::string& out) {
  std::array<uint32_t, 8> parts{};
  for (const char digit : number.digits) {
    uint64_t carry = static_cast<uint64_t>(digit - '0');
    for (uint32_t& part : parts) {
      carry += uint64_t{part} * 10;
      part = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
  }
  if (number.negative) {
    uint64_t carry = 1;
    for (uint32_t& part : parts) {
      carry += uint64_t{~part};
      part = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
  }
  for (uint32_t i = 0; i < bytes; ++i) {
    out += static_cast<char>(parts[i / 4] >> (8 * (i % 4)));
  }
}

}  // namespace tailwater::clickhouse
