#include "mysql/statement_effects.h"

#include <algorithm>
#include <utility>

#include "mysql/charset.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

using Kind = SqlStatement::Kind;

Error StatementFormat(const std::string& table) {
  return {
      Disposition::kGap, "mysql_statement_format",
      fmt::format("rows of {} were changed by a statement that is in the log as text, without "
                  "them: SET GLOBAL binlog_format = ROW, find the session that sets another one "
                  "(binlog_format, or a connection older than the setting), then copy the tables "
                  "again",
                  table)};
}

Error StatementUnknown() {
  return {
      Disposition::kFatal, "mysql_statement_unknown",
      "a statement in the log is of a kind that is not known here, and may have changed rows of "
      "a captured table; nothing was skipped: look at it with `SHOW BINLOG EVENTS`, and upgrade "
      "tailwater"};
}

bool IsAscii(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

void FoldText(std::string& text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
}

void FoldName(TableName& table) {
  FoldText(table.schema);
  FoldText(table.name);
}

}  // namespace

// Names and keywords are looked for in UTF-8. What is no text of its character set (a hash in a
// CREATE USER) stays as it is.
Result<QueryEvent> StatementEffects::InUtf8(const QueryEvent& query) {
  if (query.client_charset == 0 || IsAscii(query.sql)) return query;
  TW_ASSIGN_OR_RETURN(const std::string name, facts_.Charset(query.client_charset));
  const Charset* const charset = Charset::Find(name);
  QueryEvent converted = query;
  utf8_.clear();
  if (charset != nullptr && !charset->is_utf8() && charset->ToUtf8(query.sql, utf8_)) {
    converted.sql = utf8_;
  }
  return converted;
}

void StatementEffects::Fold(SqlStatement& statement) const {
  if (!fold_names_) return;
  FoldName(statement.altered);
  for (auto* names : {&statement.tables, &statement.created, &statement.dropped}) {
    std::for_each(names->begin(), names->end(), FoldName);
  }
  FoldText(statement.dropped_database);
}

Result<SqlStatement> StatementEffects::Read(const QueryEvent& query, Flavour flavour) {
  TW_ASSIGN_OR_RETURN(const QueryEvent converted, InUtf8(query));
  SqlStatement statement = ReadStatement(converted, flavour);
  Fold(statement);
  return statement;
}

Result<StatementEffects::Effects> StatementEffects::Of(const SqlStatement& statement) {
  Effects effects;
  switch (statement.kind) {
    case Kind::kNothing:
      return effects;
    case Kind::kSchemaChange:
      return OfSchemaChange(statement);
    case Kind::kTruncate:
      std::copy_if(statement.tables.begin(), statement.tables.end(),
                   std::back_inserter(effects.truncated),
                   [&](const TableName& table) { return Selects(table); });
      return effects;
    case Kind::kRowsByStatement:
      if (statement.tables.empty()) return StatementFormat("tables that cannot be told");
      for (const TableName& table : statement.tables) {
        if (Selects(table)) return StatementFormat(table.ToString());
      }
      return effects;
    default:
      return StatementUnknown();
  }
}

StatementEffects::Effects StatementEffects::OfSchemaChange(const SqlStatement& statement) {
  Effects effects;
  effects.described_anew = !statement.altered.name.empty() && Selects(statement.altered);
  for (const TableName& table : statement.tables) {
    dropped_.erase(table);
    if (Selects(table)) effects.replaced.push_back({table, statement.why});
  }
  for (const TableName& table : statement.created) {
    if (!Selects(table)) continue;
    effects.described_anew = true;
    if (dropped_.erase(table) != 0 || dropped_databases_.contains(table.schema)) {
      effects.replaced.push_back({table, "DROP and CREATE TABLE"});
    }
  }
  for (const TableName& table : statement.dropped) {
    if (Selects(table)) dropped_.insert(table);
  }
  if (!statement.dropped_database.empty()) dropped_databases_.insert(statement.dropped_database);
  effects.described_anew = effects.described_anew || !effects.replaced.empty();
  return effects;
}

}  // namespace tailwater::mysql
