#include "postgres/server_facts.h"

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "support/text.h"

namespace tailwater::postgres {
namespace {

std::optional<Lsn> MaybeLsn(const Rows& rows, int row, int column) {
  if (rows.IsNull(row, column)) return std::nullopt;
  return Lsn::Parse(rows.Text(row, column));
}

std::vector<uint32_t> OidList(std::string_view text) {
  std::vector<uint32_t> oids;
  while (!text.empty()) {
    uint32_t oid = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), oid);
    if (error != std::errc()) break;
    oids.push_back(oid);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (!text.empty()) text.remove_prefix(1);
  }
  return oids;
}

std::string AlterIdentity(const TableFacts& table) {
  return fmt::format("ALTER TABLE {} REPLICA IDENTITY FULL;  -- or give it a primary key",
                     table.quoted);
}

}  // namespace

Result<ServerFacts> ReadServer(Connection& replication, Connection& sql) {
  ServerFacts facts;
  TW_ASSIGN_OR_RETURN(const Rows system, replication.Query("IDENTIFY_SYSTEM"));
  const std::optional<Lsn> end = Lsn::Parse(system.Text(0, 2));
  if (!end) {
    return Error{Disposition::kFatal, "pg_protocol_error",
                 fmt::format("IDENTIFY_SYSTEM says '{}'; report this", system.Text(0, 2))};
  }
  facts.system_identifier = system.String(0, 0);
  facts.timeline = static_cast<uint32_t>(system.Number(0, 1));
  facts.wal_end = *end;
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      sql.Query("select oid, pg_is_in_recovery(), current_setting('wal_level') from pg_database "
                "where datname = current_database()"));
  facts.database_oid = static_cast<uint32_t>(rows.Number(0, 0));
  facts.in_recovery = rows.Bool(0, 1);
  facts.wal_level = rows.String(0, 2);
  return facts;
}

Result<std::optional<SlotFacts>> ReadSlot(Connection& sql, const std::string& name) {
  const int version = sql.major_version();
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      sql.Query(fmt::format("select plugin, database, temporary, active, active_pid, restart_lsn, "
                            "confirmed_flush_lsn, {}, {}, {} from pg_replication_slots where "
                            "slot_name = $1",
                            version >= 13 ? "wal_status, safe_wal_size" : "null, null",
                            version >= 17 ? "invalidation_reason" : "null",
                            version >= 16 ? "coalesce(conflicting, false)" : "false"),
                {name}));
  if (rows.empty()) return std::optional<SlotFacts>();
  SlotFacts slot;
  slot.name = name;
  slot.plugin = rows.String(0, 0);
  slot.database = rows.String(0, 1);
  slot.temporary = rows.Bool(0, 2);
  slot.active = rows.Bool(0, 3);
  slot.active_pid = rows.Number(0, 4);
  slot.restart = MaybeLsn(rows, 0, 5);
  slot.confirmed = MaybeLsn(rows, 0, 6);
  slot.wal_status = rows.String(0, 7);
  slot.safe_wal_size = rows.MaybeNumber(0, 8);
  slot.invalidation_reason = rows.String(0, 9);
  slot.conflicting = rows.Bool(0, 10);
  return std::optional<SlotFacts>(std::move(slot));
}

std::string SlotFacts::WhyLost() const {
  std::string reason = invalidation_reason;
  // Before 17 the reason is not shown. Removed log takes the position with it, a conflict does not.
  if (reason.empty()) reason = conflicting && restart ? "conflict with recovery" : "wal_removed";
  if (reason == "wal_removed")
    return reason + ": it held back more log than max_slot_wal_keep_size allows";
  if (reason == "idle_timeout")
    return reason + ": nobody read it for idle_replication_slot_timeout";
  if (reason == "rows_removed")
    return reason +
           ": the primary removed catalog rows that this standby's decoding needs; set "
           "hot_standby_feedback = on and give the standby a physical slot";
  if (reason == "wal_level_insufficient")
    return reason + ": wal_level of the primary was lowered below logical";
  if (reason == "conflict with recovery")
    return reason +
           ": the primary removed catalog rows that this standby's decoding needs, or its "
           "wal_level was lowered";
  return reason;
}

