#include "postgres/sink/target_check.h"

#include <algorithm>

#include "postgres/sink/sql_text.h"
#include "postgres/sink/target_catalog.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

void Append(std::string_view text, std::string_view separator, std::string& list) {
  if (!list.empty()) list += separator;
  list += text;
}

// One finding out of many remarks.
struct Remarks {
  TargetFinding finding;

  void Add(std::string_view what, std::string_view sql) {
    Append(what, "; ", finding.what);
    if (!sql.empty()) Append(sql, "; ", finding.sql);
  }
  void StoreIn(std::vector<TargetFinding>& findings) {
    if (!finding.what.empty()) findings.push_back(std::move(finding));
  }
};

// A table that is not there yet, which the sink makes.
Status CheckPlace(TargetSession& session, const TableName& table, Remarks& remarks) {
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      session.Run("SELECT quote_ident(current_user), quote_ident(current_database()), "
                  "has_database_privilege(current_database(), 'CREATE'), (SELECT "
                  "has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE') FROM "
                  "pg_namespace WHERE nspname = $1)",
                  {table.schema}));
  const std::string schema = QuotedName(table.schema);
  if (rows.IsNull(0, 3)) {
    if (rows.Bool(0, 2)) return {};
    remarks.Add("neither the table nor its schema is there, and the role may not make them",
                fmt::format("CREATE SCHEMA {} AUTHORIZATION {}", schema, rows.Text(0, 0)));
  } else if (!rows.Bool(0, 3)) {
    remarks.Add("the table is not there, and the role may not make it",
                fmt::format("GRANT USAGE, CREATE ON SCHEMA {} TO {}", schema, rows.Text(0, 0)));
  }
  return {};
}

void CheckColumns(const TargetDescription& target, const std::string& table, Remarks& remarks) {
  const auto is_there = [&](std::string_view name) {
    const auto held = target.columns.find(std::string(name));
    return held != target.columns.end() && held->second.type == "bigint";
  };
  if (!is_there(kVersionColumn)) {
    remarks.Add(
        fmt::format("it lacks column '{}' (guards each row against older changes)", kVersionColumn),
        fmt::format("ALTER TABLE {} ADD COLUMN {} bigint NOT NULL DEFAULT 0", table,
                    kVersionColumn));
  }
  const bool unique = std::any_of(target.indexes.begin(), target.indexes.end(),
                                  [](const TargetIndex& index) { return index.immediate; });
  if (!unique && !is_there(kHashColumn)) {
    remarks.Add(
        "it has no unique index over the source's key (CREATE UNIQUE INDEX), and, should the "
        "source have no key, no column '_tailwater_hash' (bigint, with an index)",
        {});
  }
}

}  // namespace

Status CheckDatabase(TargetSession& session, const std::string& user,
                     std::vector<TargetFinding>& findings) {
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      session.Run("SELECT has_database_privilege(current_database(), 'TEMPORARY'), "
                  "quote_ident(current_database()), current_setting('server_encoding')"));
  if (!rows.Bool(0, 0)) {
    return Error{Disposition::kNeedsOperator, "pg_privilege_missing",
                 fmt::format("rows come through temporary tables, which '{}' may not make: GRANT "
                             "TEMPORARY ON DATABASE {} TO {}",
                             user, rows.Text(0, 1), QuotedName(user))};
  }
  if (rows.Text(0, 2) != "UTF8") {
    findings.push_back(
        {"database",
         fmt::format("its encoding is {}: rows with other characters become dead letters; a new "
                     "database takes all: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
                     rows.Text(0, 2)),
         {},
         false});
  }
  return {};
}

