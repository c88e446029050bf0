#include "mysql/snapshot_reader.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "mysql/copy_rows.h"
#include "support/crash_point.h"
#include "support/snapshot_key.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

using std::chrono::milliseconds;
using Form = LogPosition::Form;

constexpr auto kOperator = Disposition::kNeedsOperator;
// Whoever needs a stronger lock than ours waits no longer behind us than this.
constexpr int kLockSeconds = 2;
// Writers of rows that are locked for sharing are waited for no longer than this.
constexpr int kRowLockSeconds = 5;
// One look at what the server shows already.
constexpr auto kLook = milliseconds(500);
// A look for the next bound that takes longer is made without the condition.
constexpr auto kBoundTimeout = milliseconds(5000);
// A table that is altered, or fought for, all the time is left to the engine's patience.
constexpr int kAttempts = 5;

std::string Seconds(milliseconds time) {
  return fmt::format("{}.{:03}", time.count() / 1000, time.count() % 1000);
}

std::string And(const std::vector<std::string>& conditions) {
  std::string where;
  for (const std::string& condition : conditions) {
    // The line end closes a comment.
    if (!condition.empty())
      where += fmt::format("{}({}\n)", where.empty() ? " WHERE " : " AND ", condition);
  }
  return where;
}

}  // namespace

std::string MysqlSnapshotReader::Shape::Query(const std::string& what,
                                              const std::vector<std::string>& conditions,
                                              bool by_key) const {
  return fmt::format("SELECT {} FROM {}{}{}{}", what, quoted,
                     order.empty() ? std::string() : " " + order.ForceIndex(), And(conditions),
                     by_key ? " ORDER BY " + order.OrderBy() : std::string());
}

MysqlSnapshotReader::MysqlSnapshotReader(const MysqlConfig& config, const SourceContext& context,
                                         StreamMarks& marks, std::stop_token stop)
    : config_(config),
      context_(context),
      marks_(marks),
      stop_(std::move(stop)),
      wake_(stop_, [this] { wakeup_.Wake(); }),
      purpose_(fmt::format("tailwater {}/{} copy", context.pipeline, context.name)) {}

MysqlSnapshotReader::~MysqlSnapshotReader() {
  for (const auto& [id, unused] : highs_) marks_.Forget(id);
}

Result<std::unique_ptr<SnapshotReader>> MysqlSnapshotReader::Open(const MysqlConfig& config,
                                                                  const SourceContext& context,
                                                                  StreamMarks& marks,
                                                                  std::stop_token stop) {
  std::unique_ptr<MysqlSnapshotReader> reader(
      new MysqlSnapshotReader(config, context, marks, std::move(stop)));
  TW_TRY(reader->Connect());
  return std::unique_ptr<SnapshotReader>(std::move(reader));
}

Status MysqlSnapshotReader::Connect() {
  sql_ = nullptr;
  TW_ASSIGN_OR_RETURN(connection_, Connection::Open(config_, purpose_, {stop_, &wakeup_}));
  Connection& sql = *connection_;
  const bool mariadb = sql.flavour() == Flavour::kMariadb;
  TW_TRY(sql.Query("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"));
  // Dates that are none are compared as they are; a copy may wait for its reader, and for the
  // stream.
  TW_TRY(sql.Query(fmt::format(
      "SET SESSION autocommit = 1, SESSION sql_mode = 'ALLOW_INVALID_DATES', SESSION "
      "lock_wait_timeout = {}, SESSION innodb_lock_wait_timeout = {}, SESSION net_write_timeout = "
      "86400, SESSION wait_timeout = 86400, SESSION {}",
      kLockSeconds, kRowLockSeconds,
      mariadb ? fmt::format("max_statement_time = {}", Seconds(config_.copy_timeout))
              : fmt::format("max_execution_time = {}, SESSION information_schema_stats_expiry = "
                            "3600",
                            config_.copy_timeout.count()))));
  TW_ASSIGN_OR_RETURN(server_, ReadServerIdentity(sql));
  sql_ = &sql;
  return {};
}

