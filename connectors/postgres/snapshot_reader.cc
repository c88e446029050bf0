#include "postgres/snapshot_reader.h"

#include <poll.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "postgres/catalog.h"
#include "postgres/relation.h"
#include "postgres/server_facts.h"
#include "postgres/snapshot_shape.h"
#include "postgres/streamed_columns.h"
#include "postgres/watermarks.h"
#include "support/crash_point.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

using std::chrono::milliseconds;

constexpr auto kOperator = Disposition::kNeedsOperator;
// Whoever needs a stronger lock than ours waits no longer behind us than this.
constexpr auto kLockTimeout = milliseconds(2000);
// A look for the next bound that takes longer is made without the condition.
constexpr auto kBoundTimeout = milliseconds(5000);

// 12 knows the same by other names.
std::string CurrentSnapshot(const Connection& sql) {
  return sql.major_version() >= 13 ? "pg_current_snapshot()" : "txid_current_snapshot()";
}

Result<VisibleTransactions> ParseSnapshot(std::string_view text) {
  std::optional<VisibleTransactions> snapshot = VisibleTransactions::Parse(text);
  if (snapshot) return *std::move(snapshot);
  return Error{Disposition::kFatal, "pg_protocol_error",
               fmt::format("the server's snapshot is '{}'; report this", text)};
}

}  // namespace

PostgresSnapshotReader::PostgresSnapshotReader(const PostgresConfig& config,
                                               const SourceContext& context, CommitFence& fence,
                                               CopyGate& gate, std::stop_token stop)
    : config_(config),
      context_(context),
      names_(NamesFor(config, context.pipeline, context.name)),
      fence_(fence),
      gate_(gate),
      stop_(std::move(stop)),
      wake_(stop_, [this] { wakeup_.Wake(); }),
      session_(config, fmt::format("tailwater {}/{} copy", context.pipeline, context.name)),
      marks_(config, names_) {}

PostgresSnapshotReader::~PostgresSnapshotReader() {
  for (const std::string& id : open_chunks_) fence_.Close(id);
}

Result<std::unique_ptr<SnapshotReader>> PostgresSnapshotReader::Open(const PostgresConfig& config,
                                                                     const SourceContext& context,
                                                                     CommitFence& fence,
                                                                     CopyGate& gate,
                                                                     std::stop_token stop) {
  std::unique_ptr<PostgresSnapshotReader> reader(
      new PostgresSnapshotReader(config, context, fence, gate, std::move(stop)));
  TW_TRY(reader->Connect());
  return std::unique_ptr<SnapshotReader>(std::move(reader));
}

Status PostgresSnapshotReader::Connect() {
  session_.Use({stop_, &wakeup_}, nullptr);
  TW_ASSIGN_OR_RETURN(sql_, session_.Get());
  // What a transaction of ours reads must not come from the next session by accident.
  session_.NeverReopen();
  TW_ASSIGN_OR_RETURN(const Rows rows, sql_->Query("select pg_is_in_recovery()"));
  if (rows.Bool(0, 0)) {
    return Error{kOperator, "snapshot_on_standby",
                 "this server is a standby: snapshots write marks into the log, which only the "
                 "primary can; give the primary's address, or set `snapshot: {mode: never}`"};
  }
  TW_TRY(sql_->Query(fmt::format(
      "SET synchronous_commit = local; SET statement_timeout = {}; SET lock_timeout = "
      "{}; SET jit = off; SET enable_seqscan = off; SET max_parallel_workers_per_gather = 0; SET "
      "default_transaction_read_only = off",
      config_.copy_timeout.count(), kLockTimeout.count())));
  return marks_.Prepare(*sql_);
}

Status PostgresSnapshotReader::Pause(milliseconds time) {
  pollfd fd = {wakeup_.fd(), POLLIN, 0};
  poll(&fd, 1, static_cast<int>(time.count()));
  if (stop_.stop_requested()) return Error{Disposition::kCancelled, "stopped", "asked to stop"};
  return {};
}

