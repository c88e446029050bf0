#include "postgres/sink/target_catalog.h"

#include "postgres/sink/sql_text.h"

namespace tailwater::postgres {

Result<std::optional<TargetDescription>> DescribeTarget(TargetSession& session,
                                                        const TableName& table) {
  TW_ASSIGN_OR_RETURN(const Rows found,
                      session.Run("SELECT c.oid, c.relkind IN ('r', 'p') FROM pg_class c JOIN "
                                  "pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 "
                                  "AND c.relname = $2",
                                  {table.schema, table.name}));
  if (found.empty()) return std::optional<TargetDescription>();
  const std::string oid = found.String(0, 0);
  TargetDescription target;
  target.is_table = found.Bool(0, 1);
  TW_ASSIGN_OR_RETURN(
      const Rows columns,
      session.Run("SELECT attname, format_type(atttypid, atttypmod), attnotnull, atthasdef OR "
                  "attidentity <> '', attgenerated <> '', attidentity = 'a' FROM pg_attribute "
                  "WHERE attrelid = "
                  "$1::oid AND attnum > 0 AND NOT attisdropped",
                  {oid}));
  for (int row = 0; row < columns.size(); ++row) {
    target.columns[columns.String(row, 0)] = {columns.String(row, 1), columns.Bool(row, 2),
                                              columns.Bool(row, 3), columns.Bool(row, 4),
                                              columns.Bool(row, 5)};
  }
  TW_ASSIGN_OR_RETURN(
      const Rows indexes,
      session.Run("SELECT c.relname, i.indimmediate, EXISTS (SELECT FROM pg_constraint k WHERE "
                  "k.conindid = i.indexrelid), a.attname FROM pg_index i JOIN pg_class c ON c.oid "
                  "= i.indexrelid JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = "
                  "ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) WHERE i.indrelid = $1::oid AND "
                  "i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL "
                  "ORDER BY c.relname",
                  {oid}));
  for (int row = 0; row < indexes.size(); ++row) {
    if (target.indexes.empty() || target.indexes.back().name != indexes.Text(row, 0)) {
      target.indexes.push_back(
          {indexes.String(row, 0), {}, indexes.Bool(row, 1), indexes.Bool(row, 2)});
    }
    target.indexes.back().columns.insert(indexes.String(row, 3));
  }
  return std::optional(std::move(target));
}

Result<bool> TypeCatalog::Knows(const std::string& type) {
  if (const auto known = known_.find(type); known != known_.end()) return known->second;
  // Not what is a pseudo type there: a column cannot have it.
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      session_.Run("SELECT EXISTS (SELECT FROM pg_type WHERE oid = to_regtype($1) AND typtype <> "
                   "'p')",
                   {type}));
  return known_[type] = rows.Bool(0, 0);
}

}  // namespace tailwater::postgres
