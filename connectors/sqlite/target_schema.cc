#include "sqlite/target_schema.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "sqlite/column_values.h"
#include "support/text.h"

namespace tailwater {
namespace {

using sqlite::Database;
using sqlite::Statement;

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return lower;
}

std::string KeyIndex(const std::string& target) { return "_tailwater_key_" + target; }
std::string SearchTable(const std::string& target) { return target + "_search"; }

Error Refuse(std::string_view code, const Change& change, const std::string& target,
             std::string_view what) {
  return {Disposition::kReject, code,
          fmt::format("{} cannot go into table '{}': {}", change.table, target, what)};
}

// Name, lower-cased as SQLite compares, to declared type. Empty: no such table.
Result<std::map<std::string, std::string>> ColumnsOf(Database& database, const std::string& table) {
  TW_ASSIGN_OR_RETURN(Statement statement,
                      database.Prepare("SELECT name, type FROM pragma_table_info(?1)", false));
  statement.BindText(1, table);
  std::map<std::string, std::string> columns;
  for (;;) {
    TW_ASSIGN_OR_RETURN(const bool row, statement.Step());
    if (!row) return columns;
    columns[Lower(statement.Text(0))] = statement.Text(1);
  }
}

Result<std::vector<std::string>> NamesFrom(Database& database, std::string_view sql,
                                           std::string_view parameter) {
  TW_ASSIGN_OR_RETURN(Statement statement, database.Prepare(sql, false));
  statement.BindText(1, parameter);
  std::vector<std::string> names;
  for (;;) {
    TW_ASSIGN_OR_RETURN(const bool row, statement.Step());
    if (!row) return names;
    names.emplace_back(statement.Text(0));
  }
}

Status CheckNames(const Change& change, const std::string& target) {
  if (target.empty() || Lower(target).starts_with("sqlite_") ||
      Lower(target).starts_with("_tailwater")) {
    return Refuse("schema_incompatible", change, target,
                  "this name is reserved; choose another with `table:`");
  }
  std::set<std::string> names;
  for (const Column& column : change.schema->columns()) {
    const std::string lower = Lower(column.name);
    if (lower.starts_with("_tailwater_")) {
      return Refuse("schema_incompatible", change, target,
                    fmt::format("column '{}' has a reserved name", column.name));
    }
    if (!names.insert(lower).second) {
      return Refuse(
          "schema_incompatible", change, target,
          fmt::format("SQLite cannot tell column '{}' from another that differs in case only",
                      column.name));
    }
  }
  return {};
}

Status Create(Database& database, const TableSchema& schema, const std::string& target) {
  std::string columns;
  for (const Column& column : schema.columns()) {
    columns += fmt::format("{} {}, ", Quoted(column.name), DeclaredType(column.type));
  }
  TW_TRY(database.Execute(fmt::format(
      "CREATE TABLE {} ({}{} INTEGER NOT NULL, {} INTEGER NOT NULL, {}{} INTEGER PRIMARY KEY)",
      Quoted(target), columns, kOriginColumn, kVersionColumn,
      schema.keyless() ? fmt::format("{} INTEGER NOT NULL, ", kHashColumn) : "", kRowColumn)));
  if (schema.keyless()) {
    return database.Execute(fmt::format("CREATE INDEX {} ON {} ({}, {})", Quoted(KeyIndex(target)),
                                        Quoted(target), kHashColumn, kOriginColumn));
  }
  std::string key;
  for (const uint32_t column : schema.key_columns()) {
    key += Quoted(schema.columns()[column].name) + ", ";
  }
  return database.Execute(fmt::format("CREATE UNIQUE INDEX {} ON {} ({}{})",
                                      Quoted(KeyIndex(target)), Quoted(target), key,
                                      kOriginColumn));
}

Status CheckKey(Database& database, const Change& change, const std::string& target) {
  TW_ASSIGN_OR_RETURN(
      const auto index_columns,
      NamesFrom(database, "SELECT name FROM pragma_index_info(?1)", KeyIndex(target)));
  if (index_columns.empty()) {
    return Refuse("schema_incompatible", change, target,
                  "a table of this name exists and is not a mirror; choose another with `table:`");
  }
  std::set<std::string> held;
  for (const auto& name : index_columns) held.insert(Lower(name));
  std::set<std::string> wanted = {Lower(kOriginColumn)};
  if (change.schema->keyless()) wanted.insert(Lower(kHashColumn));
  for (const uint32_t column : change.schema->key_columns()) {
    wanted.insert(Lower(change.schema->columns()[column].name));
  }
  if (held == wanted) return {};
  return Refuse(
      "schema_incompatible", change, target,
      "its key columns changed; drop that table, or choose another with `table:`, and rebuild it");
}

Status Widen(Database& database, const Change& change, const std::string& target,
             const std::map<std::string, std::string>& held) {
  for (const Column& column : change.schema->columns()) {
    const auto existing = held.find(Lower(column.name));
    if (existing == held.end()) {
      TW_TRY(database.Execute(fmt::format("ALTER TABLE {} ADD COLUMN {} {}", Quoted(target),
                                          Quoted(column.name), DeclaredType(column.type))));
    } else if (existing->second != DeclaredType(column.type)) {
      return Refuse(
          "schema_incompatible", change, target,
          fmt::format("column '{}' is now {}, but the table holds {}; drop that table, or choose "
                      "another with `table:`, and rebuild it",
                      column.name, column.type_name,
                      existing->second.empty() ? "uint64" : existing->second));
    }
  }
  return {};
}

// A column that the source drops stays, with what it held. If one of its name comes back, the rows
// written before must not show what the old one held.
Status FollowColumns(Database& database, const Origin& origin, const Change& change,
                     const std::string& target, const std::map<std::string, std::string>& held) {
  std::set<std::string> wanted;
  for (const Column& column : change.schema->columns()) wanted.insert(column.name);
  TW_ASSIGN_OR_RETURN(
      const auto known,
      NamesFrom(database, "SELECT name FROM _tailwater_columns WHERE origin = CAST(?1 AS INTEGER)",
                std::to_string(origin.id)));
  TW_ASSIGN_OR_RETURN(
      Statement remove,
      database.Prepare("DELETE FROM _tailwater_columns WHERE origin = ?1 AND name = ?2", false));
  for (const std::string& name : known) {
    if (wanted.erase(name) > 0) continue;
    remove.Bind(1, origin.id).BindText(2, name);
    TW_TRY(remove.Run());
  }
  TW_ASSIGN_OR_RETURN(Statement insert,
                      database.Prepare("INSERT INTO _tailwater_columns VALUES (?1, ?2)", false));
  for (const std::string& name : wanted) {
    if (held.contains(Lower(name))) {
      TW_TRY(database.Execute(fmt::format("UPDATE {} SET {} = NULL WHERE {} = {} AND {} < {}",
                                          Quoted(target), Quoted(name), kOriginColumn, origin.id,
                                          kVersionColumn, change.version)));
    }
    insert.Bind(1, origin.id).BindText(2, name);
    TW_TRY(insert.Run());
  }
  return {};
}

Status DropSearch(Database& database, const std::string& target) {
  const std::string search = SearchTable(target);
  for (const char* suffix : {"_insert", "_delete", "_update"}) {
    TW_TRY(database.Execute("DROP TRIGGER IF EXISTS " + Quoted("_tailwater_" + search + suffix)));
  }
  return database.Execute("DROP TABLE IF EXISTS " + Quoted(search));
}

Status CreateSearch(Database& database, const std::string& target,
                    const std::vector<std::string>& columns) {
  const std::string search = SearchTable(target);
  const std::string table = Quoted(search);
  std::string names, old_values, new_values, differs;
  for (const std::string& column : columns) {
    const std::string quoted = Quoted(column);
    names += ", " + quoted;
    old_values += ", old." + quoted;
    new_values += ", new." + quoted;
    differs += (differs.empty() ? "" : " OR ") + fmt::format("old.{0} IS NOT new.{0}", quoted);
  }
  const std::string add = fmt::format("INSERT INTO {} (rowid{}) VALUES (new.{}{});", table, names,
                                      kRowColumn, new_values);
  const std::string remove =
      fmt::format("INSERT INTO {0} ({0}, rowid{1}) VALUES ('delete', old.{2}{3});", table, names,
                  kRowColumn, old_values);
  const auto trigger = [&](const char* suffix, std::string_view when, const std::string& body) {
    return database.Execute(fmt::format("CREATE TRIGGER {} AFTER {} BEGIN {} END",
                                        Quoted("_tailwater_" + search + suffix), when, body));
  };
  const std::string on = " ON " + Quoted(target);
  std::string content;  // a string literal
  for (const char c : target) content += c == '\'' ? "''" : std::string(1, c);
  TW_TRY(database.Execute(
      fmt::format("CREATE VIRTUAL TABLE {} USING fts5({}, content='{}', content_rowid='{}')", table,
                  names.substr(2), content, kRowColumn)));
  TW_TRY(trigger("_insert", "INSERT" + on, add));
  TW_TRY(trigger("_delete", "DELETE" + on, remove));
  TW_TRY(trigger("_update", "UPDATE" + on + " WHEN " + differs, remove + add));
  return database.Execute(fmt::format("INSERT INTO {0} ({0}) VALUES ('rebuild')", table));
}

Status FollowSearch(Database& database, const Change& change, const std::string& target,
                    const std::vector<std::string>& search) {
  TW_ASSIGN_OR_RETURN(const auto columns, ColumnsOf(database, target));
  for (const std::string& name : search) {
    if (columns.contains(Lower(name))) continue;
    return Refuse("search_column_missing", change, target,
                  fmt::format("`search:` names column '{}', which the table does not have", name));
  }
  TW_ASSIGN_OR_RETURN(const auto held, NamesFrom(database, "SELECT name FROM pragma_table_info(?1)",
                                                 SearchTable(target)));
  if (held == search) return {};
  TW_TRY(DropSearch(database, target));
  return search.empty() ? Status() : CreateSearch(database, target, search);
}

}  // namespace

std::string DefaultTarget(const TableName& name) {
  return name.schema.empty() || name.schema == "public" ? name.name : name.schema + "_" + name.name;
}

Status PrepareTarget(Database& database, Origin& origin, const Change& change,
                     const std::string& target, const std::vector<std::string>& search) {
  TW_TRY(CheckNames(change, target));
  TW_ASSIGN_OR_RETURN(const auto held, ColumnsOf(database, target));
  if (held.empty()) {
    TW_TRY(Create(database, *change.schema, target));
  } else {
    TW_TRY(CheckKey(database, change, target));
    TW_TRY(Widen(database, change, target, held));
  }
  TW_TRY(FollowSearch(database, change, target, search));
  // A late change of an older schema must not undo what a newer one did.
  if (change.version < origin.schema_version) return {};
  TW_TRY(FollowColumns(database, origin, change, target, held));
  origin.target = target;
  origin.schema_version = change.version;
  origin.changed = true;
  return {};
}

}  // namespace tailwater
