#include "mysql/sql_tokens.h"

#include <algorithm>

namespace tailwater::mysql {
namespace {

bool IsBlank(char c) { return static_cast<unsigned char>(c) <= ' '; }

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsNameCharacter(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c; }

}  // namespace

bool SqlToken::Is(std::string_view keyword) const {
  return kind == Kind::kWord && text.size() == keyword.size() &&
         std::equal(text.begin(), text.end(), keyword.begin(),
                    [](char a, char b) { return Upper(a) == b; });
}

SqlTokens::SqlTokens(std::string_view sql, uint64_t sql_mode, Flavour flavour)
    : rest_(sql),
      ansi_quotes_((sql_mode & kAnsiQuotes) != 0),
      backslashes_((sql_mode & kNoBackslashEscapes) == 0),
      mariadb_(flavour == Flavour::kMariadb) {
  Advance();
}

// Conditional comments count: a server blanks the '!' of those that it did not execute before it
// writes the statement to its log.
void SqlTokens::SkipBlanks() {
  const size_t before = rest_.size();
  while (!rest_.empty()) {
    if (IsBlank(rest_[0])) {
      rest_.remove_prefix(1);
    } else if (rest_[0] == '#' ||
               (rest_.starts_with("--") && (rest_.size() == 2 || IsBlank(rest_[2])))) {
      rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
    } else if (rest_.starts_with("/*!") || (mariadb_ && rest_.starts_with("/*M!"))) {
      rest_.remove_prefix(rest_[2] == '!' ? 3 : 4);
      for (int digits = 0; digits < 6 && !rest_.empty() && IsDigit(rest_[0]); ++digits) {
        rest_.remove_prefix(1);
      }
      ++conditional_;
    } else if (conditional_ > 0 && rest_.starts_with("*/")) {
      rest_.remove_prefix(2);
      --conditional_;
    } else if (rest_.starts_with("/*")) {
      const size_t end = rest_.find("*/", 2);
      rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 2);
    } else {
      break;
    }
  }
  moved_ = rest_.size() != before;
}

void SqlTokens::Advance() {
  SkipBlanks();
  token_ = {};
  token_.glued = !moved_;
  if (rest_.empty()) return;
  const char first = rest_[0];
  if (first == '`' || first == '\'' || first == '"') {
    const bool name = first == '`' || (first == '"' && ansi_quotes_);
    size_t end = 1;
    while (end < rest_.size()) {
      if (!name && backslashes_ && rest_[end] == '\\') {
        end += 2;
      } else if (rest_[end] != first) {
        ++end;
      } else if (end + 1 < rest_.size() && rest_[end + 1] == first) {
        end += 2;
      } else {
        break;
      }
    }
    end = std::min(end, rest_.size());
    token_.kind = name ? SqlToken::Kind::kQuoted : SqlToken::Kind::kString;
    token_.quote = first;
    token_.text = rest_.substr(1, end - 1);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return;
  }
  size_t length = 0;
  while (length < rest_.size() && IsNameCharacter(rest_[length])) ++length;
  token_.kind = length == 0 ? SqlToken::Kind::kSymbol : SqlToken::Kind::kWord;
  token_.text = rest_.substr(0, std::max<size_t>(length, 1));
  rest_.remove_prefix(token_.text.size());
}

bool SqlTokens::Take(std::string_view keyword) {
  if (!token_.Is(keyword)) return false;
  Advance();
  return true;
}

bool SqlTokens::Take(char symbol) {
  if (!token_.Is(symbol)) return false;
  Advance();
  return true;
}

void SqlTokens::SkipParentheses() {
  int depth = 0;
  while (!token_.ended()) {
    if (token_.Is('(')) ++depth;
    if (token_.Is(')') && --depth == 0) {
      Advance();
      return;
    }
    Advance();
  }
}

std::string SqlTokens::Unquote(const SqlToken& token) const {
  std::string text;
  const bool backslashes = backslashes_ && token.kind == SqlToken::Kind::kString;
  for (size_t i = 0; i < token.text.size(); ++i) {
    const char c = token.text[i];
    if (c == token.quote) ++i;  // doubled
    if (backslashes && c == '\\' && i + 1 < token.text.size()) {
      const char escaped = token.text[++i];
      text += escaped == 'n'   ? '\n'
              : escaped == 't' ? '\t'
              : escaped == 'r' ? '\r'
              : escaped == '0' ? '\0'
              : escaped == 'b' ? '\b'
              : escaped == 'Z' ? '\x1a'
                               : escaped;
      continue;
    }
    text += c;
  }
  return text;
}

}  // namespace tailwater::mysql
