// A place in a Postgres write-ahead log.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tailwater::postgres {

// Ordered, but not unique: never decides what to skip. Prints as Postgres does: 16/B374D848.
struct Lsn {
  uint64_t value = 0;
  auto operator<=>(const Lsn&) const = default;

  // Nothing unless `text` is two hexadecimal numbers of at most 32 bits with a slash between.
  static std::optional<Lsn> Parse(std::string_view text);

  using Buffer = std::array<char, 17>;
  std::string_view Print(Buffer& buffer) const;  // a view into `buffer`
  std::string ToString() const;
};

}  // namespace tailwater::postgres
