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

constexpr std::string_view kIncompatible = "schema_incompatible";
constexpr std::string_view kHalted = "schema_change_halted";

// It stops the table, or, where nothing is followed, concerns the change alone.
Error Refuse(std::string_view code, const TargetRequest& request, std::string_view what) {
  const bool alone = request.policy == SchemaChanges::kIgnore || request.outdated;
  return {
      alone ? Disposition::kReject : Disposition::kNeedsOperator,
      request.outdated ? "schema_outdated" : code,
      fmt::format("{} cannot go into table '{}': {}", request.change->table, request.target, what)};
}

std::string CopyAgain(const TargetRequest& request) {
  return fmt::format("tailwater sources snapshot {} {} --sink {}", request.change->source,
                     request.change->table, request.sink);
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

Status CheckNames(const TargetRequest& request) {
  const std::string target = Lower(request.target);
  if (target.empty() || target.starts_with("sqlite_") || target.starts_with("_tailwater")) {
    return Refuse(kIncompatible, request, "this name is reserved; choose another with `table:`");
  }
  std::set<std::string> names;
  for (const Column& column : request.change->schema->columns()) {
    const std::string lower = Lower(column.name);
    if (lower.starts_with("_tailwater_")) {
      return Refuse(
          kIncompatible, request,
          fmt::format("column '{}' has a reserved name; rename it in the source, or leave "
                      "the table out of the sink's `tables`",
                      column.name));
    }
    if (!names.insert(lower).second) {
      return Refuse(kIncompatible, request,
                    fmt::format("SQLite cannot tell column '{}' from another that differs in case "
                                "only; rename one in the source, or leave the table out",
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

Status CheckKey(Database& database, const TargetRequest& request) {
  TW_ASSIGN_OR_RETURN(
      const auto index_columns,
      NamesFrom(database, "SELECT name FROM pragma_index_info(?1)", KeyIndex(request.target)));
  if (index_columns.empty()) {
    return Refuse(kIncompatible, request,
                  "a table of this name exists and is not a mirror; choose another with `table:`");
  }
  const TableSchema& schema = *request.change->schema;
  std::set<std::string> held;
  std::string held_names;
  for (const auto& name : index_columns) {
    held.insert(Lower(name));
    if (name.starts_with("_tailwater_")) continue;
    held_names += (held_names.empty() ? "" : ", ") + name;
  }
  std::set<std::string> wanted = {Lower(kOriginColumn)};
  if (schema.keyless()) wanted.insert(Lower(kHashColumn));
  for (const uint32_t column : schema.key_columns()) {
    wanted.insert(Lower(schema.columns()[column].name));
  }
  if (held == wanted) return {};
  return Refuse(
      kIncompatible, request,
      fmt::format("its key changed, and the mirror finds rows by ({}); run DROP TABLE {} in the "
                  "file, the sink makes it anew, then copy its rows again: {}",
                  held_names, Quoted(request.target), CopyAgain(request)));
}

// Whole numbers become text without a loss: int4 to numeric, text or varchar.
bool WidensToText(const Column& column, std::string_view held) {
  return held == "INTEGER" && !column.key &&
         (column.type == ValueType::kText ||
          (column.type == ValueType::kDecimal && column.type_name.find(',') == std::string::npos));
}

// What has to be made in the target before the rows of a schema fit.
struct Difference {
  std::vector<const Column*> add;
  std::vector<const Column*> widen;
};

struct KnownColumn {
  std::string type;  // of the source
  int64_t since = 0;
  bool dropped = false;
};
using History = std::map<std::string, KnownColumn>;  // by name

Result<History> HistoryOf(Database& database, const Origin& origin) {
  TW_ASSIGN_OR_RETURN(Statement statement,
                      database.Prepare("SELECT name, type, since, dropped FROM "
                                       "_tailwater_column_history WHERE origin = ?1",
                                       false));
  statement.Bind(1, origin.id);
  History history;
  for (;;) {
    TW_ASSIGN_OR_RETURN(const bool row, statement.Step());
    if (!row) return history;
    history[std::string(statement.Text(0))] = {std::string(statement.Text(1)), statement.Int64(2),
                                               !statement.IsNull(3)};
  }
}

// Judges every column before anything is made; fills in what is left out.
Result<Difference> Compare(const TargetRequest& request, const History& history,
                           const std::map<std::string, std::string>& held, TargetFit& fit) {
  const TableSchema& schema = *request.change->schema;
  const std::string table = Quoted(request.target);
  Difference difference;
  std::string to_run;  // by a person, in the target
  std::set<std::string> wanted;
  for (size_t i = 0; i < schema.columns().size(); ++i) {
    const Column& column = schema.columns()[i];
    wanted.insert(column.name);
    const auto existing = held.find(Lower(column.name));
    if (existing == held.end()) {
      if (request.outdated || request.policy == SchemaChanges::kIgnore) {
        fit.left_out[i] = true;
      } else if (request.policy == SchemaChanges::kHalt) {
        to_run += fmt::format("ALTER TABLE {} ADD COLUMN {} {}; ", table, Quoted(column.name),
                              DeclaredType(column.type));
      } else {
        difference.add.push_back(&column);
      }
      continue;
    }
    if (existing->second == DeclaredType(column.type) || request.outdated) continue;
    if (request.policy == SchemaChanges::kApply && WidensToText(column, existing->second)) {
      difference.widen.push_back(&column);
      continue;
    }
    return Refuse(
        kIncompatible, request,
        fmt::format(
            "column '{}' is now {}, but the table holds {}; run {} in the file, the sink "
            "makes it anew, then copy its rows again: {}. With schema_changes: ignore such "
            "rows are refused one by one",
            column.name, column.type_name, existing->second.empty() ? "uint64" : existing->second,
            column.key ? fmt::format("DROP TABLE {}", table)
                       : fmt::format("ALTER TABLE {} DROP COLUMN {}", table, Quoted(column.name)),
            CopyAgain(request)));
  }
  if (request.policy == SchemaChanges::kHalt && !request.outdated) {
    for (const auto& [name, known] : history) {
      if (known.dropped || wanted.contains(name) || !held.contains(Lower(name))) continue;
      to_run += fmt::format("ALTER TABLE {} DROP COLUMN {}; ", table, Quoted(name));
    }
  }
  if (to_run.empty()) return difference;
  return Refuse(
      kHalted, request,
      fmt::format("its columns changed, and schema_changes is halt; run {}in the file, or "
                  "set schema_changes: apply",
                  to_run));
}

Status DropSearch(Database& database, const std::string& target);

Status Widen(Database& database, const std::string& target, const Difference& difference) {
  const std::string table = Quoted(target);
  for (const Column* column : difference.add) {
    TW_TRY(database.Execute(fmt::format("ALTER TABLE {} ADD COLUMN {} {}", table,
                                        Quoted(column->name), DeclaredType(column->type))));
  }
  if (!difference.widen.empty()) TW_TRY(DropSearch(database, target));  // it is made anew
  for (const Column* column : difference.widen) {
    const std::string name = Quoted(column->name);
    const std::string wide = Quoted("_tailwater_wide");
    TW_TRY(database.Execute(
        fmt::format("ALTER TABLE {0} ADD COLUMN {2} {3}; UPDATE {0} SET {2} = CAST({1} AS TEXT); "
                    "ALTER TABLE {0} DROP COLUMN {1}; ALTER TABLE {0} RENAME COLUMN {2} TO {1}",
                    table, name, wide, DeclaredType(column->type))));
  }
  return {};
}

// Remembers since when each column is there, and when it went. A column that the source drops
// stays. If one of its name comes back, the rows written before must not show what the old one
// held.
Status FollowColumns(Database& database, const Origin& origin, const TargetRequest& request,
                     const History& history, const std::map<std::string, std::string>& held,
                     const TargetFit& fit, const Logger& logger) {
  const int64_t version = request.schema_version;
  const TableSchema& schema = *request.change->schema;
  TW_ASSIGN_OR_RETURN(
      Statement put,
      database.Prepare(
          "INSERT OR REPLACE INTO _tailwater_column_history VALUES (?1, ?2, ?3, ?4, ?5)", false));
  std::set<std::string> wanted;
  for (size_t i = 0; i < schema.columns().size(); ++i) {
    const Column& column = schema.columns()[i];
    wanted.insert(column.name);
    if (fit.left_out[i]) continue;
    const auto known = history.find(column.name);
    const bool in_target = held.contains(Lower(column.name));
    const bool stayed = known != history.end() && !known->second.dropped && in_target;
    if (stayed && known->second.type == column.type_name) continue;
    if (stayed && !known->second.type.empty()) {
      logger.Warn("a column has another type; rows written before keep what they had",
                  {{"table", request.change->table},
                   {"column", column.name},
                   {"was", known->second.type},
                   {"is", column.type_name},
                   {"to_copy_them_again", CopyAgain(request)}});
    }
    // With no history there are no rows either.
    const int64_t since = stayed ? known->second.since : history.empty() ? 0 : version;
    if (!stayed && in_target && !column.key) {
      TW_TRY(database.Execute(fmt::format("UPDATE {} SET {} = NULL WHERE {} = {} AND {} < {}",
                                          Quoted(request.target), Quoted(column.name),
                                          kOriginColumn, origin.id, kVersionColumn, version)));
    }
    put.Bind(1, origin.id).BindText(2, column.name).BindText(3, column.type_name).Bind(4, since);
    put.BindNull(5);
    TW_TRY(put.Run());
  }
  for (const auto& [name, known] : history) {
    if (known.dropped || wanted.contains(name)) continue;
    logger.Info("a column is gone in the source; it stays in the mirror, NULL from now on",
                {{"table", request.change->table}, {"column", name}});
    put.Bind(1, origin.id).BindText(2, name).BindText(3, known.type).Bind(4, known.since);
    put.Bind(5, version);
    TW_TRY(put.Run());
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

// Before anything is made.
Status CheckSearch(const TargetRequest& request, const std::map<std::string, std::string>& held) {
  std::set<std::string> there;
  for (const Column& column : request.change->schema->columns()) there.insert(Lower(column.name));
  for (const std::string& name : *request.search) {
    if (held.contains(Lower(name)) || there.contains(Lower(name))) continue;
    return Refuse(
        "search_column_missing", request,
        fmt::format("`search:` names column '{}', which the table does not have; correct it",
                    name));
  }
  return {};
}

Status FollowSearch(Database& database, const std::string& target,
                    const std::vector<std::string>& search) {
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

Result<TargetFit> PrepareTarget(Database& database, Origin& origin, const TargetRequest& request,
                                const Logger& logger) {
  const Change& change = *request.change;
  const TableSchema& schema = *change.schema;
  TW_TRY(CheckNames(request));
  TW_ASSIGN_OR_RETURN(const auto held, ColumnsOf(database, request.target));
  TW_TRY(CheckSearch(request, held));
  TW_ASSIGN_OR_RETURN(History history, HistoryOf(database, origin));
  TargetFit fit{std::vector<bool>(schema.columns().size()), {}, {}};
  if (held.empty()) {
    if (request.outdated) {  // somebody dropped it
      return Refuse(kIncompatible, request,
                    "the table is not there, and the source has changed it since; copy its rows "
                    "again: " +
                        CopyAgain(request));
    }
    TW_TRY(database.Execute(
        fmt::format("DELETE FROM _tailwater_column_history WHERE origin = {}", origin.id)));
    history.clear();
    TW_TRY(Create(database, schema, request.target));
  } else {
    TW_TRY(CheckKey(database, request));
    TW_ASSIGN_OR_RETURN(const Difference difference, Compare(request, history, held, fit));
    TW_TRY(Widen(database, request.target, difference));
  }
  // A late change of an older schema must not undo what a newer one did.
  const bool follow = !request.outdated && change.version >= origin.schema_version;
  if (!request.outdated) TW_TRY(FollowSearch(database, request.target, *request.search));
  if (follow) {
    TW_TRY(FollowColumns(database, origin, request, history, held, fit, logger));
    origin.target = request.target;
    origin.schema_version = change.version;
    origin.changed = true;
    TW_ASSIGN_OR_RETURN(history, HistoryOf(database, origin));
  }
  std::set<std::string> wanted;
  for (const Column& column : schema.columns()) {
    wanted.insert(Lower(column.name));
    const auto known = history.find(column.name);
    fit.since.push_back(known == history.end() ? 0 : known->second.since);
  }
  TW_ASSIGN_OR_RETURN(const auto now, ColumnsOf(database, request.target));
  for (const auto& [name, known] : history) {
    if (!wanted.contains(Lower(name)) && now.contains(Lower(name))) fit.absent.push_back(name);
  }
  return fit;
}

}  // namespace tailwater