bool PublicationFacts::Publishes(const TableFacts& table,
                                 const std::vector<TableFacts>& all) const {
  const auto holds = [&](const TableFacts& one) {
    return all_tables || listed.count(one.oid) > 0 || schemas.count(one.schema_oid) > 0;
  };
  const bool parent = std::any_of(all.begin(), all.end(), [&](const TableFacts& one) {
    return std::find(table.ancestors.begin(), table.ancestors.end(), one.oid) !=
               table.ancestors.end() &&
           holds(one);
  });
  if (via_root) return holds(table) && !parent;
  return table.kind == 'r' && (holds(table) || parent);
}

Result<std::optional<PublicationFacts>> ReadPublication(Connection& sql, const std::string& name) {
  const int version = sql.major_version();
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      sql.Query(
          fmt::format(
              "select p.oid, puballtables, {}, pubinsert and pubupdate and pubdelete and "
              "pubtruncate, obj_description(p.oid, 'pg_publication'), "
              "(select string_agg(prrelid::text, ',') from pg_publication_rel where prpubid = "
              "p.oid), {} from pg_publication p where pubname = $1",
              version >= 13 ? "pubviaroot" : "false",
              version >= 15
                  ? "(select string_agg(pnnspid::text, ',') from pg_publication_namespace "
                    "where pnpubid = p.oid)"
                  : "null"),
          {name}));
  if (rows.empty()) return std::optional<PublicationFacts>();
  PublicationFacts facts;
  facts.oid = static_cast<uint32_t>(rows.Number(0, 0));
  facts.all_tables = rows.Bool(0, 1);
  facts.via_root = rows.Bool(0, 2);
  facts.whole = rows.Bool(0, 3);
  facts.comment = rows.String(0, 4);
  for (const uint32_t oid : OidList(rows.Text(0, 5))) facts.listed.insert(oid);
  for (const uint32_t oid : OidList(rows.Text(0, 6))) facts.schemas.insert(oid);
  return std::optional<PublicationFacts>(std::move(facts));
}

Result<std::vector<TableFacts>> ReadTables(Connection& sql, const TableName* only) {
  std::vector<std::string> parameters;
  if (only != nullptr) parameters = {only->schema, only->name};
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      sql.Query(
          fmt::format(
              "select c.oid, n.nspname, c.relname, format('%I.%I', n.nspname, c.relname), "
              "c.relkind, "
              "c.relpersistence, c.relreplident, "
              "exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary and "
              "i.indimmediate and i.indisvalid), "
              "exists (select from pg_index i where i.indrelid = c.oid and i.indisreplident and "
              "i.indimmediate and i.indisvalid), "
              "case when c.relispartition then (select string_agg(a.relid::oid::text, ',') from "
              "pg_partition_ancestors(c.oid) a where a.relid <> c.oid) end, "
              "coalesce(has_table_privilege(c.oid, 'SELECT'), false), c.relnamespace "
              "from pg_class c join pg_namespace n on n.oid = c.relnamespace "
              "where c.relkind in ('r', 'p') and c.relpersistence <> 't' and n.nspname !~ '^pg_' "
              "and "
              "n.nspname <> 'information_schema' {} order by n.nspname, c.relname",
              only != nullptr ? "and n.nspname = $1 and c.relname = $2" : ""),
          parameters));
  std::vector<TableFacts> tables(static_cast<size_t>(rows.size()));
  for (int i = 0; i < rows.size(); ++i) {
    TableFacts& table = tables[static_cast<size_t>(i)];
    table.oid = static_cast<uint32_t>(rows.Number(i, 0));
    table.name = {rows.String(i, 1), rows.String(i, 2)};
    table.quoted = rows.String(i, 3);
    table.kind = rows.Text(i, 4)[0];
    table.persistence = rows.Text(i, 5)[0];
    table.identity = rows.Text(i, 6)[0];
    table.primary_key = rows.Bool(i, 7);
    table.identity_index = rows.Bool(i, 8);
    table.ancestors = OidList(rows.Text(i, 9));
    table.can_select = rows.Bool(i, 10);
    table.schema_oid = static_cast<uint32_t>(rows.Number(i, 11));
  }
  return tables;
}

