#include "mysql/catalog.h"

#include <set>

#include "mysql/server_facts.h"
#include "support/text.h"

namespace tailwater::mysql {

Result<TableFacts> Catalog::Table(const TableName& table) {
  TW_ASSIGN_OR_RETURN(Connection * sql, session_.Get());
  const bool mariadb = sql->flavour() == Flavour::kMariadb;
  const std::string where =
      fmt::format("TABLE_SCHEMA = {} AND TABLE_NAME = {}", sql->QuoteLiteral(table.schema),
                  sql->QuoteLiteral(table.name));
  TableFacts facts;
  TW_ASSIGN_OR_RETURN(
      const Rows kind,
      session_.Query("SELECT TABLE_TYPE FROM information_schema.TABLES WHERE " + where));
  if (kind.empty()) {
    TW_TRY(CheckGone(table));
    return facts;
  }
  facts.found = true;
  facts.system_versioned = kind.Text(0, 0) == "SYSTEM VERSIONED";
  facts.sequence = kind.Text(0, 0) == "SEQUENCE";

  std::set<std::string, std::less<>> json;
  if (mariadb) {
    // JSON is longtext with a check that the server makes: `column` CHECK (json_valid(`column`)).
    TW_ASSIGN_OR_RETURN(
        const Rows checks,
        session_.Query(fmt::format(
            "SELECT CONSTRAINT_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE "
            "CONSTRAINT_SCHEMA = {} AND TABLE_NAME = {} AND LEVEL = 'Column'",
            sql->QuoteLiteral(table.schema), sql->QuoteLiteral(table.name))));
    for (int i = 0; i < checks.size(); ++i) {
      if (checks.Text(i, 1) ==
          fmt::format("json_valid({})", Connection::QuoteName(checks.Text(i, 0))))
        json.insert(checks.String(i, 0));
    }
  }
  TW_ASSIGN_OR_RETURN(const Rows columns,
                      session_.Query("SELECT COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, EXTRA FROM "
                                     "information_schema.COLUMNS WHERE " +
                                     where + " ORDER BY ORDINAL_POSITION"));
  for (int i = 0; i < columns.size(); ++i) {
    ColumnFacts& column = facts.columns.emplace_back();
    column.name = columns.String(i, 0);
    column.column_type = columns.String(i, 1);
    column.data_type = columns.String(i, 2);
    const std::string_view extra = columns.Text(i, 3);
    // Not DEFAULT_GENERATED, which is a default.
    column.generated = extra.find("VIRTUAL GENERATED") != std::string_view::npos ||
                       extra.find("STORED GENERATED") != std::string_view::npos ||
                       extra.find("PERSISTENT") != std::string_view::npos;
    column.json = column.data_type == "longtext" && json.contains(column.name);
  }
  return facts;
}

Status Catalog::CheckGone(const TableName& table) {
  const Result<Rows> probe =
      session_.Query(fmt::format("SELECT 1 FROM {}.{} LIMIT 0", Connection::QuoteName(table.schema),
                                 Connection::QuoteName(table.name)));
  if (probe || probe.error().code != "mysql_privilege_missing")
    return probe || probe.error().disposition != Disposition::kRetry ? Status()
                                                                     : Status(probe.error());
  TW_ASSIGN_OR_RETURN(Connection * sql, session_.Get());
  TW_ASSIGN_OR_RETURN(const std::string account, ReadAccount(*sql));
  return Error{Disposition::kNeedsOperator, "mysql_privilege_missing",
               fmt::format("the user may not see table {}, whose changes are in the log: GRANT "
                           "SELECT ON {}.* TO {};",
                           table.ToString(), Connection::QuoteName(table.schema), account)};
}

Result<std::string> Catalog::Charset(uint32_t collation) {
  if (charsets_.empty()) TW_TRY(ReadCharsets());
  const auto found = charsets_.find(collation);
  return found == charsets_.end() ? std::string() : found->second;
}

Status Catalog::ReadCharsets() {
  TW_ASSIGN_OR_RETURN(Connection * sql, session_.Get());
  TW_ASSIGN_OR_RETURN(
      const Rows named,
      session_.Query("SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID IS "
                     "NOT NULL AND CHARACTER_SET_NAME IS NOT NULL"));
  for (int i = 0; i < named.size(); ++i) {
    charsets_[static_cast<uint32_t>(named.MaybeNumber(i, 0).value_or(0))] = named.String(i, 1);
  }
  // Collations that several character sets share have their ids there (uca1400).
  if (sql->flavour() == Flavour::kMariadb && sql->server_version() >= 101001) {
    TW_ASSIGN_OR_RETURN(
        const Rows shared,
        session_.Query("SELECT ID, CHARACTER_SET_NAME FROM "
                       "information_schema.COLLATION_CHARACTER_SET_APPLICABILITY WHERE ID IS NOT "
                       "NULL"));
    for (int i = 0; i < shared.size(); ++i) {
      charsets_[static_cast<uint32_t>(shared.MaybeNumber(i, 0).value_or(0))] = shared.String(i, 1);
    }
  }
  return {};
}

}  // namespace tailwater::mysql
