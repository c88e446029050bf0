// `tailwater check` for a Postgres source: reads catalogs only, and says what to run.
#include <algorithm>

#include "postgres/catalog.h"
#include "postgres/key_order.h"
#include "postgres/postgres_tools.h"
#include "postgres/relation.h"
#include "postgres/server_facts.h"
#include "postgres/watermarks.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

using Severity = Finding::Severity;

std::string_view IdentityName(char identity) {
  switch (identity) {
    case 'd':
      return "DEFAULT";
    case 'f':
      return "FULL";
    case 'i':
      return "USING INDEX";
    default:
      return "NOTHING";
  }
}

class Checker {
 public:
  Checker(const PostgresConfig& config, const SourceContext& context)
      : config_(config),
        context_(context),
        names_(NamesFor(config, context.pipeline, context.name)),
        session_(config, fmt::format("tailwater {}/{} chk", context.pipeline, context.name)) {}

  std::vector<Finding> Run() {
    if (Status checked = CheckAll(); !checked) Fail("server", std::move(checked).error());
    return std::move(findings_);
  }

 private:
  void Add(Severity severity, std::string code, std::string subject, std::string message,
           std::string remedy = {}) {
    findings_.push_back(
        {severity, std::move(code), std::move(subject), std::move(message), std::move(remedy)});
  }
  void Fail(std::string subject, Error error) {
    std::string remedy;
    if (error.code == "pg_authentication_failed") {
      remedy = fmt::format("CREATE ROLE {0} LOGIN REPLICATION PASSWORD '…';  -- or ALTER ROLE {0}",
                           config_.user);
    }
    Add(Severity::kError, std::string(error.code), std::move(subject), std::move(error.message),
        std::move(remedy));
  }

  Status CheckAll() {
    Result<Connection*> sql = session_.Get();
    if (!sql) {
      Fail("connection", std::move(sql).error());
      return {};
    }
    sql_ = *sql;
    Add(Severity::kOk, "pg_connected", "connection",
        fmt::format("Postgres {} at {}:{}/{} as '{}', {}", sql_->server_version() / 10000,
                    config_.host, config_.port, config_.database, config_.user,
                    sql_->uses_tls() ? "TLS" : "no TLS"));
    TW_TRY(CheckSettings());
    TW_TRY(CheckOpenTransactions());
    auto replication =
        Connection::Open(config_, Connection::Kind::kReplication,
                         fmt::format("tailwater {}/{} chk", context_.pipeline, context_.name), {});
    if (replication) {
      Add(Severity::kOk, "pg_replication_role", "role", "may open replication sessions");
    } else {
      Error error = std::move(replication).error();
      const bool role = error.disposition == Disposition::kNeedsOperator;
      Add(Severity::kError, std::string(error.code), "role", std::move(error.message),
          role ? fmt::format("ALTER ROLE {} REPLICATION;", sql_->QuoteName(config_.user)) : "");
    }
    TW_ASSIGN_OR_RETURN(tables_, ReadTables(*sql_));
    selected_ = SelectTables(tables_, context_.tables, context_.name, WatermarkTable(config_));
    TW_TRY(CheckSlot());
    TW_TRY(CheckPublication());
    return CheckTables();
  }

