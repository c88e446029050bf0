// What a table holds, as two numbers that do not depend on the order of its rows, worked out by the
// server.
#include <algorithm>

#include "mysql/mysql_tools.h"
#include "mysql/server_facts.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

// A value in a form that depends neither on the column's charset nor on the digits that a FLOAT is
// printed with.
std::string Comparable(const std::string& name, std::string_view type, bool character,
                       bool mariadb) {
  if (type == "float" || type == "double") return fmt::format("{} + 0e0", name);
  if (type == "bit") return fmt::format("{} + 0", name);
  if (character || type == "enum" || type == "set")
    return fmt::format("CONVERT({} USING utf8mb4)", name);
  if (type == "json" || (mariadb && (type == "uuid" || type == "inet4" || type == "inet6")))
    return fmt::format("CAST({} AS CHAR)", name);
  return name;  // numbers and times as they print; bytes, geometry and vectors as they are
}

}  // namespace

// Every column that rows are made of, in the order of the names: a restored table may have another.
// Each value is hashed by itself, so that no row is too long for max_allowed_packet.
Result<TableDigest> DigestTable(const MysqlConfig& config, const SourceContext& context,
                                const std::string& table) {
  TW_ASSIGN_OR_RETURN(
      const std::unique_ptr<Connection> sql,
      Connection::Open(config,
                       fmt::format("tailwater {}/{} digest", context.pipeline, context.name), {}));
  TW_ASSIGN_OR_RETURN(const std::vector<TableEntryFacts> tables, ReadTables(*sql));
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const TableEntryFacts& one) {
    return one.name.ToString() == table;
  });
  if (found == tables.end()) {
    TW_ASSIGN_OR_RETURN(const std::string account, ReadAccount(*sql));
    return Error{Disposition::kNeedsOperator, "mysql_table_missing",
                 fmt::format("no table {}: create it, correct `tables`, or let the user see it: "
                             "GRANT SELECT ON database.* TO {};",
                             table, account)};
  }
  TW_ASSIGN_OR_RETURN(
      const Rows columns,
      sql->Query(fmt::format(
          "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_SET_NAME, EXTRA FROM "
          "information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} ORDER BY "
          "CAST(COLUMN_NAME AS BINARY)",
          sql->QuoteLiteral(found->name.schema), sql->QuoteLiteral(found->name.name))));
  const bool mariadb = sql->flavour() == Flavour::kMariadb;
  std::string names, hashes;
  for (int i = 0; i < columns.size(); ++i) {
    if (columns.Text(i, 3).find(" GENERATED") != std::string_view::npos) continue;
    const std::string name = Connection::QuoteName(columns.Text(i, 0));
    names += (names.empty() ? "" : ",") + name;
    hashes += fmt::format("{}COALESCE(SHA2({}, 256), '-')", hashes.empty() ? "" : ", ",
                          Comparable(name, columns.Text(i, 1), !columns.IsNull(i, 2), mariadb));
  }
  if (hashes.empty()) hashes = "''";
  // Without a database of the session's own MySQL refuses a table that is made by a query.
  TW_TRY(sql->Query("USE " + Connection::QuoteName(found->name.schema)));
  Connection::Wait wait;
  wait.timeout = {};  // as long as the table takes
  // One statement: one snapshot.
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      sql->Query(
          fmt::format(
              "SELECT COUNT(*), COALESCE(SUM(CAST(CONV(LEFT(h, 16), 16, 10) AS "
              "UNSIGNED)), 0), COALESCE(SUM(CAST(CONV(RIGHT(h, 16), 16, 10) AS "
              "UNSIGNED)), 0), SHA2({}, 256) FROM (SELECT SHA2(CONCAT({}), 256) AS h FROM {}) r",
              sql->QuoteLiteral(names), hashes, found->quoted),
          wait));
  return TableDigest{static_cast<uint64_t>(rows.MaybeNumber(0, 0).value_or(0)),
                     fmt::format("{}:{}:{}", rows.Text(0, 3), rows.Text(0, 1), rows.Text(0, 2))};
}

}  // namespace tailwater::mysql
