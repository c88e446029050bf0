#include "expression/decimal.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace tailwater::expression {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// -Infinity < finite < Infinity < NaN.
enum class Rank : uint8_t { kMinusInfinity, kFinite, kInfinity, kNan };

struct Parts {
  Rank rank = Rank::kFinite;
  bool negative = false;
  std::string_view whole;     // without leading zeros; "" for 0
  std::string_view fraction;  // without zeros at its end
};

Parts Split(std::string_view canonical) {
  Parts parts;
  if (canonical == "NaN") return parts.rank = Rank::kNan, parts;
  if (canonical == "Infinity") return parts.rank = Rank::kInfinity, parts;
  if (canonical == "-Infinity") return parts.rank = Rank::kMinusInfinity, parts;
  parts.negative = canonical.starts_with('-');
  if (parts.negative) canonical.remove_prefix(1);
  const size_t point = canonical.find('.');
  parts.whole = canonical.substr(0, point);
  if (parts.whole == "0") parts.whole = {};
  if (point != std::string_view::npos) parts.fraction = canonical.substr(point + 1);
  return parts;
}

std::string Assemble(bool negative, std::string_view whole, std::string_view fraction) {
  whole.remove_prefix(std::min(whole.find_first_not_of('0'), whole.size()));
  while (fraction.ends_with('0')) fraction.remove_suffix(1);
  std::string out;
  if (negative && !(whole.empty() && fraction.empty())) out += '-';
  out += whole.empty() ? std::string_view("0") : whole;
  if (!fraction.empty()) (out += '.') += fraction;
  return out;
}

int CompareMagnitudes(const Parts& a, const Parts& b) {
  if (a.whole.size() != b.whole.size()) return a.whole.size() < b.whole.size() ? -1 : 1;
  if (const int order = a.whole.compare(b.whole); order != 0) return order;
  return a.fraction.compare(b.fraction);  // no zeros at the end: a prefix is smaller
}

// The digits of both, aligned at the point: whole digits, then `scale` digits of fraction.
std::string Align(const Parts& parts, size_t whole, size_t scale) {
  std::string digits(whole - parts.whole.size(), '0');
  digits += parts.whole;
  digits += parts.fraction;
  digits.append(scale - parts.fraction.size(), '0');
  return digits;
}

std::optional<std::string> Sum(const Parts& a, const Parts& b, bool b_negative) {
  if (a.rank == Rank::kNan || b.rank == Rank::kNan) return "NaN";
  if (a.rank != Rank::kFinite || b.rank != Rank::kFinite) {
    const auto sign = [](const Parts& parts, bool flipped) {
      if (parts.rank == Rank::kFinite) return 0;
      return (parts.rank == Rank::kInfinity) != flipped ? 1 : -1;
    };
    const int total = sign(a, false) + sign(b, b_negative != b.negative);
    if (total == 0) return "NaN";
    return total > 0 ? "Infinity" : "-Infinity";
  }
  const size_t whole = std::max(a.whole.size(), b.whole.size()) + 1;
  const size_t scale = std::max(a.fraction.size(), b.fraction.size());
  if (whole + scale > kMaxDecimalDigits + 1) return std::nullopt;
  const bool same_sign = a.negative == b_negative;
  const bool swap = !same_sign && CompareMagnitudes(a, b) < 0;
  std::string larger = Align(swap ? b : a, whole, scale);
  const std::string smaller = Align(swap ? a : b, whole, scale);
  int carry = 0;
  for (size_t i = larger.size(); i-- > 0;) {
    int digit = larger[i] - '0';
    const int other = smaller[i] - '0' + carry;
    digit = same_sign ? digit + other : digit - other;
    carry = 0;
    if (digit > 9) {
      digit -= 10;
      carry = 1;
    } else if (digit < 0) {
      digit += 10;
      carry = 1;
    }
    larger[i] = static_cast<char>('0' + digit);
  }
  const std::string_view view = larger;
  return Assemble(swap ? b_negative : a.negative, view.substr(0, whole), view.substr(whole));
}

}  // namespace

bool CanonicalDecimal(std::string_view text, std::string& copy, std::string_view& out) {
  size_t at = text.starts_with('-') ? 1 : 0;
  const size_t first = at;
  while (at < text.size() && IsDigit(text[at])) ++at;
  const bool plain_whole = at > first && (text[first] != '0' || at == first + 1);
  size_t end = at;  // behind what counts
  if (plain_whole && at < text.size() && text[at] == '.') {
    const size_t point = at++;
    while (at < text.size() && IsDigit(text[at])) ++at;
    end = at;
    while (text[end - 1] == '0') --end;
    if (end == point + 1) end = point;
  }
  const bool minus_zero = first == 1 && end == 2 && text[1] == '0';
  if (plain_whole && at == text.size() && !minus_zero) {
    out = text.substr(0, end);
    return true;
  }
  std::optional<std::string> canonical = CanonicalDecimal(text);
  if (!canonical) return false;
  copy = *std::move(canonical);
  out = copy;
  return true;
}

