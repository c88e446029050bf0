#include "postgres/watermarks.h"

#include "support/text.h"

namespace tailwater::postgres {
namespace {

// One part of a name, up to the dot behind it or the end.
bool TakePart(std::string_view& text, std::string& part) {
  part.clear();
  if (text.empty() || text[0] != '"') {
    const size_t end = text.find('.');
    part = text.substr(0, end);
    text.remove_prefix(part.size());
    return !part.empty() && part.find('"') == std::string::npos;
  }
  for (text.remove_prefix(1); !text.empty(); text.remove_prefix(1)) {
    if (text[0] == '"') {
      text.remove_prefix(1);
      if (text.empty() || text[0] != '"') return !part.empty();
    }
    part.push_back(text[0]);
  }
  return false;
}

}  // namespace

std::string MarkText(std::string_view chunk_id, std::string_view kind) {
  return fmt::format("{}/{}", chunk_id, kind);
}

std::optional<Watermark> ParseMark(std::string_view text) {
  const size_t slash = text.rfind('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view kind = text.substr(slash + 1);
  Watermark mark;
  mark.chunk_id = text.substr(0, slash);
  if (kind == "high") {
    mark.kind = Watermark::Kind::kHigh;
  } else if (kind != "low") {
    return std::nullopt;
  }
  return mark;
}

std::optional<TableName> ParseTableName(std::string_view text) {
  TableName name;
  if (!TakePart(text, name.schema) || text.empty() || text[0] != '.') return std::nullopt;
  text.remove_prefix(1);
  if (!TakePart(text, name.name) || !text.empty()) return std::nullopt;
  return name;
}

TableName WatermarkTable(const PostgresConfig& config) {
  return ParseTableName(config.watermark_table)
      .value_or(TableName{"public", "tailwater_watermarks"});
}

}  // namespace tailwater::postgres