Result<Connection*> MysqlSnapshotReader::Session() {
  if (sql_ == nullptr || sql_->broken()) TW_TRY(Connect());
  return sql_;
}

Status MysqlSnapshotReader::Pause(milliseconds time) {
  pollfd fd = {wakeup_.fd(), POLLIN, 0};
  poll(&fd, 1, static_cast<int>(time.count()));
  if (stop_.stop_requested()) return Error{Disposition::kCancelled, "stopped", "asked to stop"};
  return {};
}

Connection::Wait MysqlSnapshotReader::CopyWait() const {
  Connection::Wait wait;
  wait.timeout = config_.copy_timeout + std::chrono::seconds(30);  // the server is to say it first
  return wait;
}

Result<std::vector<SnapshotTable>> MysqlSnapshotReader::Tables() {
  TW_ASSIGN_OR_RETURN(Connection * sql, Session());
  TW_ASSIGN_OR_RETURN(const std::vector<TableEntryFacts> all, ReadTables(*sql));
  const SelectedTables selected = SelectTables(all, context_.tables, context_.name);
  std::vector<TableName> names;
  for (const TableEntryFacts* table : selected.tables) names.push_back(table->name);
  TW_ASSIGN_OR_RETURN(const auto described, DescribeTables(*sql, names));

  std::vector<SnapshotTable> tables;
  for (const TableEntryFacts* table : selected.tables) {
    const auto found = described.find(table->name);
    if (found == described.end() || found->second.facts.sequence) continue;  // gone meanwhile
    DescribedFacts facts(found->second);
    Result<std::shared_ptr<const MappedTable>> mapped =
        MappedTable::Make(found->second.map, facts, {config_.zero_dates, config_.invalid_text});
    if (!mapped) {
      if (refused_.insert(table->name.ToString()).second)
        context_.logger.Warn("table is selected, but cannot be read",
                             {{"table", table->name.ToString()}, {"why", mapped.error().message}});
      continue;
    }
    SnapshotTable& snapshot_table = tables.emplace_back();
    snapshot_table.schema = (*mapped)->schema;
    snapshot_table.table = snapshot_table.schema->table();
    snapshot_table.rows = table->rows;
    snapshot_table.bytes = table->bytes;
  }
  // What we may not see is not listed; and what is not listed is not copied.
  for (const std::string& name : selected.unmatched) {
    const std::optional<TableName> table = ParseTableName(name);
    if (!table || refused_.contains(name)) continue;
    TableEntryFacts facts;
    facts.name = *table;
    facts.quoted = Connection::QuoteName(table->schema) + "." + Connection::QuoteName(table->name);
    Result<Rows> probe = sql->Query(fmt::format("SELECT * FROM {} LIMIT 0", facts.quoted));
    if (probe || probe.error().code != "mysql_privilege_missing") continue;
    refused_.insert(name);
    context_.logger.Warn(
        "table is selected, but cannot be seen, and is not copied",
        {{"table", name}, {"why", Judge(std::move(probe).error(), facts).message}});
  }
  return tables;
}

// There is nobody to wait for. A transaction that commits behind the place where the stream began
// is in the log whole, however long it was open; one that committed in front of it is waited for
// with each chunk, for the stream counts it as read. One that was prepared (XA) in front of it and
// is committed behind it is not in what is read: the decoder knows those, and has tables copied
// again.
Status MysqlSnapshotReader::Settle(const std::function<void(const std::string&)>&) { return {}; }

Result<TableEntryFacts> MysqlSnapshotReader::Find(const std::string& table) {
  TW_ASSIGN_OR_RETURN(Connection * sql, Session());
  const std::optional<TableName> name = ParseTableName(table);
  TableEntryFacts facts;
  if (name) {
    TW_ASSIGN_OR_RETURN(const std::vector<TableEntryFacts> found, ReadTables(*sql, &*name));
    for (const TableEntryFacts& one : found) {
      if (one.name == *name) return one;
    }
    facts.name = *name;
    facts.quoted = Connection::QuoteName(name->schema) + "." + Connection::QuoteName(name->name);
    Result<Rows> probe = sql->Query(fmt::format("SELECT * FROM {} LIMIT 0", facts.quoted));
    if (!probe) return Judge(std::move(probe).error(), facts);
  }
  return Error{Disposition::kReject, "table_gone",
               fmt::format("there is no table {} any more", table)};
}

