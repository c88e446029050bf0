#include "postgres/watermarks.h"

#include "support/text.h"

namespace tailwater::postgres {
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

TableName WatermarkTable(const PostgresConfig& config) {
  return ParseTableName(config.watermark_table)
      .value_or(TableName{"public", "tailwater_watermarks"});
}

}  // namespace tailwater::postgres
