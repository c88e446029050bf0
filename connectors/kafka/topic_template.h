// Names of target topics: a text with {source}, {schema} and {table}.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/schema.h"

namespace tailwater::kafka_sink {

class TopicTemplate {
 public:
  TopicTemplate() = default;
  // Nothing and `problem`, if it is no template, or could never name a topic.
  static std::optional<TopicTemplate> Parse(std::string_view text, std::string& problem);

  // What a topic cannot be called is replaced as Debezium does it: each other character by _, and
  // the rest beyond 249 left out.
  std::string Name(std::string_view source, const TableName& table) const;
  // Whether each table has a topic of its own by intention.
  bool names_table() const { return names_table_; }
  const std::string& text() const { return text_; }

 private:
  enum class Field : uint8_t { kText, kSource, kSchema, kTable };
  struct Part {
    Field field = Field::kText;
    std::string text;
  };
  std::string text_;
  std::vector<Part> parts_;
  bool names_table_ = false;
};

// As above, of any text.
std::string LegalTopicName(std::string_view name);

}  // namespace tailwater::kafka_sink
