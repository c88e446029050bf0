#include "postgres/streamed_columns.h"

#include "support/text.h"

namespace tailwater::postgres {

std::string OidArray(const std::vector<const TableFacts*>& tables) {
  std::string text;
  for (const TableFacts* table : tables)
    text += fmt::format("{}{}", text.empty() ? "{" : ",", table->oid);
  return text.empty() ? "{}" : text + "}";
}

// The server's own rule: a column list decides alone; else everything but generated columns, and
// stored ones where the publication says so (18).
Result<std::map<uint32_t, StreamedColumns>> ReadStreamedColumns(
    Connection& sql, const std::string& publication, const std::vector<const TableFacts*>& tables) {
  const int version = sql.major_version();
  const std::string listed =
      version >= 15
          ? "(select r.prattrs from pg_publication_rel r join pg_publication p on p.oid = "
            "r.prpubid where p.pubname = $2 and r.prrelid = c.oid)"
          : "(select null::int2vector where $2 = '')";
  const std::string generated =
      version >= 18
          ? "a.attgenerated = '' or (a.attgenerated = 's' and coalesce((select p.pubgencols = 's' "
            "from pg_publication p where p.pubname = $2), false))"
          : "a.attgenerated = ''";
  const std::string column_list =
      version >= 18 ? "a.attnum = any (l.list)" : "a.attnum = any (l.list) and a.attgenerated = ''";
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      sql.Query(
          fmt::format(
              "select c.oid, a.attname, a.atttypid, a.atttypmod, c.relreplident = 'f' or "
              "coalesce(a.attnum = any (i.indkey[0:i.indnkeyatts - 1]), false) "
              "from pg_class c cross join lateral (select {} as list) l "
              "join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped "
              "left join pg_index i on i.indrelid = c.oid and i.indimmediate and i.indisvalid and "
              "case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident "
              "else "
              "false end "
              "where c.oid = any ($1::oid[]) and case when l.list is null then {} else {} end "
              "order by c.oid, a.attnum",
              listed, generated, column_list),
          {OidArray(tables), publication}));
  std::map<uint32_t, StreamedColumns> described;
  for (int i = 0; i < rows.size(); ++i) {
    StreamedColumns& table = described[static_cast<uint32_t>(rows.Number(i, 0))];
    table.names.push_back(rows.String(i, 1));
    table.columns.push_back({.identity = rows.Bool(i, 4),
                             .name = {},
                             .type_oid = static_cast<uint32_t>(rows.Number(i, 2)),
                             .typmod = static_cast<int32_t>(rows.Number(i, 3))});
  }
  for (auto& [unused, table] : described) {
    for (size_t i = 0; i < table.columns.size(); ++i) table.columns[i].name = table.names[i];
  }
  return described;
}

RelationMessage DescribeRelation(const TableFacts& table,
                                 const std::map<uint32_t, StreamedColumns>& columns) {
  const auto found = columns.find(table.oid);
  return {.oid = table.oid,
          .schema = table.name.schema,
          .name = table.name.name,
          .identity = static_cast<ReplicaIdentity>(table.identity),
          .columns = found == columns.end()
                         ? std::span<const RelationColumn>()
                         : std::span<const RelationColumn>(found->second.columns)};
}

}  // namespace tailwater::postgres
