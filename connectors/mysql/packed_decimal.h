// DECIMAL as rows and binary JSON hold it: nine digits in four bytes, big end first (PROTOCOLS B9).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tailwater::mysql {

constexpr size_t kMostDecimalText = 72;  // sign, 65 digits, "0."

// Bytes of a decimal; 0: there are none of this precision and scale.
size_t PackedDecimalSize(unsigned precision, unsigned scale);

// Prints it as the server does, with all digits of the scale. Returns the text's length; 0:
// malformed. Room for kMostDecimalText.
size_t UnpackDecimal(std::string_view bytes, unsigned precision, unsigned scale, char* text);

}  // namespace tailwater::mysql
