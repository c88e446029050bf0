// What can be known to be wrong without a table: op's values, patterns, paths, numbers. Compiles
// the patterns of REGEXP and GLOB on the way.
#pragma once

#include <vector>

#include "expression/ast.h"

namespace tailwater::expression {

void CheckStatically(Expression& tree, std::vector<TextProblem>& problems);

}  // namespace tailwater::expression
