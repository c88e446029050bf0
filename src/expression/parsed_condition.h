// What a Condition holds; for this folder.
#pragma once

#include "expression/ast.h"
#include "expression/condition.h"

namespace tailwater {

struct Condition::Parsed {
  std::string text;
  ConfigNode node;
  std::vector<ExpressionColumn> columns;
  expression::ExpressionPtr tree;
};

}  // namespace tailwater
