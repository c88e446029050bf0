#include "expression/like.h"

#include <cstddef>

namespace tailwater::expression {
namespace {

// Bytes of the UTF-8 character that begins at `at`.
size_t CharacterSize(std::string_view text, size_t at) {
  size_t size = 1;
  while (at + size < text.size() && (static_cast<unsigned char>(text[at + size]) & 0xc0) == 0x80) {
    ++size;
  }
  return size;
}

}  // namespace

// Only the last % is ever tried again: what an earlier one skipped can stay skipped.
LikeResult Like(std::string_view text, std::string_view pattern, std::string_view escape) {
  constexpr size_t kNone = std::string_view::npos;
  size_t t = 0, p = 0;
  size_t after_percent = kNone, percent_text = 0;
  uint64_t steps = 0;
  while (true) {
    if (++steps > kMaxLikeSteps) return LikeResult::kTooLong;
    bool matches = false;
    if (p < pattern.size()) {
      const bool escaped = !escape.empty() && pattern.substr(p).starts_with(escape);
      if (escaped && p + escape.size() == pattern.size()) return LikeResult::kBadPattern;
      if (!escaped && pattern[p] == '%') {
        after_percent = ++p;
        percent_text = t;
        continue;
      }
      const size_t literal = escaped ? p + escape.size() : p;
      if (t < text.size() && !escaped && pattern[p] == '_') {
        t += CharacterSize(text, t);
        ++p;
        matches = true;
      } else if (t < text.size() && pattern[literal] == text[t]) {
        ++t;
        p = literal + 1;
        matches = true;
      }
    } else if (t == text.size()) {
      return LikeResult::kYes;
    }
    if (matches) continue;
    if (after_percent == kNone || percent_text >= text.size()) return LikeResult::kNo;
    percent_text += CharacterSize(text, percent_text);
    t = percent_text;
    p = after_percent;
  }
}

}  // namespace tailwater::expression
