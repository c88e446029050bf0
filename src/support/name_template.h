// Names of targets that are made of a source's and a table's: a text with {source}, {schema} and
// {table}.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/schema.h"

namespace tailwater {

class NameTemplate {
 public:
  // Nothing, and the problem in words.
  static std::optional<NameTemplate> Parse(std::string_view text, std::string& problem);

  std::string Of(std::string_view source, const TableName& table) const;

 private:
  enum class Kind : uint8_t { kText, kSource, kSchema, kTable };
  struct Part {
    Kind kind = Kind::kText;
    std::string text;
  };
  std::vector<Part> parts_;
};

}  // namespace tailwater