  Status CheckSettings() {
    TW_ASSIGN_OR_RETURN(
        const Rows rows,
        sql_->Query("select current_setting('wal_level'), current_setting('max_wal_senders')::int, "
                    "(select count(*) from pg_stat_replication), "
                    "current_setting('max_replication_slots')::int, "
                    "(select count(*) from pg_replication_slots), "
                    "current_setting('max_slot_wal_keep_size', true), "
                    "current_setting('idle_replication_slot_timeout', true), pg_is_in_recovery()"));
    if (rows.Text(0, 0) == "logical") {
      Add(Severity::kOk, "pg_wal_level", "wal_level", "logical");
    } else {
      Add(Severity::kError, "pg_wal_level", "wal_level",
          fmt::format("is '{}': logical decoding is not possible", rows.Text(0, 0)),
          "ALTER SYSTEM SET wal_level = 'logical';  -- then restart the server");
    }
    const int64_t senders = rows.Number(0, 1), senders_used = rows.Number(0, 2);
    slots_free_ = rows.Number(0, 3) - rows.Number(0, 4);
    Add(senders_used < senders ? Severity::kOk : Severity::kWarning, "pg_too_many_connections",
        "max_wal_senders", fmt::format("{} of {} in use", senders_used, senders),
        senders_used < senders
            ? ""
            : fmt::format("ALTER SYSTEM SET max_wal_senders = {};  -- then restart the server",
                          senders + 5));
    max_slots_ = rows.Number(0, 3);
    if (rows.Text(0, 5) == "-1") {
      Add(Severity::kWarning, "pg_slot_keep_unbounded", "max_slot_wal_keep_size",
          "is unbounded: a stopped pipeline keeps log until the server's disk is full",
          "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB';  -- what the disk can spare\nSELECT "
          "pg_reload_conf();");
    } else if (!rows.IsNull(0, 5)) {
      Add(Severity::kOk, "pg_slot_keep_unbounded", "max_slot_wal_keep_size", rows.String(0, 5));
    }
    if (!rows.IsNull(0, 6) && rows.Text(0, 6) != "0") {
      Add(Severity::kWarning, "pg_slot_idle_timeout", "idle_replication_slot_timeout",
          fmt::format("is {}: a pipeline that is stopped for longer loses its slot",
                      rows.Text(0, 6)),
          "ALTER SYSTEM SET idle_replication_slot_timeout = 0;\nSELECT pg_reload_conf();");
    }
    if (rows.Bool(0, 7)) {
      const bool needed = config_.slot.create || config_.publication.create;
      Add(needed ? Severity::kWarning : Severity::kInfo, "pg_read_only", "server",
          "is a standby: publications cannot be created here, a slot only from 16 on, and nothing "
          "can be copied (`snapshot: {mode: never}` is needed)",
          needed ? "give the primary's address" : "");
    }
    return {};
  }

  // A slot or a snapshot begins when they have ended; `sources handover` wants none.
  Status CheckOpenTransactions() {
    TW_ASSIGN_OR_RETURN(const std::string open, DescribeOpenTransactions(*sql_));
    if (!open.empty()) {
      Add(Severity::kInfo, "open_transactions", "transactions",
          "writers have transactions open, which a new slot waits for: " + open);
    }
    return {};
  }

  Status CheckSlot() {
    TW_ASSIGN_OR_RETURN(const std::optional<SlotFacts> slot, ReadSlot(*sql_, names_.slot));
    if (slot && slot->lost()) {
      Add(Severity::kError, "pg_slot_lost", names_.slot,
          fmt::format("the slot was invalidated ({}): changes are gone, a new start is needed",
                      slot->invalidation_reason.empty() ? "its log was removed"
                                                        : slot->invalidation_reason),
          fmt::format("SELECT pg_drop_replication_slot('{}');", names_.slot));
    } else if (slot && (slot->plugin != "pgoutput" || slot->database != config_.database)) {
      Add(Severity::kError, "pg_slot_not_ours", names_.slot,
          fmt::format("the slot is of plugin '{}' and database '{}'", slot->plugin, slot->database),
          "choose another slot.name");
    } else if (slot) {
      Add(Severity::kOk, "pg_slot", names_.slot,
          slot->active ? fmt::format("the slot exists and is read by pid {}", slot->active_pid)
                       : "the slot exists");
    } else if (!config_.slot.create) {
      Add(Severity::kError, "pg_slot_missing", names_.slot,
          "the slot does not exist, and slot.create is false",
          fmt::format("SELECT pg_create_logical_replication_slot('{}', 'pgoutput');", names_.slot));
    } else if (slots_free_ <= 0) {
      Add(Severity::kError, "pg_limit_reached", "max_replication_slots",
          fmt::format("all {} slots are taken", max_slots_),
          fmt::format("ALTER SYSTEM SET max_replication_slots = {};  -- then restart the server",
                      max_slots_ + 5));
    } else {
      Add(Severity::kOk, "pg_slot", names_.slot,
          fmt::format("the first start will create the slot ({} of {} free)", slots_free_,
                      max_slots_));
    }
    return {};
  }

  std::string QuotedList(const std::vector<const TableFacts*>& tables) const {
    std::string list;
    for (const TableFacts* table : tables) list += (list.empty() ? "" : ", ") + table->quoted;
    return list;
  }
  std::string CreatePublicationSql() const {
    return fmt::format(
        "CREATE PUBLICATION {} FOR TABLE {}{};", sql_->QuoteName(names_.publication),
        QuotedList(selected_.tables),
        sql_->major_version() >= 13 ? " WITH (publish_via_partition_root = true)" : "");
  }