std::optional<std::string> CanonicalDecimal(std::string_view text) {
  if (text == "NaN" || text == "Infinity" || text == "-Infinity") return std::string(text);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  int64_t exponent = 0;
  if (const size_t e = text.find_first_of("eE"); e != std::string_view::npos) {
    std::string_view digits = text.substr(e + 1);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    constexpr auto kMost = static_cast<int64_t>(kMaxDecimalDigits);
    if (exponent > kMost || exponent < -kMost) return std::nullopt;
    text = text.substr(0, e);
  }
  const size_t point = text.find('.');
  std::string whole(text.substr(0, point));
  std::string fraction(point == std::string_view::npos ? "" : text.substr(point + 1));
  if (whole.empty() && fraction.empty()) return std::nullopt;
  for (const char c : whole + fraction) {
    if (!IsDigit(c)) return std::nullopt;
  }
  for (; exponent > 0; --exponent) {
    whole += fraction.empty() ? '0' : fraction[0];
    if (!fraction.empty()) fraction.erase(0, 1);
  }
  for (; exponent < 0; ++exponent) {
    fraction.insert(fraction.begin(), whole.empty() ? '0' : whole.back());
    if (!whole.empty()) whole.pop_back();
  }
  return Assemble(negative, whole, fraction);
}

int CompareDecimals(std::string_view a, std::string_view b) {
  const Parts left = Split(a), right = Split(b);
  if (left.rank != right.rank) return left.rank < right.rank ? -1 : 1;
  if (left.rank != Rank::kFinite) return 0;
  if (left.negative != right.negative) return left.negative ? -1 : 1;
  const int order = CompareMagnitudes(left, right);
  return left.negative ? -order : order;
}

std::optional<std::string> AddDecimals(std::string_view a, std::string_view b) {
  const Parts right = Split(b);
  return Sum(Split(a), right, right.negative);
}

std::optional<std::string> SubtractDecimals(std::string_view a, std::string_view b) {
  const Parts right = Split(b);
  return Sum(Split(a), right, !right.negative);
}

std::optional<std::string> MultiplyDecimals(std::string_view a, std::string_view b) {
  const Parts left = Split(a), right = Split(b);
  if (left.rank == Rank::kNan || right.rank == Rank::kNan) return "NaN";
  const auto is_negative = [](const Parts& parts) {
    return parts.negative || parts.rank == Rank::kMinusInfinity;
  };
  const bool negative = is_negative(left) != is_negative(right);
  if (left.rank != Rank::kFinite || right.rank != Rank::kFinite) {
    if (a == "0" || b == "0") return "NaN";
    return negative ? "-Infinity" : "Infinity";
  }
  std::string x(left.whole), y(right.whole);
  x += left.fraction;
  y += right.fraction;
  if (x.size() + y.size() > kMaxDecimalDigits) return std::nullopt;
  std::vector<uint32_t> sums(x.size() + y.size());
  for (size_t i = 0; i < x.size(); ++i) {
    for (size_t j = 0; j < y.size(); ++j) {
      sums[i + j + 1] += static_cast<uint32_t>((x[i] - '0') * (y[j] - '0'));
    }
  }
  std::string digits(sums.size(), '0');
  uint32_t carry = 0;
  for (size_t i = sums.size(); i-- > 0;) {
    const uint32_t sum = sums[i] + carry;
    digits[i] = static_cast<char>('0' + sum % 10);
    carry = sum / 10;
  }
  const size_t scale = left.fraction.size() + right.fraction.size();
  const std::string_view view = digits;
  return Assemble(negative, view.substr(0, view.size() - scale), view.substr(view.size() - scale));
}

std::string NegateDecimal(std::string_view a) {
  if (a == "0" || a == "NaN") return std::string(a);
  if (a.starts_with('-')) return std::string(a.substr(1));
  return "-" + std::string(a);
}

std::string RoundDecimal(std::string_view a, int places) {
  const Parts parts = Split(a);
  if (parts.rank != Rank::kFinite) return std::string(a);
  const auto whole_size = static_cast<int64_t>(parts.whole.size());
  const int64_t kept = whole_size + places;  // digits that stay
  std::string digits = "0" + std::string(parts.whole) + std::string(parts.fraction);
  if (kept < 0) return "0";
  if (kept + 1 >= static_cast<int64_t>(digits.size())) return std::string(a);
  bool up = digits[static_cast<size_t>(kept) + 1] >= '5';
  for (size_t i = static_cast<size_t>(kept) + 1; i < digits.size(); ++i) digits[i] = '0';
  for (size_t i = static_cast<size_t>(kept) + 1; up && i-- > 0;) {
    up = digits[i] == '9';
    digits[i] = up ? '0' : static_cast<char>(digits[i] + 1);
  }
  const std::string_view view = digits;
  const auto point = static_cast<size_t>(whole_size) + 1;
  return Assemble(parts.negative, view.substr(0, point), view.substr(point));
}

double DecimalToDouble(std::string_view a) {
  if (a == "NaN") return std::nan("");
  if (a == "Infinity") return std::numeric_limits<double>::infinity();
  if (a == "-Infinity") return -std::numeric_limits<double>::infinity();
  double value = 0;
  const auto result = std::from_chars(a.data(), a.data() + a.size(), value);
  if (result.ec == std::errc::result_out_of_range) {
    const Parts parts = Split(a);
    if (parts.whole.empty()) return 0;
    return parts.negative ? -std::numeric_limits<double>::infinity()
                          : std::numeric_limits<double>::infinity();
  }
  return value;
}

}  // namespace tailwater::expression
