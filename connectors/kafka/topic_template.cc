#include "kafka/topic_template.h"

#include <algorithm>

#include "support/text.h"

namespace tailwater::kafka_sink {
namespace {

constexpr size_t kLongestName = 249;

bool IsLegal(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

}  // namespace

std::string LegalTopicName(std::string_view name) {
  std::string legal;
  for (const char c : name) {
    // One for each character, not for each of its bytes.
    if ((static_cast<uint8_t>(c) & 0xc0) == 0x80) continue;
    legal += IsLegal(c) ? c : '_';
  }
  if (legal.size() > kLongestName) legal.resize(kLongestName);
  if (legal == "." || legal == "..") std::fill(legal.begin(), legal.end(), '_');
  return legal;
}

std::optional<TopicTemplate> TopicTemplate::Parse(std::string_view text, std::string& problem) {
  TopicTemplate parsed;
  parsed.text_ = text;
  size_t written = 0;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '{') {
      const size_t close = text.find('}', at);
      const std::string_view name =
          text.substr(at + 1, close == text.npos ? text.npos : close - at - 1);
      Part part;
      if (name == "source") {
        part.field = Field::kSource;
      } else if (name == "schema") {
        part.field = Field::kSchema;
      } else if (name == "table") {
        part.field = Field::kTable;
      } else {
        problem = fmt::format(
            "'{{{}}}' is not known; there are {{source}}, {{schema}} and {{table}}", name);
        return std::nullopt;
      }
      if (close == text.npos) {
        problem = "has a { without its }";
        return std::nullopt;
      }
      parsed.names_table_ = parsed.names_table_ || part.field == Field::kTable;
      parsed.parts_.push_back(std::move(part));
      at = close + 1;
      continue;
    }
    if (!IsLegal(text[at])) {
      problem = fmt::format("holds '{}'; names of topics have letters, digits, dots, _ and - only",
                            text[at]);
      return std::nullopt;
    }
    if (parsed.parts_.empty() || parsed.parts_.back().field != Field::kText) {
      parsed.parts_.emplace_back();
    }
    parsed.parts_.back().text += text[at];
    ++written;
    ++at;
  }
  if (parsed.parts_.empty()) {
    problem = "is empty";
  } else if (written > kLongestName) {
    problem =
        fmt::format("is longer than the {} characters that a topic's name may have", kLongestName);
  } else if (text == "." || text == "..") {
    problem = "cannot be the name of a topic";
  } else {
    return parsed;
  }
  return std::nullopt;
}

std::string TopicTemplate::Name(std::string_view source, const TableName& table) const {
  std::string name;
  for (const Part& part : parts_) {
    switch (part.field) {
      case Field::kText:
        name += part.text;
        break;
      case Field::kSource:
        name += source;
        break;
      case Field::kSchema:
        name += table.schema;
        break;
      case Field::kTable:
        name += table.name;
        break;
    }
  }
  return LegalTopicName(name);
}

}  // namespace tailwater::kafka_sink