Result<std::vector<SnapshotTable>> PostgresSnapshotReader::Tables() {
  Setup setup(config_, context_, *sql_, *sql_);
  TW_ASSIGN_OR_RETURN(const Setup::Followed followed, setup.FollowTables());
  for (const auto& [table, why] : followed.refused) {
    if (refused_.insert(table).second)
      context_.logger.Warn("table is selected, but cannot be added to the publication",
                           {{"table", table}, {"why", why}});
  }
  TW_ASSIGN_OR_RETURN(const auto columns,
                      ReadStreamedColumns(*sql_, names_.publication, followed.captured));
  // From catalogs alone: asking for a table's real size would wait for its locks.
  TW_ASSIGN_OR_RETURN(
      const Rows rows,
      sql_->Query(
          "select r.oid, sum(case when l.reltuples > 0 then l.reltuples else "
          "pg_stat_get_live_tuples(l.oid) end)::int8, sum((l.relpages::int8 + "
          "coalesce(t.relpages, 0)) * current_setting('block_size')::int8)::int8 "
          "from unnest($1::oid[]) r(oid) join pg_class l on l.oid = r.oid or (l.relispartition "
          "and l.relkind = 'r' and exists (select from pg_partition_ancestors(l.oid) a where "
          "a.relid = r.oid)) left join pg_class t on t.oid = l.reltoastrelid group by r.oid",
          {OidArray(followed.captured)}));
  std::map<uint32_t, std::pair<int64_t, int64_t>> sizes;
  for (int i = 0; i < rows.size(); ++i)
    sizes[static_cast<uint32_t>(rows.Number(i, 0))] = {rows.Number(i, 1), rows.Number(i, 2)};

  Catalog catalog(session_);
  RelationCache relations(catalog, {});
  std::vector<SnapshotTable> tables;
  for (const TableFacts* table : followed.captured) {
    TW_TRY(relations.OnRelation(DescribeRelation(*table, columns)));
    SnapshotTable& snapshot_table = tables.emplace_back();
    snapshot_table.schema = relations.Find(table->oid)->schema;
    snapshot_table.table = snapshot_table.schema->table();
    snapshot_table.identity = std::to_string(table->oid);
    const auto [count, bytes] = sizes[table->oid];
    if (count > 0) snapshot_table.rows = static_cast<uint64_t>(count);
    if (bytes > 0) snapshot_table.bytes = static_cast<uint64_t>(bytes);
  }
  return tables;
}

Result<VisibleTransactions> PostgresSnapshotReader::LookAtTransactions() {
  TW_ASSIGN_OR_RETURN(const Rows rows, sql_->Query("select " + CurrentSnapshot(*sql_)));
  TW_ASSIGN_OR_RETURN(VisibleTransactions snapshot, ParseSnapshot(rows.Text(0, 0)));
  fence_.Saw(snapshot);
  return snapshot;
}

Status PostgresSnapshotReader::Settle(const std::function<void(const std::string&)>& waiting) {
  fence_.Begin();
  // A number of our own is above all that are in use, and the snapshot behind it names them all.
  TW_TRY(sql_->Query("select txid_current()"));
  TW_ASSIGN_OR_RETURN(VisibleTransactions now, LookAtTransactions());
  std::vector<uint64_t> open = now.open;
  auto told = std::chrono::steady_clock::time_point();
  for (auto pause = milliseconds(1); !open.empty();
       pause = std::min(pause * 2, milliseconds(250))) {
    // A transaction holds a lock on its own number; pg_locks and the database's name are for
    // everybody to see.
    TW_ASSIGN_OR_RETURN(
        const Rows holders,
        sql_->Query(
            "select l.transactionid::text::int8, coalesce(a.datname <> current_database(), false), "
            "format('pid %s (open for %s, %s): %s', l.pid, "
            "coalesce(date_trunc('second', clock_timestamp() - a.xact_start)::text, '?'), "
            "coalesce(a.state, '?'), "
            "left(regexp_replace(coalesce(a.query, ''), '\\s+', ' ', 'g'), 80)) "
            "from pg_locks l left join pg_stat_activity a on a.pid = l.pid "
            "where l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted and "
            "l.pid is not null union all "
            "select transaction::text::int8, database <> current_database(), "
            "format('prepared transaction %L (since %s)', gid, date_trunc('second', prepared)) "
            "from pg_prepared_xacts"));
    TW_ASSIGN_OR_RETURN(now, LookAtTransactions());
    std::map<uint64_t, int> by_number;
    for (int i = 0; i < holders.size(); ++i)
      by_number[now.Widen(static_cast<uint32_t>(holders.Number(i, 0)))] = i;
    std::string text;
    std::erase_if(open, [&](uint64_t xid) {
      if (now.Sees(xid)) return true;
      const auto holder = by_number.find(xid);
      if (holder == by_number.end()) return false;
      if (holders.Bool(holder->second, 1)) return true;  // of another database
      text += fmt::format("{}{}", text.empty() ? "" : "; ", holders.Text(holder->second, 2));
      return false;
    });
    if (open.empty()) break;
    if (text.empty()) text = fmt::format("transaction {}", open[0]);
    if (const auto time = std::chrono::steady_clock::now();
        time - told >= std::chrono::seconds(1)) {
      told = time;
      if (waiting) waiting(text);
    }
    TW_TRY(Pause(pause));
  }
  fence_.Settled();
  return {};
}

