// Where the words of an expression stand in its file.
#pragma once

#include "tailwater/config.h"

namespace tailwater::expression {

// The column of the first byte of node.scalar, from 1, if the file has it there letter for letter,
// plain or behind a quote; 0 if it is folded, escaped, or cannot be read again.
int FindScalarColumn(const ConfigNode& node);

}  // namespace tailwater::expression
