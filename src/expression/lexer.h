// From an expression's text to its words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "expression/ast.h"

namespace tailwater::expression {

enum class TokenKind : uint8_t { kWord, kQuoted, kText, kBlob, kNumber, kSymbol, kEnd };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  size_t offset = 0;
  size_t size = 0;
  std::string text;   // a word and a number as written; quotes removed from the others
  std::string upper;  // kWord: in upper case (ASCII)

  bool IsSymbol(std::string_view symbol) const {
    return kind == TokenKind::kSymbol && text == symbol;
  }
  bool IsWord(std::string_view word) const { return kind == TokenKind::kWord && upper == word; }
};

// The last token is kEnd. Nothing if a character cannot begin a word or a quote never ends: then
// `problem` says which.
std::optional<std::vector<Token>> Tokenize(std::string_view text, TextProblem& problem);

}  // namespace tailwater::expression
