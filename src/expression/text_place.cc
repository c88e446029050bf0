#include "expression/text_place.h"

#include <fstream>
#include <string>

namespace tailwater::expression {

int FindScalarColumn(const ConfigNode& node) {
  const Location& location = node.location;
  if (location.line <= 0 || location.column <= 0 || node.scalar.find('\n') != std::string::npos) {
    return 0;
  }
  std::ifstream file(location.file);
  std::string line;
  for (int i = 0; i < location.line; ++i) {
    if (!std::getline(file, line)) return 0;
  }
  auto start = static_cast<size_t>(location.column - 1);
  if (start >= line.size()) return 0;
  if (line[start] == '"' || line[start] == '\'') ++start;
  if (line.compare(start, node.scalar.size(), node.scalar) != 0) return 0;
  return static_cast<int>(start) + 1;
}

}  // namespace tailwater::expression