Status MysqlSnapshotReader::Pin(const TableEntryFacts& table) {
  // Whoever may not read all columns is told, and gets no rows that lack some.
  TW_TRY(sql_->Query(fmt::format("SELECT * FROM {} LIMIT 0", table.quoted)));
  return {};
}

Result<std::unique_ptr<MysqlSnapshotReader::Shape>> MysqlSnapshotReader::Look(
    const TableEntryFacts& table) {
  TW_ASSIGN_OR_RETURN(auto described, DescribeTables(*sql_, {table.name}));
  const auto found = described.find(table.name);
  if (found == described.end()) {
    return Error{Disposition::kReject, "table_gone",
                 fmt::format("there is no table {} any more", table.name.ToString())};
  }
  auto shape = std::make_unique<Shape>();
  DescribedFacts facts(found->second);
  TW_ASSIGN_OR_RETURN(shape->table, MappedTable::Make(found->second.map, facts,
                                                      {config_.zero_dates, config_.invalid_text}));
  shape->order = std::move(found->second.order);
  shape->quoted = table.quoted;
  return shape;
}

Result<std::vector<std::string>> MysqlSnapshotReader::Unpack(const Shape& shape,
                                                             const SnapshotKey& key) const {
  const std::string& name = shape.table->schema->table();
  if (shape.order.empty()) {
    return Error{kOperator, "mysql_snapshot_key_changed",
                 fmt::format("table {0} has no key any more, so it cannot be copied in parts: "
                             "cancel this copy and ask for a new one: tailwater sources snapshot "
                             "{1} {0}",
                             name, context_.name)};
  }
  if (key.empty()) return std::vector<std::string>();
  std::optional<std::vector<std::string>> values = shape.order.Unpack(key);
  if (values) return *std::move(values);
  return Error{kOperator, "mysql_snapshot_key_changed",
               fmt::format("table {0} has another key than when its copy began: cancel this copy "
                           "and ask for a new one: tailwater sources snapshot {1} {0}",
                           name, context_.name)};
}

std::string MysqlSnapshotReader::Limited(const std::string& select, milliseconds limit) const {
  if (sql_->flavour() == Flavour::kMariadb)
    return fmt::format("SET STATEMENT max_statement_time = {} FOR {}", Seconds(limit), select);
  return fmt::format("SELECT /*+ MAX_EXECUTION_TIME({}) */ {}", limit.count(),
                     select.substr(std::string_view("SELECT ").size()));
}

Result<SnapshotKey> MysqlSnapshotReader::NextBound(const std::string& name,
                                                   const std::string& where,
                                                   const SnapshotKey& after, size_t rows) {
  TW_ASSIGN_OR_RETURN(const TableEntryFacts table, Find(name));
  Result<std::unique_ptr<Shape>> looked = Look(table);
  if (!looked) return Judge(std::move(looked).error(), table);
  Shape& shape = **looked;
  TW_ASSIGN_OR_RETURN(const auto values, Unpack(shape, after));
  const std::string behind = values.empty() ? std::string() : shape.order.Behind(values);
  std::string key;
  for (const std::string& expression : shape.order.Select())
    key += (key.empty() ? "" : ", ") + expression;
  // An index of prefixes cannot give the order, but about its n-th entry it can.
  const auto ask = [&](const std::vector<std::string>& conditions) {
    return fmt::format("{} LIMIT 1 OFFSET {}",
                       shape.Query(key, conditions, shape.order.sorted_by_index()),
                       rows == 0 ? 0 : rows - 1);
  };
  Result<Rows> found = where.empty()
                           ? sql_->Query(ask({behind}), CopyWait())
                           : sql_->Query(Limited(ask({behind, where}), kBoundTimeout), CopyWait());
  // Few rows among many: a bound by the key alone, then, and smaller chunks.
  if (!where.empty() && !found && !sql_->broken() &&
      found.error().code == "mysql_cancelled_by_server")
    found = sql_->Query(ask({behind}), CopyWait());
  if (!found) return Judge(JudgeCondition(std::move(found).error(), where), table);
  if (found->empty()) return SnapshotKey();
  std::vector<std::string> bound;
  for (size_t i = 0; i < shape.order.columns().size(); ++i)
    bound.push_back(found->String(0, static_cast<int>(i)));
  return shape.order.Pack(bound);
}