SelectedTables SelectTables(const std::vector<TableFacts>& all, const TableSelection& selection,
                            const std::string& source, const TableName& mark_table) {
  SelectedTables selected;
  std::unordered_set<uint32_t> matching;
  for (const TableFacts& table : all) {
    if (table.name != mark_table && selection.Selects(source, table.name.ToString()))
      matching.insert(table.oid);
  }
  for (const TableFacts& table : all) {
    const bool under_selected_parent =
        std::any_of(table.ancestors.begin(), table.ancestors.end(),
                    [&](uint32_t parent) { return matching.count(parent) > 0; });
    // What a wildcard takes along is only what can be captured.
    const bool named = std::any_of(
        selection.entries().begin(), selection.entries().end(), [&](const TableEntry& entry) {
          return !entry.match.has_wildcard() && entry.match.Matches(source, table.name.ToString());
        });
    if (matching.count(table.oid) > 0 && !under_selected_parent &&
        (table.persistence == 'p' || named))
      selected.tables.push_back(&table);
  }
  for (const TableEntry& entry : selection.entries()) {
    if (entry.match.has_wildcard() || (!entry.match.source.empty() && entry.match.source != source))
      continue;
    const bool found = std::any_of(all.begin(), all.end(), [&](const TableFacts& table) {
      return entry.match.Matches(source, table.name.ToString());
    });
    if (!found) selected.unmatched.push_back(entry.match.glob);
  }
  return selected;
}

std::vector<TableProblem> FindTableProblems(const std::vector<TableFacts>& all,
                                            const TableFacts& table, int major_version) {
  std::vector<TableProblem> problems;
  const std::string name = table.name.ToString();
  if (table.persistence != 'p') {
    problems.push_back({"pg_table_unlogged", name, "is unlogged: nothing of it is in the log",
                        fmt::format("ALTER TABLE {} SET LOGGED;", table.quoted)});
    return problems;
  }
  if (table.kind == 'p' && major_version < 13) {
    problems.push_back({"pg_table_partitioned", name,
                        "is partitioned: Postgres 12 cannot publish it under its own name",
                        "select its partitions, or upgrade to 13 or later"});
    return problems;
  }
  constexpr const char* kNoIdentity =
      "has no replica identity: once published, its UPDATE and DELETE would fail";
  // Rows lie in the leaves, and the leaves' identity is what UPDATE and DELETE ask for.
  if (table.kind == 'p') {
    for (const TableFacts& leaf : all) {
      if (leaf.kind != 'r' || std::find(leaf.ancestors.begin(), leaf.ancestors.end(), table.oid) ==
                                  leaf.ancestors.end())
        continue;
      if (!leaf.has_identity()) {
        problems.push_back(
            {"pg_table_identity", leaf.name.ToString(), kNoIdentity, AlterIdentity(leaf)});
      }
    }
    if (table.identity == 'n') {
      problems.push_back({"pg_table_identity", name, kNoIdentity, AlterIdentity(table)});
    }
  } else if (!table.has_identity()) {
    problems.push_back({"pg_table_identity", name, kNoIdentity, AlterIdentity(table)});
  }
  return problems;
}

Result<std::string> DescribeOpenTransactions(Connection& sql) {
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      sql.Query("select format('pid %s (open for %s, %s): %s', pid, "
                "date_trunc('second', clock_timestamp() - xact_start), coalesce(state, '?'), "
                "left(regexp_replace(coalesce(query, ''), '\\s+', ' ', 'g'), 80)) "
                "from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid() "
                "union all "
                "select format('prepared transaction %L (since %s)', gid, date_trunc('second', "
                "prepared)) from pg_prepared_xacts limit 5"));
  std::string text;
  for (int i = 0; i < rows.size(); ++i) {
    if (i > 0) text += "; ";
    text += rows.Text(i, 0);
  }
  return text;
}

}  // namespace tailwater::postgres