  Status CheckPublication() {
    const std::string name = sql_->QuoteName(names_.publication);
    TW_ASSIGN_OR_RETURN(const std::optional<PublicationFacts> publication,
                        ReadPublication(*sql_, names_.publication));
    const bool ours = publication && publication->comment == names_.tag;
    std::vector<const TableFacts*> missing;
    for (const TableFacts* table : selected_.tables) {
      const bool in = publication && (publication->Publishes(*table, tables_) ||
                                      publication->listed.count(table->oid) > 0);
      if (!in) missing.push_back(table);
    }
    if (publication && !ours) {
      const bool partitioned =
          std::any_of(selected_.tables.begin(), selected_.tables.end(),
                      [](const TableFacts* table) { return table->kind == 'p'; });
      if (publication->comment.rfind("tailwater pipeline=", 0) == 0) {
        Add(Severity::kError, "pg_publication_not_ours", names_.publication,
            fmt::format("the publication belongs to another pipeline ({})", publication->comment),
            "choose another publication.name");
      } else if (partitioned && !publication->via_root) {
        Add(Severity::kError, "pg_publication_not_via_root", names_.publication,
            "the publication names partitions instead of their table",
            fmt::format("ALTER PUBLICATION {} SET (publish_via_partition_root = true);", name));
      } else if (!missing.empty()) {
        Add(Severity::kError, "pg_publication_lacks_table", names_.publication,
            "the publication is somebody else's and lacks selected tables",
            fmt::format("ALTER PUBLICATION {} ADD TABLE {};", name, QuotedList(missing)));
      } else {
        Add(publication->whole ? Severity::kOk : Severity::kWarning, "pg_publication",
            names_.publication,
            publication->whole
                ? "the publication is somebody else's and holds the selected tables"
                : "the publication leaves out inserts, updates, deletes or truncates");
      }
      return {};
    }
    if (!publication && !config_.publication.create) {
      Add(Severity::kError, "pg_publication_missing", names_.publication,
          "the publication does not exist, and publication.create is false",
          CreatePublicationSql());
      return {};
    }
    if (missing.empty()) {
      if (publication)
        Add(Severity::kOk, "pg_publication", names_.publication,
            "the publication is ours and holds the selected tables");
      return {};
    }
    // It is for us to create or widen: may we?
    TW_ASSIGN_OR_RETURN(const Rows may,
                        sql_->Query("select has_database_privilege(current_database(), 'CREATE'), "
                                    "quote_ident(current_database()), quote_ident(current_user)"));
    std::vector<const TableFacts*> foreign;
    for (const TableFacts* table : missing) {
      TW_ASSIGN_OR_RETURN(const Rows owner,
                          sql_->Query("select pg_has_role(relowner, 'USAGE') from pg_class where "
                                      "oid = $1::oid",
                                      {std::to_string(table->oid)}));
      if (owner.empty() || !owner.Bool(0, 0)) foreign.push_back(table);
    }
    if (!publication && !may.Bool(0, 0)) {
      Add(Severity::kError, "pg_privilege_missing", names_.publication,
          "the role may not create a publication in this database",
          fmt::format("{}\n-- run by the tables' owner, with publication: {{name: {}, create: "
                      "false}}; or GRANT CREATE ON DATABASE {} TO {};",
                      CreatePublicationSql(), names_.publication, may.Text(0, 1), may.Text(0, 2)));
    } else if (!foreign.empty()) {
      Add(Severity::kError, "pg_privilege_missing", names_.publication,
          fmt::format("the role does not own {}, so it may not publish it", QuotedList(foreign)),
          publication
              ? fmt::format("ALTER PUBLICATION {} ADD TABLE {};", name, QuotedList(foreign))
              : fmt::format("{}\n-- run by the tables' owner, with publication: {{name: {}, "
                            "create: false}}",
                            CreatePublicationSql(), names_.publication));
    } else {
      Add(Severity::kOk, "pg_publication", names_.publication,
          fmt::format("the next start will {} {}",
                      publication ? "add to the publication:" : "create the publication with",
                      QuotedList(missing)));
    }
    return {};
  }

