#include "kafka/encoding.h"

#include <algorithm>
#include <array>
#include <vector>

namespace tailwater::kafka_sink {
namespace {

constexpr std::string_view kStandard =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrlSafe =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void AppendBase64(std::string_view bytes, std::string_view alphabet, std::string& out) {
  const auto byte = [&](size_t i) -> uint32_t {
    return i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : 0;
  };
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const uint32_t group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    out += alphabet[group >> 18];
    out += alphabet[group >> 12 & 63];
    out += i + 1 < bytes.size() ? alphabet[group >> 6 & 63] : '=';
    out += i + 2 < bytes.size() ? alphabet[group & 63] : '=';
  }
}

// The number that the decimal digits stand for, negated if wanted, as BigInteger.toByteArray().
std::string TwosComplement(std::string_view digits, bool negative) {
  std::vector<uint32_t> limbs;  // least significant first
  for (size_t at = 0; at < digits.size();) {
    const size_t count = std::min<size_t>(9, digits.size() - at);
    uint64_t carry = 0;
    uint64_t scale = 1;
    for (size_t i = 0; i < count; ++i) {
      carry = carry * 10 + static_cast<uint64_t>(digits[at + i] - '0');
      scale *= 10;
    }
    for (uint32_t& limb : limbs) {
      carry += limb * scale;
      limb = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    if (carry != 0) limbs.push_back(static_cast<uint32_t>(carry));
    at += count;
  }
  std::string bytes(1, '\0');  // room for the sign
  for (size_t i = limbs.size(); i-- > 0;) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      bytes += static_cast<char>(limbs[i] >> shift & 0xff);
    }
  }
  if (negative) {
    bool carry = true;
    for (size_t i = bytes.size(); i-- > 0;) {
      const unsigned inverted = (static_cast<uint8_t>(bytes[i]) ^ 0xffU) + (carry ? 1 : 0);
      bytes[i] = static_cast<char>(inverted & 0xff);
      carry = inverted > 0xff;
    }
  }
  // A leading byte that only repeats the sign says nothing.
  size_t first = 0;
  while (first + 1 < bytes.size()) {
    const bool next_is_negative = (static_cast<uint8_t>(bytes[first + 1]) & 0x80) != 0;
    const char sign = next_is_negative ? '\xff' : '\0';
    if (bytes[first] != sign) break;
    ++first;
  }
  return bytes.substr(first);
}

struct Digits {
  bool negative = false;
  std::string whole;
  std::string fraction;
};

std::optional<Digits> Split(std::string_view text) {
  Digits digits;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    digits.negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const size_t point = text.find('.');
  digits.whole = text.substr(0, point);
  if (point != text.npos) digits.fraction = text.substr(point + 1);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (digits.whole.empty() && digits.fraction.empty()) return std::nullopt;
  if (!std::all_of(digits.whole.begin(), digits.whole.end(), is_digit) ||
      !std::all_of(digits.fraction.begin(), digits.fraction.end(), is_digit)) {
    return std::nullopt;
  }
  return digits;
}

}  // namespace

void AppendBase64(std::string_view bytes, std::string& out) { AppendBase64(bytes, kStandard, out); }

void AppendBase64Url(std::string_view bytes, std::string& out) {
  AppendBase64(bytes, kUrlSafe, out);
}

void AppendHex(std::string_view bytes, std::string& out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const char c : bytes) {
    out += kDigits[static_cast<uint8_t>(c) >> 4];
    out += kDigits[static_cast<uint8_t>(c) & 15];
  }
}

std::optional<Decimal> ParseDecimal(std::string_view text, int32_t scale) {
  auto digits = Split(text);
  if (!digits) return std::nullopt;
  std::string number = digits->whole;
  const auto kept = static_cast<size_t>(std::max(scale, 0));
  if (digits->fraction.find_first_not_of('0', std::min(kept, digits->fraction.size())) !=
      std::string::npos) {
    return std::nullopt;
  }
  digits->fraction.resize(kept, '0');
  number += digits->fraction;
  if (scale < 0) {
    const auto dropped = static_cast<size_t>(-scale);
    const size_t keep = number.size() - std::min(dropped, number.size());
    if (number.find_first_not_of('0', keep) != std::string::npos) return std::nullopt;
    number.resize(keep);
  }
  return Decimal{TwosComplement(number, digits->negative), scale};
}

std::optional<Decimal> ParseDecimal(std::string_view text) {
  const auto digits = Split(text);
  if (!digits) return std::nullopt;
  const size_t last = digits->fraction.find_last_not_of('0');
  return ParseDecimal(text, last == std::string::npos ? 0 : static_cast<int32_t>(last) + 1);
}

}  // namespace tailwater::kafka_sink
