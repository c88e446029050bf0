// What a table holds, as two numbers that do not depend on the order of its rows, worked out by the
// server.
#include <algorithm>

#include "postgres/postgres_tools.h"
#include "postgres/server_facts.h"
#include "support/text.h"

namespace tailwater::postgres {

// Every column that rows are made of, in the order of the names: a restored table may have another.
// Values by their text under the pinned session settings, in UTF-8 whatever the database's own
// encoding; row(…)::text keeps NULL and '' apart.
Result<TableDigest> DigestTable(const PostgresConfig& config, const SourceContext& context,
                                const std::string& table) {
  TW_ASSIGN_OR_RETURN(
      const std::unique_ptr<Connection> sql,
      Connection::Open(config, Connection::Kind::kSql,
                       fmt::format("tailwater {}/{} digest", context.pipeline, context.name), {}));
  TW_ASSIGN_OR_RETURN(const std::vector<TableFacts> tables, ReadTables(*sql));
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const TableFacts& one) {
    return one.name.ToString() == table;
  });
  if (found == tables.end()) {
    return Error{Disposition::kNeedsOperator, "pg_table_missing",
                 fmt::format("no table {} in database '{}': create it, or correct `tables`", table,
                             config.database)};
  }
  TW_ASSIGN_OR_RETURN(
      const Rows columns,
      sql->Query("select coalesce(string_agg(quote_ident(attname), ', ' order by attname collate "
                 "\"C\"), ''), md5(coalesce(string_agg(attname, ',' order by attname collate "
                 "\"C\"), '')) from pg_attribute where attrelid = $1::oid and attnum > 0 and not "
                 "attisdropped and attgenerated = ''",
                 {std::to_string(found->oid)}));
  // A policy that hides rows from this role is an error, never a smaller table.
  TW_TRY(sql->Query("set row_security = off"));
  Connection::Wait wait;
  wait.timeout = {};  // as long as the table takes
  // One statement: one snapshot.
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      sql->Query(
          fmt::format("select count(*), coalesce(sum(('x' || left(h, 16))::bit(64)::int8), 0), "
                      "coalesce(sum(('x' || right(h, 16))::bit(64)::int8), 0) from (select "
                      "md5(convert_to(row({})::text, 'UTF8')) as h from {}) r",
                      columns.Text(0, 0), found->quoted),
          {}, wait));
  return TableDigest{static_cast<uint64_t>(rows.Number(0, 0)),
                     fmt::format("{}:{}:{}", columns.Text(0, 1), rows.Text(0, 1), rows.Text(0, 2))};
}

}  // namespace tailwater::postgres