Result<TableFacts> PostgresSnapshotReader::Find(const std::string& table) {
  const std::optional<TableName> name = ParseTableName(table);
  if (name) {
    TW_ASSIGN_OR_RETURN(std::vector<TableFacts> found, ReadTables(*sql_, &*name));
    if (!found.empty()) return std::move(found[0]);
  }
  return Error{Disposition::kReject, "table_gone",
               fmt::format("there is no table {} any more", table)};
}

Result<std::unique_ptr<PostgresSnapshotReader::Shape>> PostgresSnapshotReader::Look(
    const TableFacts& table) {
  Catalog catalog(session_);
  auto shape = std::make_unique<Shape>(catalog);
  TW_ASSIGN_OR_RETURN(const auto columns, ReadStreamedColumns(*sql_, names_.publication, {&table}));
  TW_TRY(shape->relations.OnRelation(DescribeRelation(table, columns)));
  shape->relation = shape->relations.Find(table.oid);
  const auto& names = shape->relation->schema->columns();
  for (const Column& column : names) shape->columns.push_back(sql_->QuoteName(column.name));

  if (!shape->relation->schema->keyless()) {
    TW_ASSIGN_OR_RETURN(std::vector<KeyColumn> key, ReadKeyColumns(*sql_, table));
    for (const KeyColumn& column : key) {
      const auto found = std::find_if(names.begin(), names.end(), [&](const Column& one) {
        return one.name == column.name && one.key;
      });
      if (found == names.end()) {
        return Error{kOperator, "pg_publication_conflict",
                     fmt::format("table {}: the publication's column list leaves out {} of the "
                                 "key: add it",
                                 table.name.ToString(), column.name)};
      }
      shape->key.push_back(static_cast<uint32_t>(found - names.begin()));
    }
    shape->order = KeyOrder(std::move(key));
  }
  // A schema in the publication takes its tables whole.
  if (sql_->major_version() >= 15) {
    TW_ASSIGN_OR_RETURN(
        const Rows filter,
        sql_->Query(
            "select pg_get_expr(r.prqual, r.prrelid) from pg_publication_rel r join "
            "pg_publication p on p.oid = r.prpubid where p.pubname = $1 and r.prrelid = "
            "$2::oid and not p.puballtables and not exists (select from "
            "pg_publication_namespace n where n.pnpubid = p.oid and n.pnnspid = $3::oid)",
            {names_.publication, std::to_string(table.oid), std::to_string(table.schema_oid)}));
    if (!filter.empty()) shape->filter = filter.String(0, 0);
  }
  return shape;
}

Result<SnapshotKey> PostgresSnapshotReader::NextBound(const std::string& name,
                                                      const std::string& where,
                                                      const SnapshotKey& after, size_t rows) {
  TW_ASSIGN_OR_RETURN(const TableFacts table, Find(name));
  Result<std::unique_ptr<Shape>> looked = Look(table);
  if (!looked) return Judge(std::move(looked).error(), table);
  Shape& shape = **looked;
  TW_ASSIGN_OR_RETURN(const std::string behind, Behind(shape, table, after));
  std::string key;
  for (const uint32_t column : shape.key) key += (key.empty() ? "" : ", ") + shape.columns[column];
  // The parameter makes it a single statement, whatever the condition holds.
  const auto ask = [&](const std::vector<std::string>& conditions) {
    return sql_->Query(fmt::format("{} ORDER BY {} OFFSET $1::int8 LIMIT 1",
                                   shape.Query(key, table, conditions), shape.order.OrderBy()),
                       {std::to_string(rows == 0 ? 0 : rows - 1)});
  };
  const bool conditional = !where.empty() || !shape.filter.empty();
  if (conditional) TW_TRY(SetTimeout(kBoundTimeout));
  Result<Rows> found = ask({behind, shape.filter, where});
  if (conditional) {
    if (sql_->broken()) return Judge(std::move(found).error(), table);
    TW_TRY(SetTimeout(config_.copy_timeout));
    // Few rows among many: a bound by the key alone, then, and smaller chunks.
    if (!found && found.error().code == "pg_cancelled_by_server") found = ask({behind});
  }
  if (!found) return Judge(JudgeCondition(std::move(found).error(), where), table);
  if (found->empty()) return SnapshotKey();
  std::vector<std::string> values;
  for (size_t i = 0; i < shape.key.size(); ++i)
    values.push_back(found->String(0, static_cast<int>(i)));
  return shape.order.Pack(values);
}

