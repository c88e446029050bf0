// From text to tree, by recursive descent; the precedence is that of SQLite.
#pragma once

#include <string_view>
#include <vector>

#include "expression/ast.h"

namespace tailwater::expression {

inline constexpr size_t kMaxTextBytes = 16 * 1024;
inline constexpr int kMaxDepth = 100;

// "insert", "update", "delete", "truncate", "read", "message": what `op` may be.
const std::vector<std::string_view>& OpNames();

// Null after a syntax error. Bare columns, double-quoted texts and unknown functions do not end the
// parse, so there may be problems beside a tree.
ExpressionPtr ParseExpression(std::string_view text, std::vector<TextProblem>& problems);

}  // namespace tailwater::expression
