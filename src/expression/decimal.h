// Exact decimal numbers as canonical text: no leading zeros, no zeros at the end of a fraction, no
// exponent, no "-0". Two canonical texts are equal exactly if their numbers are, so SQLite may
// compare them for equality. NaN and Infinity are as Postgres has them: NaN equals NaN and is
// larger than Infinity.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tailwater::expression {

// Of all digits that a result of arithmetic may have.
inline constexpr size_t kMaxDecimalDigits = 1000;

// "1.50", "-0.0", "1e3", "+.5", "NaN", "Infinity", "-Infinity". Nothing if it is no number, or has
// an exponent beyond kMaxDecimalDigits.
std::optional<std::string> CanonicalDecimal(std::string_view text);

// As above without memory of its own where the text only has zeros too many at its end, as servers
// print numeric(20,2); `copy` is used otherwise. False: no number.
bool CanonicalDecimal(std::string_view text, std::string& copy, std::string_view& out);

// All of canonical texts. <0, 0, >0.
int CompareDecimals(std::string_view a, std::string_view b);

// Nothing if the result has too many digits.
std::optional<std::string> AddDecimals(std::string_view a, std::string_view b);
std::optional<std::string> SubtractDecimals(std::string_view a, std::string_view b);
std::optional<std::string> MultiplyDecimals(std::string_view a, std::string_view b);
std::string NegateDecimal(std::string_view a);
// Half away from zero, as Postgres rounds numeric; `places` may be negative.
std::string RoundDecimal(std::string_view a, int places);
// The nearest double.
double DecimalToDouble(std::string_view a);

}  // namespace tailwater::expression
