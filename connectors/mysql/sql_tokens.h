// SQL text as both servers read it, cut into tokens one at a time; nothing is copied.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mysql/log_position.h"

namespace tailwater::mysql {

// sql_mode bits, the same on both servers.
constexpr uint64_t kAnsiQuotes = 4;
constexpr uint64_t kNoBackslashEscapes = 1 << 20;

struct SqlToken {
  enum class Kind : uint8_t {
    kEnd,
    kWord,    // unquoted: a keyword or a name
    kQuoted,  // a name in quotes; see SqlTokens::Unquote()
    kString,
    kSymbol,  // one character
  };
  Kind kind = Kind::kEnd;
  std::string_view text;  // without the quotes around it
  char quote = 0;
  bool glued = false;  // follows the token before it without a blank

  bool Is(char symbol) const { return kind == Kind::kSymbol && text[0] == symbol; }
  // `keyword` in capitals.
  bool Is(std::string_view keyword) const;
  bool ended() const { return kind == Kind::kEnd; }
};

class SqlTokens {
 public:
  SqlTokens(std::string_view sql, uint64_t sql_mode, Flavour flavour);

  // The token under the cursor; past the end it is kEnd for ever.
  const SqlToken& now() const { return token_; }
  void Advance();
  // Moves on and answers true if it stands on `keyword` (or symbol).
  bool Take(std::string_view keyword);
  bool Take(char symbol);
  // Stands on "(": behind its counterpart.
  void SkipParentheses();
  // `text` of a quoted token with doubled quotes (and backslashes of a string) resolved.
  std::string Unquote(const SqlToken& token) const;

 private:
  void SkipBlanks();

  std::string_view rest_;
  SqlToken token_;
  bool ansi_quotes_;
  bool backslashes_;
  bool mariadb_;
  int conditional_ = 0;  // depth of /*! … */ that we are in
  bool moved_ = false;   // blanks or comments were skipped
};

}  // namespace tailwater::mysql
