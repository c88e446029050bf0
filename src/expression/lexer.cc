#include "expression/lexer.h"

#include "support/text.h"

namespace tailwater::expression {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool BeginsWord(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool ContinuesWord(char c) { return BeginsWord(c) || IsDigit(c) || c == '$'; }
bool IsHexDigit(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

class Lexer {
 public:
  Lexer(std::string_view text, TextProblem& problem) : text_(text), problem_(problem) {}

  std::optional<std::vector<Token>> Run() {
    std::vector<Token> tokens;
    while (true) {
      while (at_ < text_.size() && IsBlank(text_[at_])) ++at_;
      Token token;
      token.offset = at_;
      if (at_ == text_.size()) {
        tokens.push_back(std::move(token));
        return tokens;
      }
      if (!Next(token)) return std::nullopt;
      token.size = at_ - token.offset;
      tokens.push_back(std::move(token));
    }
  }

 private:
  char Peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool Fail(size_t offset, std::string message) {
    problem_ = {offset, std::move(message)};
    return false;
  }

  bool Next(Token& token) {
    const char c = Peek();
    if (c == '\'') {
      token.kind = TokenKind::kText;
      return Quoted(c, token.text);
    }
    if (c == '"') {
      token.kind = TokenKind::kQuoted;
      return Quoted(c, token.text);
    }
    if ((c == 'x' || c == 'X') && Peek(1) == '\'') return Blob(token);
    if (BeginsWord(c)) {
      token.kind = TokenKind::kWord;
      while (ContinuesWord(Peek())) token.text += text_[at_++];
      for (const char letter : token.text) {
        token.upper += letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 32) : letter;
      }
      return true;
    }
    if (IsDigit(c) || (c == '.' && IsDigit(Peek(1)))) return Number(token);
    return Symbol(token);
  }

  // A doubled quote stands for one.
  bool Quoted(char quote, std::string& out) {
    const size_t start = at_++;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '\0') return Fail(at_ - 1, "a NUL character cannot be compared");
      if (c != quote) {
        out += c;
      } else if (Peek() == quote) {
        out += quote;
        ++at_;
      } else {
        return true;
      }
    }
    return Fail(start, fmt::format("the {} here never ends", quote));
  }

  bool Blob(Token& token) {
    token.kind = TokenKind::kBlob;
    const size_t start = at_++;
    if (!Quoted('\'', token.text)) return false;
    bool valid = token.text.size() % 2 == 0;
    for (const char c : token.text) valid &= IsHexDigit(c);
    if (valid) return true;
    return Fail(start,
                fmt::format("x'{}' must hold an even number of hexadecimal digits", token.text));
  }

  bool Number(Token& token) {
    token.kind = TokenKind::kNumber;
    const size_t start = at_;
    while (IsDigit(Peek())) ++at_;
    if (Peek() == '.') ++at_;
    while (IsDigit(Peek())) ++at_;
    const bool exponent = (Peek() | 32) == 'e';
    if (exponent) {
      const size_t sign = Peek(1) == '+' || Peek(1) == '-' ? 1 : 0;
      if (IsDigit(Peek(1 + sign))) at_ += 1 + sign;
      while (IsDigit(Peek())) ++at_;
    }
    size_t end = at_;
    while (end < text_.size() && (ContinuesWord(text_[end]) || text_[end] == '.')) ++end;
    if (end != at_) {
      return Fail(start, fmt::format("'{}' is no number", text_.substr(start, end - start)));
    }
    token.text = text_.substr(start, at_ - start);
    return true;
  }

  bool Symbol(Token& token) {
    token.kind = TokenKind::kSymbol;
    const std::string_view rest = text_.substr(at_);
    if (rest.starts_with("--") || rest.starts_with("/*")) {
      return Fail(at_, "no comments in an expression; write a line of its own with # above it");
    }
    static constexpr std::string_view kSymbols[] = {
        "->>", "->", "==", "<>", "!=", "<=", ">=", "||", "=", "<", ">",
        "+",   "-",  "*",  "/",  "%",  "(",  ")",  ",",  ".", ";"};
    for (const std::string_view symbol : kSymbols) {
      if (!rest.starts_with(symbol) || rest.starts_with("<<") || rest.starts_with(">>")) continue;
      at_ += symbol.size();
      token.text = symbol == "==" ? "=" : symbol == "!=" ? "<>" : symbol;
      return true;
    }
    return Fail(at_, Refused(rest));
  }

  static std::string Refused(std::string_view rest) {
    if (rest[0] == '?' || rest[0] == '$' || rest[0] == '@' ||
        (rest[0] == ':' && !rest.starts_with("::"))) {
      return fmt::format("'{}': there are no parameters; write the value itself", rest[0]);
    }
    if (rest.starts_with("::")) return "'::' is not known here; write CAST(value AS type)";
    if (rest[0] == '`' || rest[0] == '[') {
      return fmt::format("'{}' quotes no names here; write NEW.\"name\"", rest[0]);
    }
    if (rest[0] == '~') return "'~' is not known here; write value REGEXP 'pattern'";
    if (rest[0] == '!') return "'!' is not known here; write NOT or <>";
    if (rest.starts_with("<<") || rest.starts_with(">>")) rest = rest.substr(0, 2);
    if (rest[0] == '&' || rest[0] == '|' || rest[0] == '^' || rest.starts_with("<<") ||
        rest.starts_with(">>")) {
      return fmt::format("'{}': there are no operators on bits",
                         rest.substr(0, rest[0] == '<' || rest[0] == '>' ? 2 : 1));
    }
    const auto byte = static_cast<unsigned char>(rest[0]);
    if (byte < 0x20 || byte == 0x7f) {
      return fmt::format("the control character 0x{:02x} cannot stand here", byte);
    }
    return fmt::format("'{}' cannot stand here", rest[0]);
  }

  std::string_view text_;
  TextProblem& problem_;
  size_t at_ = 0;
};

}  // namespace

std::optional<std::vector<Token>> Tokenize(std::string_view text, TextProblem& problem) {
  return Lexer(text, problem).Run();
}

}  // namespace tailwater::expression
