#include "sqlite/tombstones.h"

#include <ctime>

namespace tailwater {
namespace {

constexpr int64_t kKeepSeconds = 24 * 3600;

}  // namespace

Status Tombstones::Open(sqlite::Database& database) {
  // Rows lie in the order of deletion, so the oldest are found without an index.
  TW_TRY(database.Execute(R"(
      CREATE TABLE IF NOT EXISTS _tailwater_tombstones (
        row INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, version INTEGER NOT NULL,
        deleted_at INTEGER NOT NULL);)"));
  TW_ASSIGN_OR_RETURN(
      add_, database.Prepare(
                "INSERT INTO _tailwater_tombstones (key, version, deleted_at) VALUES (?1, ?2, ?3) "
                "ON CONFLICT (key) DO UPDATE SET version = excluded.version, deleted_at = "
                "excluded.deleted_at "
                "WHERE excluded.version > version"));
  TW_ASSIGN_OR_RETURN(find_,
                      database.Prepare("SELECT version FROM _tailwater_tombstones WHERE key = ?1"));
  TW_ASSIGN_OR_RETURN(
      prune_, database.Prepare("DELETE FROM _tailwater_tombstones WHERE deleted_at < ?1 AND row IN "
                               "(SELECT row FROM _tailwater_tombstones ORDER BY row LIMIT 1000)"));
  return {};
}

Status Tombstones::Add(std::string_view key, int64_t version) {
  add_.BindBlob(1, key).Bind(2, version).Bind(3, static_cast<int64_t>(std::time(nullptr)));
  return add_.Run();
}

Result<std::optional<int64_t>> Tombstones::Find(std::string_view key) {
  find_.BindBlob(1, key);
  TW_ASSIGN_OR_RETURN(const bool found, find_.Step());
  if (!found) return std::optional<int64_t>();
  const int64_t version = find_.Int64(0);
  find_.Reset();
  return std::optional<int64_t>(version);
}

Status Tombstones::Prune() {
  prune_.Bind(1, static_cast<int64_t>(std::time(nullptr)) - kKeepSeconds);
  return prune_.Run();
}

}  // namespace tailwater
