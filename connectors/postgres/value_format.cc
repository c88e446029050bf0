#include "postgres/value_format.h"

#include "postgres/relation.h"
#include "support/text.h"

namespace tailwater::postgres {

Result<std::string> FindTextOnlyColumn(Connection& sql, CatalogFacts& catalog,
                                       const std::function<bool(const TableName&)>& selects) {
  // One row per table and type.
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      sql.Query("select n.nspname, c.relname, a.atttypid, min(a.attname) from pg_class c "
                "join pg_namespace n on n.oid = c.relnamespace "
                "join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not "
                "a.attisdropped where c.relkind in ('r', 'p') and c.relpersistence = 'p' and "
                "n.nspname not in ('pg_catalog', 'information_schema') group by c.oid, n.nspname, "
                "c.relname, a.atttypid order by 1, 2"));
  TypeCache types(catalog);
  for (int i = 0; i < rows.size(); ++i) {
    const TableName table{rows.String(i, 0), rows.String(i, 1)};
    if (!selects(table)) continue;
    TW_ASSIGN_OR_RETURN(const TypeCache::Resolved type,
                        types.Resolve(static_cast<uint32_t>(rows.Number(i, 2)), -1));
    if (type.parser->has_binary_form()) continue;
    return fmt::format("{}.{} of type {}", table.ToString(), rows.Text(i, 3), type.name);
  }
  return std::string();
}

}  // namespace tailwater::postgres
