#include "support/json_text.h"

#include <vector>

namespace tailwater {
namespace {

// Walks over the text; every method answers false where it does not match.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : next_(text.data()), end_(next_ + text.size()) {}

  void SkipBlanks() {
    while (next_ != end_ && (*next_ == ' ' || *next_ == '\t' || *next_ == '\n' || *next_ == '\r'))
      ++next_;
  }
  bool done() const { return next_ == end_; }
  char peek() const { return next_ == end_ ? '\0' : *next_; }
  bool Skip(char c) {
    if (next_ == end_ || *next_ != c) return false;
    ++next_;
    return true;
  }
  bool Word(std::string_view word) {
    if (static_cast<size_t>(end_ - next_) < word.size() ||
        std::string_view(next_, word.size()) != word) {
      return false;
    }
    next_ += word.size();
    return true;
  }
  bool String() {
    if (!Skip('"')) return false;
    while (next_ != end_) {
      const char c = *next_++;
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c == '\\' && !Escape()) return false;
    }
    return false;
  }
  bool Number() {
    Skip('-');
    if (!Skip('0') && !Digits()) return false;
    if (Skip('.') && !Digits()) return false;
    if (!Skip('e') && !Skip('E')) return true;
    if (!Skip('+')) Skip('-');
    return Digits();
  }

 private:
  bool Digits() {
    const char* const begin = next_;
    while (next_ != end_ && *next_ >= '0' && *next_ <= '9') ++next_;
    return next_ != begin;
  }
  bool Escape() {
    if (next_ == end_) return false;
    const char c = *next_++;
    if (c != 'u') return std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos;
    unsigned unit = 0;
    if (!Unit(unit) || (unit & 0xFC00) == 0xDC00) return false;
    if ((unit & 0xFC00) != 0xD800) return true;
    return Skip('\\') && Skip('u') && Unit(unit) && (unit & 0xFC00) == 0xDC00;
  }
  bool Unit(unsigned& unit) {
    unit = 0;
    for (int i = 0; i < 4; ++i) {
      if (next_ == end_) return false;
      const char c = *next_++;
      const char lower = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9') {
        unit = unit << 4 | static_cast<unsigned>(c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        unit = unit << 4 | static_cast<unsigned>(lower - 'a' + 10);
      } else {
        return false;
      }
    }
    return true;
  }

  const char* next_;
  const char* end_;
};

bool Scalar(Scanner& in) {
  switch (in.peek()) {
    case '"':
      return in.String();
    case 't':
      return in.Word("true");
    case 'f':
      return in.Word("false");
    case 'n':
      return in.Word("null");
    default:
      return in.Number();
  }
}

bool Key(Scanner& in) {
  in.SkipBlanks();
  if (!in.String()) return false;
  in.SkipBlanks();
  return in.Skip(':');
}

bool IsGrammatical(std::string_view text) {
  Scanner in(text);
  std::vector<bool> open;  // true: an object, false: an array
  for (;;) {
    // A value begins.
    in.SkipBlanks();
    if (in.Skip('{')) {
      in.SkipBlanks();
      if (!in.Skip('}')) {
        open.push_back(true);
        if (!Key(in)) return false;
        continue;
      }
    } else if (in.Skip('[')) {
      in.SkipBlanks();
      if (!in.Skip(']')) {
        open.push_back(false);
        continue;
      }
    } else if (!Scalar(in)) {
      return false;
    }
    // One has ended.
    for (;;) {
      in.SkipBlanks();
      if (open.empty()) return in.done();
      if (in.Skip(',')) {
        if (open.back() && !Key(in)) return false;
        break;
      }
      if (!in.Skip(open.back() ? '}' : ']')) return false;
      open.pop_back();
    }
  }
}

}  // namespace

bool IsJsonText(std::string_view text) { return IsGrammatical(text) && IsUtf8(text); }

}  // namespace tailwater
