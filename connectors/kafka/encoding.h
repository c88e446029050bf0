// Base64, hexadecimal, and decimal numbers as Java's BigDecimal holds them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tailwater::kafka_sink {

void AppendBase64(std::string_view bytes, std::string& out);
// With - and _ for + and /; padded, as Java's encoder does it.
void AppendBase64Url(std::string_view bytes, std::string& out);
void AppendHex(std::string_view bytes, std::string& out);  // lower case

// A number as an unscaled integer and the count of digits behind its point.
struct Decimal {
  std::string unscaled;  // two's complement, big-endian, as few bytes as it takes
  int32_t scale = 0;
};
// Of a text like -12.50. `scale` below zero: so many zeros in front of the point are left out.
// Nothing: the text is no number (NaN, Infinity), or it has more digits than the scale keeps.
std::optional<Decimal> ParseDecimal(std::string_view text, int32_t scale);
// With as few digits behind the point as it takes.
std::optional<Decimal> ParseDecimal(std::string_view text);

}  // namespace tailwater::kafka_sink
