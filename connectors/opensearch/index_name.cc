#include "opensearch/index_name.h"

#include <algorithm>

#include "support/text.h"

namespace tailwater::opensearch {
namespace {

constexpr size_t kMostBytes = 255;
constexpr std::string_view kIllegal = "\\/*?\"<>|, #:";

bool IsIllegal(char c) {
  return kIllegal.find(c) != kIllegal.npos || static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

void AppendLegal(std::string_view text, std::string& out) {
  for (const char c : text) out += IsIllegal(c) ? '_' : Lower(c);
}

// One part of a name, from the front of `text`.
std::string TakePart(std::string_view& text) {
  std::string part;
  if (!text.starts_with('"')) {
    const size_t dot = std::min(text.find('.'), text.size());
    part = text.substr(0, dot);
    text.remove_prefix(dot);
  } else {
    size_t at = 1;
    while (at < text.size()) {
      if (text[at] == '"') {
        if (at + 1 >= text.size() || text[at + 1] != '"') break;
        ++at;
      }
      part += text[at++];
    }
    text.remove_prefix(std::min(at + 1, text.size()));
  }
  if (text.starts_with('.')) text.remove_prefix(1);
  return part;
}

}  // namespace

TableParts SplitTable(std::string_view table) {
  TableParts parts;
  parts.schema = TakePart(table);
  if (table.empty()) return {"", std::move(parts.schema)};
  parts.name = TakePart(table);
  return parts;
}

std::optional<IndexName> IndexName::Parse(std::string_view text, std::string& problem) {
  IndexName name;
  if (text.empty()) {
    problem = "must not be empty";
    return std::nullopt;
  }
  if (std::string_view("-_+.").find(text[0]) != std::string_view::npos) {
    problem = "must begin with a letter, a digit or a placeholder";
    return std::nullopt;
  }
  while (!text.empty()) {
    if (text[0] != '{') {
      const size_t end = std::min(text.find('{'), text.size());
      const std::string_view part = text.substr(0, end);
      for (const char c : part) {
        if (c >= 'A' && c <= 'Z') {
          problem = fmt::format("'{}' has capital letters, which no index name may have", part);
          return std::nullopt;
        }
        if (IsIllegal(c) || c == '}') {
          problem = fmt::format("'{}' has a '{}', which no index name may have", part, c);
          return std::nullopt;
        }
      }
      name.parts_.push_back({Kind::kText, std::string(part)});
      text.remove_prefix(end);
      continue;
    }
    const size_t close = text.find('}');
    const std::string_view inside = text.substr(1, close == text.npos ? text.npos : close - 1);
    Kind kind = Kind::kText;
    if (inside == "source") kind = Kind::kSource;
    if (inside == "schema") kind = Kind::kSchema;
    if (inside == "table") kind = Kind::kTable;
    if (close == text.npos || kind == Kind::kText) {
      problem =
          fmt::format("'{{{}}}' is unknown; write {{source}}, {{schema}} or {{table}}", inside);
      return std::nullopt;
    }
    name.parts_.push_back({kind, {}});
    text.remove_prefix(close + 1);
  }
  if (name.Of("s", "s.t").size() > kMostBytes) {
    problem = fmt::format("is longer than {} bytes", kMostBytes);
    return std::nullopt;
  }
  return name;
}

std::string IndexName::Of(std::string_view source, std::string_view table) const {
  const TableParts names = SplitTable(table);
  std::string out;
  for (const Part& part : parts_) {
    switch (part.kind) {
      case Kind::kText:
        out += part.text;
        break;
      case Kind::kSource:
        AppendLegal(source, out);
        break;
      case Kind::kSchema:
        AppendLegal(names.schema, out);
        break;
      case Kind::kTable:
        AppendLegal(names.name, out);
        break;
    }
  }
  const size_t start = out.find_first_not_of("-_+.");
  out.erase(0, start);
  if (out.empty()) out = "table";
  return out;
}

}  // namespace tailwater::opensearch