void MysqlSnapshotReader::RollBack() {
  // A session that cannot even do that is broken, and is opened anew at its next use.
  if (sql_ != nullptr && !sql_->broken()) static_cast<void>(sql_->Query("ROLLBACK"));
}

MysqlSnapshotReader::View MysqlSnapshotReader::ViewFor(const StreamMarks::Place& place,
                                                       const TableEntryFacts& table) {
  switch (place.position.form()) {
    case Form::kMysqlGtid:
      return View::kSet;
    case Form::kMariadbGtid:
      return table.transactional() ? View::kSnapshot : View::kLatest;
    case Form::kFile:
      break;
  }
  return View::kLocking;
}

Status MysqlSnapshotReader::CheckSameServer(const StreamMarks::Place& place) {
  if (place.server.empty() || place.server == server_) return {};
  return Error{Disposition::kRetry, "mysql_reader_elsewhere",
               fmt::format("the stream reads from server '{}', but a session for copying came to "
                           "'{}': if a proxy spreads sessions over servers, give the address of "
                           "one of them",
                           place.server, server_)};
}

Result<FilePosition> MysqlSnapshotReader::SnapshotPlace() {
  TW_ASSIGN_OR_RETURN(const Rows rows,
                      sql_->Query("SHOW STATUS WHERE Variable_name IN ('binlog_snapshot_file', "
                                  "'binlog_snapshot_position')"));
  FilePosition place;
  for (int i = 0; i < rows.size(); ++i) {
    std::string name = rows.String(i, 0);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    if (name == "binlog_snapshot_file") place.file = rows.String(i, 1);
    if (name == "binlog_snapshot_position")
      place.offset = static_cast<uint64_t>(rows.MaybeNumber(i, 1).value_or(0));
  }
  if (!place.file.empty()) return place;
  return Error{kOperator, "mysql_log_off",
               "the server's snapshot has no place in a binary log: is log_bin off?"};
}

// The stream's own end may lie behind the snapshot's place although no group is between them: the
// log's files have other events, too. Then the sets of transactions decide.
Result<bool> MysqlSnapshotReader::CoversSnapshot(const StreamMarks::Place& place) {
  TW_ASSIGN_OR_RETURN(const FilePosition snapshot, SnapshotPlace());
  if (!place.end.file.empty() && !snapshot.Before(place.end)) return true;
  if (known_place_ != snapshot) {
    TW_ASSIGN_OR_RETURN(const Rows rows, sql_->Query(fmt::format("SELECT BINLOG_GTID_POS({}, {})",
                                                                 sql_->QuoteLiteral(snapshot.file),
                                                                 snapshot.offset)));
    known_state_ = LogPosition::Parse(Form::kMariadbGtid, rows.Text(0, 0));
    known_place_ = snapshot;
    if (!known_state_ || rows.IsNull(0, 0)) {
      known_place_.reset();
      return Error{Disposition::kRetry, "mysql_table_changed",
                   "the server does not tell the GTID of a place in its log; trying again"};
    }
  }
  return known_state_->mariadb().Contains(place.position.mariadb());
}