Result<std::string> PostgresSnapshotReader::Behind(const Shape& shape, const TableFacts& table,
                                                   const SnapshotKey& after) const {
  TW_ASSIGN_OR_RETURN(const auto values, Unpack(shape, table, after));
  return values.empty() ? std::string() : shape.order.Behind(values);
}

Result<std::vector<std::string>> PostgresSnapshotReader::Unpack(const Shape& shape,
                                                                const TableFacts& table,
                                                                const SnapshotKey& key) const {
  const std::string name = table.name.ToString();
  if (shape.key.empty()) {
    return Error{kOperator, "pg_snapshot_key_changed",
                 fmt::format("table {0} has no key any more, so it cannot be copied in parts: "
                             "cancel this copy and ask for a new one: tailwater sources snapshot "
                             "{1} {0}",
                             name, context_.name)};
  }
  if (key.empty()) return std::vector<std::string>();
  std::optional<std::vector<std::string>> values = shape.order.Unpack(key);
  if (values) return *std::move(values);
  return Error{kOperator, "pg_snapshot_key_changed",
               fmt::format("table {0} has another key than when its copy began: cancel this copy "
                           "and ask for a new one: tailwater sources snapshot {1} {0}",
                           name, context_.name)};
}

Status PostgresSnapshotReader::SetTimeout(milliseconds timeout) {
  TW_TRY(sql_->Query(fmt::format("SET statement_timeout = {}", timeout.count())));
  return {};
}

// TRUNCATE and an ALTER that rewrites show a table as empty to a snapshot that is older than they:
// so the lock comes first, and only then the transaction looks at anything.
Status PostgresSnapshotReader::Begin(const TableFacts& table, std::string_view snapshot) {
  std::string begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ";
  if (!snapshot.empty()) {
    begin += fmt::format("SET TRANSACTION SNAPSHOT {}; SET LOCAL statement_timeout = 0; ",
                         sql_->QuoteLiteral(snapshot));
  }
  TW_TRY(sql_->Query(fmt::format("{}LOCK TABLE {} IN ACCESS SHARE MODE", begin, From(table))));
  return {};
}

void PostgresSnapshotReader::RollBack() {
  // A session that cannot even do that is broken, and says so at its next use.
  if (!sql_->broken()) static_cast<void>(sql_->Query("ROLLBACK"));
}

Result<Chunk> PostgresSnapshotReader::Read(const ChunkRequest& request) {
  TW_ASSIGN_OR_RETURN(const TableFacts table, Find(request.table));
  if (!fence_.Open(request.id)) {
    TW_TRY(Settle(nullptr));
    if (!fence_.Open(request.id)) {
      return Error{Disposition::kRetry, "pg_snapshot_unsettled",
                   "more commits came than can be remembered; trying again"};
    }
  }
  open_chunks_.insert(request.id);
  TW_TRY(marks_.Write(*sql_, MarkText(request.id, "low")));
  TW_CRASH_POINT("pg_low_watermark_written");
  Result<Chunk> chunk = ReadChunk(request, table);
  if (chunk) return chunk;
  RollBack();
  fence_.Close(request.id);
  open_chunks_.erase(request.id);
  return Judge(std::move(chunk).error(), table);
}

Result<Chunk> PostgresSnapshotReader::ReadChunk(const ChunkRequest& request,
                                                const TableFacts& known) {
  TW_TRY(Begin(known, ""));
  TW_ASSIGN_OR_RETURN(
      const Rows now,
      sql_->Query(fmt::format("select {}, (extract(epoch from clock_timestamp()) * 1000000)::int8",
                              CurrentSnapshot(*sql_))));
  TW_ASSIGN_OR_RETURN(VisibleTransactions snapshot, ParseSnapshot(now.Text(0, 0)));
  fence_.Took(request.id, std::move(snapshot));
  TW_ASSIGN_OR_RETURN(const TableFacts table, FindAgain(known));
  TW_ASSIGN_OR_RETURN(const std::unique_ptr<Shape> shape, Look(table));

  std::string upto;
  TW_ASSIGN_OR_RETURN(const std::string behind, Behind(*shape, table, request.after));
  TW_ASSIGN_OR_RETURN(const auto last, Unpack(*shape, table, request.upto));
  if (!last.empty()) upto = shape->order.UpTo(last);

  Chunk chunk;
  chunk.schema = shape->relation->schema;
  chunk.rows.Keep(chunk.schema);
  chunk.read_at_micros = now.Number(0, 1);
  const std::unique_ptr<CopyRows> rows = MakeCopyRows(config_.format, shape->ForCopy());
  Result<bool> whole = sql_->CopyOut(
      fmt::format("COPY ({} ORDER BY {}) TO STDOUT {}",
                  shape->Query(rows->select(), table, {behind, upto, shape->filter, request.where}),
                  shape->order.OrderBy(), rows->options()),
      CopyWait(), [&](std::string_view message) -> Result<bool> {
        chunk.bytes += message.size();
        TW_TRY(rows->Add(message, chunk.rows));
        return request.max_bytes == 0 || chunk.bytes <= request.max_bytes ||
               chunk.rows.changes().empty();
      });
  if (!whole) return JudgeCondition(std::move(whole).error(), request.where);
  chunk.complete = *whole;
  if (!chunk.rows.changes().empty()) {
    chunk.last = shape->order.Pack(rows->key());
  }
  TW_TRY(sql_->Query(chunk.complete ? "COMMIT" : "ROLLBACK"));
  return chunk;
}

