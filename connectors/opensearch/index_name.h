// The name of an index, made from a template such as "{source}_{schema}_{table}".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tailwater::opensearch {

// "public.orders" or "\"odd.name\".\"x\"", as TableName::ToString() writes it, taken apart.
struct TableParts {
  std::string schema;
  std::string name;
};
TableParts SplitTable(std::string_view table);

class IndexName {
 public:
  // Nothing, and the problem in words, if no name that comes from it could be legal.
  static std::optional<IndexName> Parse(std::string_view text, std::string& problem);

  // In lower case, with _ for what no index name may hold. Two tables may get one name: documents
  // carry their origin, so that is safe.
  std::string Of(std::string_view source, std::string_view table) const;

 private:
  enum class Kind { kText, kSource, kSchema, kTable };
  struct Part {
    Kind kind;
    std::string text;
  };
  std::vector<Part> parts_;
};

}  // namespace tailwater::opensearch
