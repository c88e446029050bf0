#include "expression/column_name.h"

#include <algorithm>

namespace tailwater::expression {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool EqualButForCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return Lower(x) == Lower(y); });
}

}  // namespace

FoundColumn FindColumn(const TableSchema& schema, std::string_view name) {
  FoundColumn found;
  for (size_t i = 0; i < schema.columns().size(); ++i) {
    const std::string& column = schema.columns()[i].name;
    if (column == name) return {ColumnMatch::kFound, i};
    if (!EqualButForCase(column, name)) continue;
    found.match =
        found.match == ColumnMatch::kUnknown ? ColumnMatch::kFound : ColumnMatch::kAmbiguous;
    found.index = i;
  }
  return found;
}

}  // namespace tailwater::expression
