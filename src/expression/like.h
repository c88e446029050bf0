// LIKE as Postgres and the SQL standard have it: case-sensitive, % for any text, _ for one
// character.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tailwater::expression {

// Comparisons of characters that one LIKE may take; text times pattern is more only for texts that
// were made for it.
inline constexpr uint64_t kMaxLikeSteps = 20'000'000;

enum class LikeResult : uint8_t { kNo, kYes, kTooLong, kBadPattern };

// `escape`: one character, or empty for none. kBadPattern: the pattern ends with it.
LikeResult Like(std::string_view text, std::string_view pattern, std::string_view escape);

}  // namespace tailwater::expression
