#include "postgres/lsn.h"

#include <charconv>

namespace tailwater::postgres {
namespace {

// Exactly the digits of one half; from_chars alone would take a prefix.
bool ParseHalf(std::string_view text, uint32_t& out) {
  if (text.empty() || text.size() > 8) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return error == std::errc() && end == text.data() + text.size();
}

char* PrintHalf(char* out, char* end, uint32_t half) {
  char* const begin = out;
  out = std::to_chars(begin, end, half, 16).ptr;
  for (char* digit = begin; digit != out; ++digit) {
    if (*digit >= 'a') *digit = static_cast<char>(*digit - 'a' + 'A');
  }
  return out;
}

}  // namespace

std::optional<Lsn> Lsn::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  uint32_t high = 0, low = 0;
  if (slash == std::string_view::npos || !ParseHalf(text.substr(0, slash), high) ||
      !ParseHalf(text.substr(slash + 1), low)) {
    return std::nullopt;
  }
  return Lsn{uint64_t{high} << 32 | low};
}

std::string_view Lsn::Print(Buffer& buffer) const {
  char* const end = buffer.data() + buffer.size();
  char* out = PrintHalf(buffer.data(), end, static_cast<uint32_t>(value >> 32));
  *out++ = '/';
  out = PrintHalf(out, end, static_cast<uint32_t>(value));
  return {buffer.data(), static_cast<size_t>(out - buffer.data())};
}

std::string Lsn::ToString() const {
  Buffer buffer;
  return std::string(Print(buffer));
}

}  // namespace tailwater::postgres
