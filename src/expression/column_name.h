// Which column of a table a name in an expression means.
#pragma once

#include <string_view>

#include "tailwater/schema.h"

namespace tailwater::expression {

enum class ColumnMatch : uint8_t { kFound, kUnknown, kAmbiguous };

struct FoundColumn {
  ColumnMatch match = ColumnMatch::kUnknown;
  size_t index = 0;  // into TableSchema::columns(); kAmbiguous: of one of them
};

// Exactly first; else without regard to case (ASCII), if only one column matches then.
FoundColumn FindColumn(const TableSchema& schema, std::string_view name);

}  // namespace tailwater::expression