  Status CheckTables() {
    for (const std::string& table : selected_.unmatched) {
      Add(Severity::kError, "pg_table_missing", table, "no such table in this database",
          "create it, or correct `tables`");
    }
    if (selected_.tables.empty() && selected_.unmatched.empty()) {
      Add(Severity::kError, "pg_table_missing", "tables", "no table of this database is selected",
          "correct `tables`");
    }
    for (const TableFacts* table : selected_.tables) {
      const auto problems = FindTableProblems(tables_, *table, sql_->major_version());
      for (const TableProblem& problem : problems)
        Add(Severity::kError, problem.code, problem.table, problem.message, problem.remedy);
      TW_TRY(CheckColumns(*table, problems.empty()));
      TW_TRY(CheckCopy(*table));
    }
    return CheckMarks();
  }

  // What a copy of the rows that are there already needs and does; the stream needs none of it.
  Status CheckCopy(const TableFacts& table) {
    const std::string name = table.name.ToString();
    const bool lists = sql_->major_version() >= 15;
    TW_ASSIGN_OR_RETURN(
        const Rows rows,
        sql_->Query(
            fmt::format(
                "select has_schema_privilege(c.relnamespace, 'USAGE'), row_security_active(c.oid), "
                "quote_ident(current_user), pg_size_pretty((select sum(l.relpages::int8 + "
                "coalesce(t.relpages, 0)) from pg_class l left join pg_class t on t.oid = "
                "l.reltoastrelid where l.oid = c.oid or (l.relispartition and l.relkind = 'r' and "
                "exists (select from pg_partition_ancestors(l.oid) a where a.relid = c.oid))) * "
                "current_setting('block_size')::int8), {}",
                lists ? "r.columns, r.filter from pg_class c left join lateral (select (select "
                        "string_agg(quote_ident(a.attname), ', ' order by a.attnum) from "
                        "pg_attribute a where a.attrelid = p.prrelid and a.attnum = any "
                        "(p.prattrs)) as columns, pg_get_expr(p.prqual, p.prrelid) as filter from "
                        "pg_publication_rel p join pg_publication u on u.oid = p.prpubid where "
                        "p.prrelid = c.oid and u.pubname = $2) r on true where c.oid = $1::oid"
                      : "null, null from pg_class c where c.oid = $1::oid and $2 <> ''"),
            {std::to_string(table.oid), names_.publication}));
    if (rows.empty()) return {};
    std::string grants;
    if (!rows.Bool(0, 0))
      grants += fmt::format("GRANT USAGE ON SCHEMA {} TO {}; ", sql_->QuoteName(table.name.schema),
                            rows.Text(0, 2));
    if (!table.can_select)
      grants += fmt::format("GRANT SELECT ON {} TO {};", table.quoted, rows.Text(0, 2));
    if (!grants.empty()) {
      Add(Severity::kWarning, "pg_copy_privilege", name,
          "the role may not read it: rows that are there already cannot be copied "
          "(`snapshot: {mode: never}` does without)",
          grants);
    } else if (rows.Bool(0, 1)) {
      Add(Severity::kWarning, "pg_copy_privilege", name,
          "row security would hide rows from the role: rows that are there already cannot be "
          "copied "
          "(`snapshot: {mode: never}` does without)",
          fmt::format("ALTER ROLE {} BYPASSRLS;", rows.Text(0, 2)));
    }
    if (!rows.IsNull(0, 4)) {
      Add(Severity::kInfo, "pg_column_list", name,
          fmt::format("the publication lists columns: only {} are captured and copied",
                      rows.Text(0, 4)));
    }
    if (!rows.IsNull(0, 5)) {
      Add(Severity::kInfo, "pg_row_filter", name,
          fmt::format("the publication filters rows: only those with {} are captured and copied",
                      rows.Text(0, 5)));
    }
    TW_ASSIGN_OR_RETURN(const std::vector<KeyColumn> key, ReadKeyColumns(*sql_, table));
    if (key.empty()) {
      Add(Severity::kInfo, "pg_copy_whole", name,
          fmt::format("has no key: it is copied as a whole ({} by the server's statistics), the "
                      "stream waits meanwhile, and a restart begins it anew",
                      rows.Text(0, 3)));
    }
    return {};
  }