Connection::Wait PostgresSnapshotReader::CopyWait() const {
  Connection::Wait wait;
  wait.timeout = config_.copy_timeout + std::chrono::seconds(30);  // the server is to say it first
  return wait;
}

// The table as the transaction sees it, now that it is locked.
Result<TableFacts> PostgresSnapshotReader::FindAgain(const TableFacts& known) {
  TW_ASSIGN_OR_RETURN(TableFacts table, Find(known.name.ToString()));
  if (table.oid != known.oid || table.kind != known.kind) {
    return Error{
        Disposition::kRetry, "pg_table_changed",
        fmt::format("table {} was replaced meanwhile; trying again", known.name.ToString())};
  }
  return table;
}

Status PostgresSnapshotReader::Finish(const std::string& chunk_id) {
  // From here on the stream's thread judges it, once it meets the mark.
  open_chunks_.erase(chunk_id);
  Status written = marks_.Write(*sql_, MarkText(chunk_id, "high"));
  if (!written) fence_.Close(chunk_id);
  return written;
}

Error PostgresSnapshotReader::JudgeCondition(Error error, const std::string& where) {
  constexpr std::string_view kOfTheCondition[] = {"pg_column_missing", "pg_operator_missing",
                                                  "pg_protocol_error", "pg_unexpected_error",
                                                  "pg_object_missing"};
  if (where.empty() || std::find(std::begin(kOfTheCondition), std::end(kOfTheCondition),
                                 error.code) == std::end(kOfTheCondition))
    return error;
  return Error{kOperator, "pg_snapshot_condition",
               fmt::format("the server cannot use the condition ({}): cancel this copy and ask "
                           "with another: {}",
                           where, error.message)};
}

Error PostgresSnapshotReader::Judge(Error error, const TableFacts& table) {
  const std::string name = table.name.ToString();
  if (error.code == "pg_table_missing") {
    return Error{Disposition::kReject, "table_gone",
                 fmt::format("there is no table {} any more", name)};
  }
  if (error.code == "pg_cancelled_by_server")
    error.message += "; if it stays so, raise copy_timeout of the source";
  if (error.code == "pg_lock_timeout")
    error.message += fmt::format(" (table {} is locked by somebody: a migration?)", name);
  if (error.code != "pg_privilege_missing" || sql_->broken()) {
    return std::move(error).Within("copying table " + name);
  }
  const Result<Rows> rights = sql_->Query(
      "select has_schema_privilege($1::oid, 'USAGE'), has_table_privilege($2::oid, 'SELECT'), "
      "quote_ident(current_user)",
      {std::to_string(table.schema_oid), std::to_string(table.oid)});
  if (!rights || rights->empty()) return std::move(error).Within("copying table " + name);
  std::string remedy;
  if (!rights->Bool(0, 0)) {
    remedy += fmt::format("GRANT USAGE ON SCHEMA {} TO {}; ", sql_->QuoteName(table.name.schema),
                          rights->Text(0, 2));
  }
  if (!rights->Bool(0, 1))
    remedy += fmt::format("GRANT SELECT ON {} TO {}; ", table.quoted, rights->Text(0, 2));
  if (remedy.empty()) {
    remedy = fmt::format("ALTER ROLE {} BYPASSRLS; -- row security would hide rows from the copy",
                         rights->Text(0, 2));
  }
  return Error{kOperator, "pg_privilege_missing",
               fmt::format("table {} cannot be copied: {} ({})", name, remedy, error.message)};
}

}  // namespace tailwater::postgres
