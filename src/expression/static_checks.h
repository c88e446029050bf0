// What can be known to be wrong without a table: op's values, patterns, paths, numbers. Compiles
// the patterns of REGEXP on the way.
#pragma once

#include <vector>

#include "expression/ast.h"

namespace tailwater::expression {

// Bytes of a GLOB's pattern.
inline constexpr size_t kMaxGlobBytes = 1000;

void CheckStatically(Expression& tree, std::vector<TextProblem>& problems);

}  // namespace tailwater::expression