  // Where marks of snapshots have to be rows.
  Status CheckMarks() {
    if (sql_->major_version() >= 14 && config_.watermark_table.empty()) return {};
    const TableName name = WatermarkTable(config_);
    TW_ASSIGN_OR_RETURN(const std::vector<TableFacts> found, ReadTables(*sql_, &name));
    Add(Severity::kInfo, "pg_watermark_table", name.ToString(),
        found.empty() ? "snapshots write their marks to this table; the first one will create it, "
                        "or say which SQL to run if it may not"
                      : "snapshots write their marks to this table");
    return {};
  }

  Status CheckColumns(const TableFacts& table, bool usable) {
    const std::string name = table.name.ToString();
    // Key columns as the stream will have them: the identity's index, or the primary key.
    TW_ASSIGN_OR_RETURN(
        const Rows rows,
        sql_->Query(
            fmt::format("select a.attname, a.atttypid, a.atttypmod, a.attgenerated <> '', "
                        "coalesce(a.attnum = any (i.indkey[0:i.indnkeyatts - 1]), false), "
                        "a.attstorage <> 'p' from pg_attribute a left join pg_index i on "
                        "i.indrelid = a.attrelid and i.indimmediate and i.indisvalid and {} where "
                        "a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped order by "
                        "a.attnum",
                        table.identity == 'i' ? "i.indisreplident" : "i.indisprimary"),
            {std::to_string(table.oid)}));
    std::string key, toastable;
    for (int i = 0; i < rows.size(); ++i) {
      const bool is_key = rows.Bool(i, 4) && table.identity != 'n';
      if (is_key) key += (key.empty() ? "" : ", ") + rows.String(i, 0);
      if (!is_key && rows.Bool(i, 5) && !rows.Bool(i, 3))
        toastable += (toastable.empty() ? "" : ", ") + rows.String(i, 0);
    }
    if (usable) {
      Add(Severity::kOk, "pg_table", name,
          fmt::format("identity {}, key ({})", IdentityName(table.identity),
                      key.empty() ? "none: the table is keyless, only ordered as a whole" : key));
    }
    if (table.identity != 'f' && !key.empty() && !toastable.empty()) {
      const std::string what = fmt::format(
          "an UPDATE that changes the key leaves large values of {} out of the log", toastable);
      if (!config_.read_back) {
        Add(Severity::kWarning, "pg_key_change", name,
            what + "; read_back is off: they are omitted",
            fmt::format("ALTER TABLE {} REPLICA IDENTITY FULL;  -- more log per change",
                        table.quoted));
      } else if (!table.can_select) {
        Add(Severity::kWarning, "pg_key_change", name,
            what + "; they are read back, but the role may not read the table",
            fmt::format("GRANT USAGE ON SCHEMA {0} TO {1}; GRANT SELECT ON {2} TO {1};",
                        sql_->QuoteName(table.name.schema), sql_->QuoteName(config_.user),
                        table.quoted));
      } else {
        Add(Severity::kInfo, "pg_key_change", name, what + "; they are read back from the table");
      }
    }
    Catalog catalog(session_);
    TypeCache types(catalog);
    for (int i = 0; i < rows.size(); ++i) {
      const std::string column = name + "." + rows.String(i, 0);
      TW_ASSIGN_OR_RETURN(const TypeCache::Resolved type,
                          types.Resolve(static_cast<uint32_t>(rows.Number(i, 1)),
                                        static_cast<int32_t>(rows.Number(i, 2))));
      std::string message = fmt::format("{} -> {}", type.name, ValueTypeName(type.parser->type));
      if (type.parser->type == ValueType::kOther) message += " (the server's text)";
      if (rows.Bool(i, 3)) message += "; generated: the log does not carry it";
      Add(Severity::kInfo, "pg_column", column, message);
    }
    return {};
  }

  const PostgresConfig& config_;
  const SourceContext& context_;
  const OwnNames names_;
  SqlSession session_;
  Connection* sql_ = nullptr;
  std::vector<TableFacts> tables_;
  SelectedTables selected_;
  int64_t slots_free_ = 0;
  int64_t max_slots_ = 0;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> CheckServer(const PostgresConfig& config, const SourceContext& context) {
  return Checker(config, context).Run();
}

}  // namespace tailwater::postgres
