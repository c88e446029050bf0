#include "postgres/sink/origin_catalog.h"

#include "postgres/sink/sql_text.h"
#include "support/text.h"

namespace tailwater::postgres {

OriginCatalog::OriginCatalog(TargetSession& session, std::string state_schema, std::string sink)
    : session_(session), schema_(QuotedName(state_schema)), sink_(std::move(sink)) {}

Result<Origin*> OriginCatalog::Get(std::string_view source, std::string_view table) {
  std::pair<std::string, std::string> key(source, table);
  if (const auto known = origins_.find(key); known != origins_.end()) return known->second.get();
  const std::string columns =
      "origin, target_schema, target_table, schema_version, swept_version, deleted_version";
  TW_ASSIGN_OR_RETURN(
      Rows rows, session_.Run(fmt::format("SELECT {} FROM {}.origins WHERE sink = $1 AND source = "
                                          "$2 AND source_table = $3",
                                          columns, schema_),
                              {sink_, key.first, key.second}));
  if (rows.empty()) {
    TW_ASSIGN_OR_RETURN(
        rows, session_.Run(fmt::format("INSERT INTO {}.origins (sink, source, source_table) VALUES "
                                       "($1, $2, $3) RETURNING {}",
                                       schema_, columns),
                           {sink_, key.first, key.second}));
  }
  auto origin = std::make_unique<Origin>();
  origin->id = rows.Number(0, 0);
  origin->source = key.first;
  origin->table = key.second;
  origin->target = {rows.String(0, 1), rows.String(0, 2)};
  origin->schema_version = rows.Number(0, 3);
  origin->swept_version = rows.Number(0, 4);
  origin->deleted_version = rows.Number(0, 5);
  return origins_.emplace(std::move(key), std::move(origin)).first->second.get();
}

Result<std::optional<std::string>> OriginCatalog::OtherWriter(const Origin& origin,
                                                              const TableName& target) {
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      session_.Run(fmt::format("SELECT sink || ' (' || source || ':' || source_table || ')' FROM "
                               "{}.origins WHERE target_schema = $1 AND target_table = $2 AND "
                               "origin <> $3 LIMIT 1",
                               schema_),
                   {target.schema, target.name, std::to_string(origin.id)}));
  return rows.empty() ? std::nullopt : rows.MaybeText(0, 0);
}

Status OriginCatalog::Store() {
  for (auto& [name, origin] : origins_) {
    if (!origin->changed) continue;
    TW_TRY(session_.Run(
        fmt::format("UPDATE {}.origins SET target_schema = $2, target_table = $3, schema_version = "
                    "$4, swept_version = $5, deleted_version = $6 WHERE origin = $1",
                    schema_),
        {std::to_string(origin->id), origin->target.schema, origin->target.name,
         std::to_string(origin->schema_version), std::to_string(origin->swept_version),
         std::to_string(origin->deleted_version)}));
    origin->changed = false;
  }
  return {};
}

Status OriginCatalog::AddTargets(std::set<std::pair<std::string, std::string>>& tables) {
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      session_.Run(fmt::format("SELECT target_schema, target_table FROM {}.origins WHERE sink = $1 "
                               "AND target_table <> ''",
                               schema_),
                   {sink_}));
  for (int row = 0; row < rows.size(); ++row) {
    tables.emplace(rows.String(row, 0), rows.String(row, 1));
  }
  return {};
}

Result<ColumnHistory> OriginCatalog::Columns(const Origin& origin) {
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      session_.Run(
          fmt::format("SELECT name, type, since, dropped FROM {}.columns WHERE origin = $1",
                      schema_),
          {std::to_string(origin.id)}));
  ColumnHistory history;
  for (int row = 0; row < rows.size(); ++row) {
    history[rows.String(row, 0)] = {rows.String(row, 1), rows.Number(row, 2), !rows.IsNull(row, 3)};
  }
  return history;
}

Status OriginCatalog::PutColumn(const Origin& origin, const std::string& name,
                                const std::string& type, int64_t since,
                                std::optional<int64_t> dropped) {
  TW_TRY(session_.Run(
      fmt::format("INSERT INTO {0}.columns (origin, name, type, since, dropped) VALUES ($1, $2, "
                  "$3, $4, nullif($5, '')::bigint) ON CONFLICT (origin, name) DO UPDATE SET type = "
                  "EXCLUDED.type, since = EXCLUDED.since, dropped = EXCLUDED.dropped",
                  schema_),
      {std::to_string(origin.id), name, type, std::to_string(since),
       dropped ? std::to_string(*dropped) : std::string()}));
  return {};
}

Status OriginCatalog::ForgetColumns(const Origin& origin) {
  TW_TRY(session_.Run(fmt::format("DELETE FROM {}.columns WHERE origin = $1", schema_),
                      {std::to_string(origin.id)}));
  return {};
}

}  // namespace tailwater::postgres
