// The marks that snapshots leave in the server's log: "<chunk id>/low", "<chunk id>/high". Each is
// a transaction of its own that holds nothing else: a message, or before Postgres 14 a row.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "postgres/connection.h"
#include "postgres/postgres_config.h"
#include "support/snapshot_key.h"
#include "tailwater/schema.h"
#include "tailwater/snapshot.h"

namespace tailwater::postgres {

inline constexpr std::string_view kMarkPrefix = "tailwater.watermark";
inline constexpr std::string_view kMarkColumn = "mark";

// "low" and "high" have a meaning in the stream, other kinds ("held") only in the log.
std::string MarkText(std::string_view chunk_id, std::string_view kind);
// Nothing: not one that the stream has to be told of.
std::optional<Watermark> ParseMark(std::string_view text);

// Where marks are rows; see `watermark_table`.
TableName WatermarkTable(const PostgresConfig& config);

}  // namespace tailwater::postgres
