// The selected tables as the stream will describe them, before it has said a word: what the
// catalogs tell is put into the form of a Relation message and read as one.
#include <algorithm>
#include <map>

#include "postgres/catalog.h"
#include "postgres/postgres_tools.h"
#include "postgres/relation.h"
#include "postgres/server_facts.h"
#include "postgres/streamed_columns.h"
#include "postgres/watermarks.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

struct Activity {
  int64_t rows = 0;
  int64_t bytes = 0;  // of the rows, large values aside
  int64_t changes = 0;
};

// From catalogs and statistics alone: asking for a table's real size would wait for its locks.
Result<std::map<uint32_t, Activity>> ReadActivity(Connection& sql,
                                                  const std::vector<const TableFacts*>& tables) {
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      sql.Query("select c.oid, greatest(c.reltuples, 0)::int8, c.relpages::int8 * "
                "current_setting('block_size')::int8, coalesce(pg_stat_get_tuples_updated(c.oid) + "
                "pg_stat_get_tuples_deleted(c.oid), 0) from pg_class c where c.oid = any "
                "($1::oid[])",
                {OidArray(tables)}));
  std::map<uint32_t, Activity> activity;
  for (int i = 0; i < rows.size(); ++i) {
    activity[static_cast<uint32_t>(rows.Number(i, 0))] = {rows.Number(i, 1), rows.Number(i, 2),
                                                          rows.Number(i, 3)};
  }
  return activity;
}

// The table, and the leaves that its rows lie in.
std::vector<const TableFacts*> WithLeaves(const TableFacts& table,
                                          const std::vector<TableFacts>& all) {
  std::vector<const TableFacts*> family = {&table};
  if (table.kind != 'p') return family;
  for (const TableFacts& leaf : all) {
    if (leaf.kind == 'r' &&
        std::find(leaf.ancestors.begin(), leaf.ancestors.end(), table.oid) != leaf.ancestors.end())
      family.push_back(&leaf);
  }
  return family;
}

// The statements do not recurse: each leaf has an identity of its own.
std::string WholeBeforeRemedy(const std::vector<const TableFacts*>& family,
                              const std::map<uint32_t, Activity>& activity) {
  std::string remedy;
  Activity sum;
  for (const TableFacts* table : family) {
    if (table->identity != 'f') {
      remedy += fmt::format("ALTER TABLE {} REPLICA IDENTITY FULL;\n", table->quoted);
    }
    if (const auto found = activity.find(table->oid); found != activity.end()) {
      sum.rows += found->second.rows;
      sum.bytes += found->second.bytes;
      sum.changes += found->second.changes;
    }
  }
  remedy += "-- The log then carries the whole old row of each UPDATE and DELETE";
  if (sum.rows > 0) {
    remedy += fmt::format(": about {} bytes each, large values aside",
                          std::max<int64_t>(1, sum.bytes / sum.rows));
  }
  if (sum.changes > 0) remedy += fmt::format("; {} of them are counted so far", sum.changes);
  remedy += ".";
  return remedy;
}

}  // namespace

Result<std::vector<TableDescription>> DescribeTables(const PostgresConfig& config,
                                                     const SourceContext& context) {
  const OwnNames names = NamesFor(config, context.pipeline, context.name);
  SqlSession session(config, fmt::format("tailwater {}/{} chk", context.pipeline, context.name));
  TW_ASSIGN_OR_RETURN(Connection * sql, session.Get());
  TW_ASSIGN_OR_RETURN(const std::vector<TableFacts> all, ReadTables(*sql));
  const SelectedTables selected =
      SelectTables(all, context.tables, context.name, WatermarkTable(config));
  std::vector<const TableFacts*> families;
  for (const TableFacts* table : selected.tables) {
    const auto family = WithLeaves(*table, all);
    families.insert(families.end(), family.begin(), family.end());
  }
  TW_ASSIGN_OR_RETURN(const auto columns,
                      ReadStreamedColumns(*sql, names.publication, selected.tables));
  TW_ASSIGN_OR_RETURN(const auto activity, ReadActivity(*sql, families));

  Catalog catalog(session);
  RelationCache relations(catalog, {});
  std::vector<TableDescription> descriptions;
  for (const TableFacts* table : selected.tables) {
    TW_TRY(relations.OnRelation(DescribeRelation(*table, columns)));
    const Relation* relation = relations.Find(table->oid);
    TableDescription& description = descriptions.emplace_back();
    description.schema = relation->schema;
    description.whole_before = table->identity == 'f' && relation->old_rows_whole;
    if (!description.whole_before) {
      description.whole_before_remedy = WholeBeforeRemedy(WithLeaves(*table, all), activity);
    }
  }
  return descriptions;
}

}  // namespace tailwater::postgres
