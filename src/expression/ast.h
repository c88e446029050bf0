// An expression as it was parsed: no types yet, no table. Immutable once Condition::Parse is done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace re2 {
class RE2;
}

namespace tailwater::expression {

enum class ExpressionKind : uint8_t {
  kNull,
  kBool,        // text: "1" or "0"
  kNumber,      // text: as written
  kText,        // text: the value
  kBlob,        // text: hexadecimal digits
  kColumn,      // text: its name; before: OLD
  kOp,          // op
  kAnd,         // two or more operands
  kOr,          // two or more operands
  kNot,         // one operand
  kCompare,     // text: = <> < <= > >=
  kIs,          // negated: IS NOT, IS DISTINCT FROM
  kIsNull,      // negated: IS NOT NULL
  kIn,          // first operand in the others
  kBetween,     // first operand between the two others
  kLike,        // text, pattern[, escape]
  kGlob,        // text, pattern (a kText)
  kRegexp,      // text, pattern (a kText)
  kArithmetic,  // text: + - * / %
  kNegate,      // -x
  kConcat,      // ||
  kArrow,       // text: -> or ->>
  kCase,        // [base,] when, then, when, then, …[, else]
  kCast,        // text: integer, real, text, numeric
  kCall,        // text: the function, lower case
};

struct Expression {
  ExpressionKind kind = ExpressionKind::kNull;
  size_t offset = 0;  // of the word that names it, in the condition's text
  size_t size = 0;
  std::string text;
  bool before = false;
  bool negated = false;
  bool has_base = false;  // kCase
  bool has_else = false;  // kCase
  int depth = 1;
  std::vector<std::unique_ptr<Expression>> operands;
  std::shared_ptr<const re2::RE2> pattern;  // of REGEXP and GLOB, compiled at load
};
using ExpressionPtr = std::unique_ptr<Expression>;

// Something wrong with a word of the text.
struct TextProblem {
  size_t offset = 0;
  std::string message;
};

}  // namespace tailwater::expression
