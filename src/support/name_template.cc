#include "support/name_template.h"

#include <algorithm>

#include "support/text.h"

namespace tailwater {

std::optional<NameTemplate> NameTemplate::Parse(std::string_view text, std::string& problem) {
  NameTemplate result;
  if (text.empty()) {
    problem = "must not be empty";
    return std::nullopt;
  }
  while (!text.empty()) {
    const size_t open = text.find('{');
    if (open != 0) {
      result.parts_.push_back({Kind::kText, std::string(text.substr(0, open))});
      text.remove_prefix(std::min(open, text.size()));
      continue;
    }
    const size_t close = text.find('}');
    const std::string_view inside = text.substr(1, close == text.npos ? text.npos : close - 1);
    if (close == text.npos || (inside != "source" && inside != "schema" && inside != "table")) {
      problem = fmt::format("'{{{}' is no placeholder; there are {{source}}, {{schema}}, {{table}}",
                            text.substr(1, close));
      return std::nullopt;
    }
    result.parts_.push_back({inside == "source"   ? Kind::kSource
                             : inside == "schema" ? Kind::kSchema
                                                  : Kind::kTable,
                             {}});
    text.remove_prefix(close + 1);
  }
  return result;
}

std::string NameTemplate::Of(std::string_view source, const TableName& table) const {
  std::string out;
  for (const Part& part : parts_) {
    switch (part.kind) {
      case Kind::kText:
        out += part.text;
        break;
      case Kind::kSource:
        out += source;
        break;
      case Kind::kSchema:
        out += table.schema;
        break;
      case Kind::kTable:
        out += table.name;
        break;
    }
  }
  return out;
}

}  // namespace tailwater