Result<bool> MysqlSnapshotReader::Shows(const StreamMarks::Place& place) {
  switch (place.position.form()) {
    case Form::kMariadbGtid:
      return CoversSnapshot(place);
    case Form::kFile:
      return true;  // rows are locked
    case Form::kMysqlGtid:
      break;
  }
  TW_ASSIGN_OR_RETURN(const Rows rows,
                      sql_->Query(fmt::format("SELECT WAIT_FOR_EXECUTED_GTID_SET('{}', {})",
                                              place.position.mysql().ToString(), Seconds(kLook))));
  return rows.Text(0, 0) == "0";
}

Status MysqlSnapshotReader::OpenView(View view, const StreamMarks::Place& place) {
  const auto deadline = std::chrono::steady_clock::now() + config_.copy_timeout;
  for (auto pause = milliseconds(1);; pause = std::min(pause * 2, milliseconds(50))) {
    const bool snapshot = view == View::kSnapshot;
    if (snapshot) TW_TRY(sql_->Query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"));
    if (view != View::kLatest) {
      TW_ASSIGN_OR_RETURN(const bool shows, Shows(place));
      if (!shows) {
        if (snapshot) TW_TRY(sql_->Query("ROLLBACK"));
        if (std::chrono::steady_clock::now() > deadline) {
          return Error{Disposition::kRetry, "mysql_not_visible",
                       fmt::format("transactions that are in the log are not visible to readers "
                                   "after {} s: does the server wait for a semi-sync replica that "
                                   "is gone? See SHOW PROCESSLIST",
                                   config_.copy_timeout.count() / 1000)};
        }
        TW_TRY(Pause(pause));
        continue;
      }
    }
    switch (view) {
      case View::kSet:
        TW_TRY(sql_->Query("START TRANSACTION READ ONLY"));
        break;
      case View::kLocking:
        TW_TRY(sql_->Query("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"));
        TW_TRY(sql_->Query("START TRANSACTION"));
        break;
      case View::kLatest:
        TW_TRY(sql_->Query("START TRANSACTION READ ONLY"));
        break;
      case View::kSnapshot:
        break;
    }
    return {};
  }
}

Result<Chunk> MysqlSnapshotReader::Read(const ChunkRequest& request) {
  TW_ASSIGN_OR_RETURN(const TableEntryFacts table, Find(request.table));
  highs_[request.id] = std::nullopt;
  TW_ASSIGN_OR_RETURN(const StreamMarks::Place place, marks_.Low(request.id, stop_));
  TW_CRASH_POINT("mysql_low_watermark_shown");
  for (int attempt = 1;; ++attempt) {
    Result<Chunk> chunk = ReadChunk(request, table, place);
    if (chunk) return chunk;
    RollBack();
    // Of a deadlock with writers a locking read is always the victim: it has changed nothing.
    const bool again =
        chunk.error().code == "mysql_table_changed" || chunk.error().code == "mysql_conflict";
    if (!again || attempt == kAttempts) return Judge(std::move(chunk).error(), table);
  }
}

Result<Chunk> MysqlSnapshotReader::ReadChunk(const ChunkRequest& request,
                                             const TableEntryFacts& table,
                                             const StreamMarks::Place& place) {
  TW_TRY(Session());
  const Form form = place.position.form();
  const View view = ViewFor(place, table);
  if (form != Form::kMysqlGtid) TW_TRY(CheckSameServer(place));
  TW_TRY(OpenView(view, place));
  // What the snapshot shows is in the log up to here.
  std::optional<LogPosition> high;
  if (view == View::kSnapshot) {
    TW_ASSIGN_OR_RETURN(high, ReadLogEnd(*sql_, form));
  }
  TW_TRY(Pin(table));
  TW_ASSIGN_OR_RETURN(const std::unique_ptr<Shape> shape, Look(table));
  TW_ASSIGN_OR_RETURN(const Rows now,
                      sql_->Query("SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS UNSIGNED)"));
  TW_ASSIGN_OR_RETURN(const auto first, Unpack(*shape, request.after));
  TW_ASSIGN_OR_RETURN(const auto last, Unpack(*shape, request.upto));

  Chunk chunk;
  chunk.schema = shape->table->schema;
  chunk.rows.Keep(shape->table);
  chunk.rows.Keep(chunk.schema);
  chunk.read_at_micros = now.MaybeNumber(0, 0).value_or(0);
  CopiedRows rows(*shape->table, shape->order);
  std::string select =
      shape->Query(rows.select(),
                   {first.empty() ? std::string() : shape->order.Behind(first),
                    last.empty() ? std::string() : shape->order.UpTo(last), request.where},
                   true);
  if (view == View::kLocking)
    select += sql_->server_version() >= 80000 ? " FOR SHARE" : " LOCK IN SHARE MODE";
  Result<bool> whole =
      sql_->Stream(select, CopyWait(), [&](Connection::Cells cells) -> Result<bool> {
        for (const std::string_view cell : cells) chunk.bytes += cell.size();
        TW_TRY(rows.Add(cells, chunk.rows));
        return request.max_bytes == 0 || chunk.bytes <= request.max_bytes;
      });
  if (!whole) return JudgeCondition(std::move(whole).error(), request.where);
  chunk.complete = *whole;
  if (!chunk.rows.changes().empty()) chunk.last = shape->order.Pack(rows.key());
  if (chunk.complete) TW_TRY(sql_->Query("COMMIT"));
  if (!high) {
    TW_TRY(Session());
    if (form != Form::kMysqlGtid) TW_TRY(CheckSameServer(place));
    TW_ASSIGN_OR_RETURN(high, ReadLogEnd(*sql_, form));
  }
  highs_[request.id] = std::move(high);
  return chunk;
}

Status MysqlSnapshotReader::Finish(const std::string& chunk_id) {
  // What was not read to its end, or by another reader, is shown as unsound: its window closes.
  std::optional<LogPosition> high;
  if (const auto found = highs_.find(chunk_id); found != highs_.end()) {
    high = std::move(found->second);
    highs_.erase(found);
  }
  marks_.High(chunk_id, std::move(high));
  return {};
}

Error MysqlSnapshotReader::JudgeCondition(Error error, const std::string& where) const {
  constexpr std::string_view kOfTheCondition[] = {"mysql_column_missing", "mysql_protocol_error",
                                                  "mysql_unexpected_error"};
  if (where.empty() || std::find(std::begin(kOfTheCondition), std::end(kOfTheCondition),
                                 error.code) == std::end(kOfTheCondition))
    return error;
  return Error{kOperator, "mysql_snapshot_condition",
               fmt::format("the server cannot use the condition ({}): cancel this copy and ask "
                           "with another: {}",
                           where, error.message)};
}

Error MysqlSnapshotReader::Judge(Error error, const TableEntryFacts& table) {
  const std::string name = table.name.ToString();
  if (error.code == "mysql_table_missing" || error.code == "mysql_database_missing") {
    return Error{Disposition::kReject, "table_gone",
                 fmt::format("there is no table {} any more", name)};
  }
  if (error.code == "table_gone" || error.disposition == Disposition::kCancelled) return error;
  if (error.code == "mysql_cancelled_by_server")
    error.message += "; if it stays so, raise copy_timeout of the source";
  if (error.code == "mysql_lock_timeout")
    error.message += fmt::format(" (table {} is locked by somebody: a migration?)", name);
  if (error.code != "mysql_privilege_missing" || sql_ == nullptr || sql_->broken()) {
    return std::move(error).Within("copying table " + name);
  }
  const Result<std::string> account = ReadAccount(*sql_);
  if (!account) return std::move(error).Within("copying table " + name);
  const bool lock = error.message.find("1044") != std::string::npos;
  return Error{kOperator, "mysql_privilege_missing",
               fmt::format("table {} cannot be copied: {} ({})", name,
                           lock ? fmt::format("GRANT LOCK TABLES ON {}.* TO {};",
                                              Connection::QuoteName(table.name.schema), *account)
                                : fmt::format("GRANT SELECT ON {} TO {};", table.quoted, *account),
                           error.message)};
}

}  // namespace tailwater::mysql
