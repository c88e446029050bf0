#include "sqlite/origin_catalog.h"

namespace tailwater {

Status OriginCatalog::Open(sqlite::Database& database) {
  Forget();
  database_ = &database;
  TW_TRY(database.Execute(R"(
      CREATE TABLE IF NOT EXISTS _tailwater_origins (
        origin INTEGER PRIMARY KEY, source TEXT NOT NULL, source_table TEXT NOT NULL,
        target TEXT NOT NULL DEFAULT '', schema_version INTEGER NOT NULL DEFAULT 0,
        swept_version INTEGER NOT NULL DEFAULT 0, deleted_version INTEGER NOT NULL DEFAULT 0,
        UNIQUE (source, source_table));
      CREATE TABLE IF NOT EXISTS _tailwater_columns (
        origin INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (origin, name)) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS _tailwater_column_history (
        origin INTEGER NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL DEFAULT '',
        since INTEGER NOT NULL DEFAULT 0, dropped INTEGER, PRIMARY KEY (origin, name)) WITHOUT ROWID;
      -- Files of an earlier release know the names only.
      INSERT OR IGNORE INTO _tailwater_column_history (origin, name)
        SELECT origin, name FROM _tailwater_columns WHERE NOT EXISTS (
          SELECT 1 FROM _tailwater_column_history h WHERE h.origin = _tailwater_columns.origin);)"));
  TW_ASSIGN_OR_RETURN(
      find_,
      database.Prepare("SELECT origin, target, schema_version, swept_version, deleted_version "
                       "FROM _tailwater_origins WHERE source = ?1 AND source_table = ?2"));
  TW_ASSIGN_OR_RETURN(
      insert_,
      database.Prepare("INSERT INTO _tailwater_origins (source, source_table) VALUES (?1, ?2)"));
  TW_ASSIGN_OR_RETURN(
      update_,
      database.Prepare(
          "UPDATE _tailwater_origins SET target = ?2, schema_version = ?3, swept_version = ?4, "
          "deleted_version = ?5 WHERE origin = ?1"));
  return {};
}

Result<Origin*> OriginCatalog::Get(std::string_view source, std::string_view table) {
  const auto known = origins_.find(std::pair<std::string, std::string>(source, table));
  if (known != origins_.end()) return known->second.get();
  auto origin = std::make_unique<Origin>();
  origin->source = source;
  origin->table = table;
  find_.BindText(1, source).BindText(2, table);
  TW_ASSIGN_OR_RETURN(const bool found, find_.Step());
  if (found) {
    origin->id = find_.Int64(0);
    origin->target = find_.Text(1);
    origin->schema_version = find_.Int64(2);
    origin->swept_version = find_.Int64(3);
    origin->deleted_version = find_.Int64(4);
    find_.Reset();
  } else {
    insert_.BindText(1, source).BindText(2, table);
    TW_TRY(insert_.Run());
    origin->id = database_->last_insert_rowid();
  }
  Origin* result = origin.get();
  origins_.emplace(std::pair(origin->source, origin->table), std::move(origin));
  return result;
}

Status OriginCatalog::Store() {
  for (auto& [name, origin] : origins_) {
    if (!origin->changed) continue;
    update_.Bind(1, origin->id)
        .BindText(2, origin->target)
        .Bind(3, origin->schema_version)
        .Bind(4, origin->swept_version)
        .Bind(5, origin->deleted_version);
    TW_TRY(update_.Run());
    origin->changed = false;
  }
  return {};
}

void OriginCatalog::Forget() { origins_.clear(); }

}  // namespace tailwater
