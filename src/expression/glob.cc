#include "expression/glob.h"

namespace tailwater::expression {
namespace {

void AppendLiteral(char c, std::string& out) {
  const auto byte = static_cast<unsigned char>(c);
  const bool plain =
      (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || byte >= 0x80;
  if (!plain) out += '\\';
  out += c;
}

}  // namespace

std::optional<std::string> GlobToRegexp(std::string_view glob) {
  std::string out = "(?s)\\A";
  for (size_t at = 0; at < glob.size(); ++at) {
    if (glob[at] == '*') {
      out += ".*";
    } else if (glob[at] == '?') {
      out += '.';
    } else if (glob[at] != '[') {
      AppendLiteral(glob[at], out);
    } else {
      out += '[';
      ++at;
      if (at < glob.size() && glob[at] == '^') {
        out += '^';
        ++at;
      }
      // A ] that comes first is one of the characters.
      for (const size_t first = at; at == first || (at < glob.size() && glob[at] != ']'); ++at) {
        if (at >= glob.size()) return std::nullopt;
        const bool range =
            glob[at] == '-' && at != first && at + 1 < glob.size() && glob[at + 1] != ']';
        if (range) {
          out += '-';
        } else {
          AppendLiteral(glob[at], out);
        }
      }
      if (at >= glob.size()) return std::nullopt;
      out += ']';
    }
  }
  return out + "\\z";
}

}  // namespace tailwater::expression