Status CheckTable(TargetSession& session, const TableName& table, bool fires_triggers,
                  std::vector<TargetFinding>& findings) {
  const std::string name = QuotedName(table);
  Remarks remarks{{table.ToString(), {}, {}}};
  TW_ASSIGN_OR_RETURN(const auto target, DescribeTarget(session, table));
  if (!target) {
    TW_TRY(CheckPlace(session, table, remarks));
    remarks.StoreIn(findings);
    return {};
  }
  if (!target->is_table) {
    remarks.Add("it is not a table; choose another name with `table:`", {});
    remarks.StoreIn(findings);
    return {};
  }
  CheckColumns(*target, name, remarks);
  TW_ASSIGN_OR_RETURN(
      const Rows facts,
      session.Run(
          "SELECT quote_ident(current_user), has_schema_privilege(n.oid, 'USAGE'), "
          "concat_ws(', ', CASE WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'SELECT' END, "
          "CASE WHEN NOT has_table_privilege(c.oid, 'INSERT') THEN 'INSERT' END, "
          "CASE WHEN NOT has_table_privilege(c.oid, 'UPDATE') THEN 'UPDATE' END, "
          "CASE WHEN NOT has_table_privilege(c.oid, 'DELETE') THEN 'DELETE' END), "
          "row_security_active(c.oid), "
          "(SELECT string_agg(quote_ident(rulename), ', ') FROM pg_rewrite WHERE ev_class = c.oid "
          "AND ev_enabled IN ('O', 'A')), "
          "(SELECT string_agg(quote_ident(tgname), ', ') FROM pg_trigger WHERE tgrelid = c.oid AND "
          "NOT tgisinternal AND (tgenabled = 'A' OR tgenabled = CASE WHEN $3 = 'fire' THEN 'O' "
          "ELSE 'R' END)), "
          "(SELECT string_agg(quote_ident(conname), ', ') FROM pg_constraint WHERE contype = 'f' "
          "AND c.oid IN (conrelid, confrelid) AND conparentid = 0), "
          "(SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE attrelid = c.oid "
          "AND attgenerated <> '' AND NOT attisdropped) "
          "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND "
          "c.relname = $2",
          {table.schema, table.name, fires_triggers ? "fire" : "rest"}));
  if (facts.empty()) return {};  // dropped at this moment
  const std::string_view user = facts.Text(0, 0);
  if (!facts.Bool(0, 1)) {
    remarks.Add("the role may not use its schema",
                fmt::format("GRANT USAGE ON SCHEMA {} TO {}", QuotedName(table.schema), user));
  }
  if (const std::string_view lacking = facts.Text(0, 2); !lacking.empty()) {
    remarks.Add(fmt::format("the role lacks {} on it", lacking),
                fmt::format("GRANT {} ON {} TO {}", lacking, name, user));
  }
  if (facts.Bool(0, 3)) {
    remarks.Add("row level security hides rows of it from the role",
                fmt::format("ALTER ROLE {} BYPASSRLS", user));
  }
  if (!facts.IsNull(0, 4)) {
    remarks.Add(fmt::format("rules rewrite what is written to it ({}), and the sink's statements "
                            "cannot be rewritten; drop them, or make them triggers",
                            facts.Text(0, 4)),
                {});
  }
  remarks.StoreIn(findings);
  Remarks known{{table.ToString(), {}, {}, false}};
  if (!facts.IsNull(0, 5)) {
    known.Add(
        fmt::format("triggers fire for the sink's rows ({}): their functions must name tables "
                    "with their schema, for the session's search_path is pg_catalog",
                    facts.Text(0, 5)),
        {});
  }
  if (!facts.IsNull(0, 6) && fires_triggers) {
    known.Add(fmt::format("foreign keys do not hold between single changes ({}): rows that they "
                          "refuse become dead letters; drop them, or set `fire_triggers: false`",
                          facts.Text(0, 6)),
              {});
  }
  if (!facts.IsNull(0, 7)) {
    known.Add(
        fmt::format("the target computes columns ({}): values of the source for them are left "
                    "out",
                    facts.Text(0, 7)),
        {});
  }
  known.StoreIn(findings);
  return {};
}

}  // namespace tailwater::postgres
