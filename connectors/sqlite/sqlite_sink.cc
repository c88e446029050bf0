#include "sqlite/sqlite_sink.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "sqlite/column_values.h"
#include "sqlite/target_schema.h"
#include "support/crash_point.h"
#include "support/text.h"

namespace tailwater {
namespace {

constexpr int64_t kFileFormat = 1;
// Only another writer can be waited for here; beyond this the runner backs off.
constexpr std::chrono::milliseconds kLockWait{250};

// The change itself is the reason, not the file: the rest of the batch may go on.
bool ConcernsTheChangeAlone(const Error& error) {
  return error.disposition == Disposition::kReject || error.code == "sqlite_constraint" ||
         error.code == "sqlite_too_big";
}

// Nothing of its table can be written until a person acts.
bool StopsItsTable(const Error& error) {
  return error.disposition == Disposition::kNeedsOperator &&
         (error.code == "schema_incompatible" || error.code == "schema_change_halted" ||
          error.code == "search_column_missing");
}

}  // namespace

const OptionTable& SqliteSinkOptions() {
  using C = SqliteSinkConfig;
  static const OptionTable kOptions = {Field(
      "path", &C::path, "The SQLite file to mirror into; created if it is not there.", kRequired)};
  return kOptions;
}

const OptionTable& SqliteTableOptionsTable() {
  using C = SqliteTableOptions;
  static const OptionTable kOptions = {
      Field("table", &C::table, "Name in the file, instead of the table's own."),
      Field("search", &C::search, "Columns to index for full-text search, as <table>_search.")};
  return kOptions;
}

SqliteSink::SqliteSink(SqliteSinkConfig config, TableRules<SqliteTableOptions> rules,
                       SinkContext context)
    : config_(std::move(config)),
      rules_(std::move(rules)),
      owner_(context.pipeline + "/" + context.name),
      name_(context.name),
      schema_changes_(context.schema_changes),
      logger_(context.logger),
      omitted_total_(
          context.metrics.GetCounter("tailwater_sink_omitted_columns_total",
                                     "Columns written as NULL because the record lacked them.")),
      left_out_total_(context.metrics.GetCounter(
          "tailwater_sink_left_out_columns_total",
          "Values left out because the target lacks their column (schema_changes: ignore).")) {}

Status SqliteSink::Open() {
  Rollback();
  TW_ASSIGN_OR_RETURN(database_,
                      sqlite::Database::Open(config_.path, sqlite::OpenMode::kCreate, kLockWait));
  struct stat file {};
  if (stat(config_.path.c_str(), &file) != 0) {
    return Error{Disposition::kRetry, "sqlite_cannot_open",
                 fmt::format("{} is gone already; it is tried again", config_.path)};
  }
  file_device_ = file.st_dev;
  file_number_ = file.st_ino;
  // The offsets lie in the same transaction: what a power failure takes back comes again.
  TW_TRY(database_.Execute(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16000; "
      "PRAGMA wal_autocheckpoint = 4000"));
  TW_TRY(Begin());
  TW_TRY(CreateMeta());
  TW_TRY(origins_.Open(database_));
  TW_TRY(tombstones_.Open(database_));
  TW_TRY(database_.Execute("COMMIT"));
  TW_ASSIGN_OR_RETURN(
      put_offset_, database_.Prepare(
                       "INSERT INTO _tailwater_offsets VALUES (?1, ?2) "
                       "ON CONFLICT (partition) DO UPDATE SET next_offset = excluded.next_offset"));
  TW_ASSIGN_OR_RETURN(
      put_log_id_,
      database_.Prepare("INSERT OR REPLACE INTO _tailwater_meta VALUES ('log_id', ?1)"));
  return {};
}

Status SqliteSink::CreateMeta() {
  TW_TRY(database_.Execute(
      "CREATE TABLE IF NOT EXISTS _tailwater_meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID; "
      "CREATE TABLE IF NOT EXISTS _tailwater_offsets (partition INTEGER PRIMARY KEY, next_offset "
      "INTEGER NOT NULL)"));
  TW_ASSIGN_OR_RETURN(
      const auto owner,
      database_.QueryText("SELECT value FROM _tailwater_meta WHERE name = 'owner'"));
  TW_ASSIGN_OR_RETURN(
      const auto format,
      database_.QueryInt64("SELECT value FROM _tailwater_meta WHERE name = 'format'"));
  if (format.value_or(kFileFormat) > kFileFormat) {
    return Error{Disposition::kNeedsOperator, "sqlite_newer_file",
                 fmt::format("{} was written by a newer version (format {}); run that version, or "
                             "choose another path",
                             config_.path, *format)};
  }
  if (owner && *owner != owner_) {
    return Error{Disposition::kNeedsOperator, "sqlite_foreign_file",
                 fmt::format("{} is the mirror of sink {}; give each sink a path of its own",
                             config_.path, *owner)};
  }
  if (owner) return {};
  TW_ASSIGN_OR_RETURN(sqlite::Statement put,
                      database_.Prepare("INSERT INTO _tailwater_meta VALUES (?1, ?2)", false));
  put.BindText(1, "owner").BindText(2, owner_);
  TW_TRY(put.Run());
  put.BindText(1, "format").Bind(2, kFileFormat);
  return put.Run();
}

// Without this a deleted file would go on taking changes, and vanish with them.
Status SqliteSink::CheckFileIsInPlace() const {
  struct stat file {};
  if (stat(config_.path.c_str(), &file) == 0 && file.st_dev == file_device_ &&
      file.st_ino == file_number_) {
    return {};
  }
  return Error{
      Disposition::kNeedsOperator, "sqlite_file_moved",
      fmt::format("{} was moved, deleted or replaced while in use; put it back, or restart "
                  "to begin with the file that is there now",
                  config_.path)};
}

Status SqliteSink::Begin() {
  if (rollback_failed_ && database_.in_transaction()) TW_TRY(database_.Execute("ROLLBACK"));
  rollback_failed_ = false;
  if (database_.in_transaction()) return {};
  TW_TRY(CheckFileIsInPlace());
  TW_TRY(database_.Execute("BEGIN IMMEDIATE"));
  // A person may have altered tables meanwhile, as the reason of a stopped one asks for.
  TW_ASSIGN_OR_RETURN(const auto version, database_.QueryInt64("PRAGMA schema_version"));
  if (version.value_or(0) != file_schema_) tables_.clear();
  file_schema_ = version.value_or(0);
  return {};
}

Result<std::vector<Verdict>> SqliteSink::Write(const DeliveryBatch& batch) {
  TW_TRY(Begin());
  last_schema_ = nullptr;
  ++batches_;
  std::vector<Verdict> verdicts;
  verdicts.reserve(batch.deliveries.size());
  for (const Delivery& delivery : batch.deliveries) {
    auto verdict = WriteOne(delivery);
    if (verdict) {
      verdicts.push_back(*std::move(verdict));
    } else if (ConcernsTheChangeAlone(verdict.error())) {
      verdicts.push_back(
          Verdict::Rejected(verdict.error().code, std::move(verdict.error().message)));
    } else if (StopsItsTable(verdict.error())) {
      verdicts.push_back(
          Verdict::TableStopped(verdict.error().code, std::move(verdict.error().message)));
    } else {
      return std::move(verdict).error();
    }
  }
  last_schema_ = nullptr;
  return verdicts;
}

Result<Verdict> SqliteSink::WriteOne(const Delivery& delivery) {
  const Change& change = *delivery.change;
  switch (change.operation) {
    case Operation::kFrontier:
    case Operation::kMessage:
    case Operation::kTruncate:  // these two come through Sweep()
    case Operation::kSweep:
      return Verdict::Applied();
    case Operation::kSchema: {
      TW_ASSIGN_OR_RETURN(MirrorTable* const table, TableFor(change));
      static_cast<void>(table);
      return Verdict::Applied();
    }
    case Operation::kInsert:
    case Operation::kUpdate:
    case Operation::kDelete:
    case Operation::kRead:
      break;
  }
  TW_ASSIGN_OR_RETURN(MirrorTable* const table, TableFor(change));
  TW_ASSIGN_OR_RETURN(const MirrorTable::Outcome outcome, table->Apply(change, delivery.key));
  if (const uint64_t omitted = table->TakeOmitted())
    omitted_total_.Add(static_cast<double>(omitted));
  if (const uint64_t left_out = table->TakeLeftOut())
    left_out_total_.Add(static_cast<double>(left_out));
  switch (outcome) {
    case MirrorTable::Outcome::kApplied:
      return Verdict::Applied();
    case MirrorTable::Outcome::kSuperseded:
      return Verdict::Superseded();
    case MirrorTable::Outcome::kBaseMissing:
      return Verdict::Rejected(kBaseMissing,
                               "some columns are unchanged, and the row is not in the mirror");
  }
  return Error{Disposition::kFatal, "sqlite_error", "unknown outcome"};
}

Result<MirrorTable*> SqliteSink::TableFor(const Change& change) {
  if (change.schema == last_schema_ && change.source == last_source_) return last_table_;
  const std::pair<std::string, std::string> key(change.source, change.table);
  auto opened = tables_.find(key);
  if (opened == tables_.end()) {
    TW_ASSIGN_OR_RETURN(Origin* const origin, origins_.Get(change.source, change.table));
    opened = tables_.try_emplace(key).first;
    opened->second.origin = origin;
  }
  Opened& tables = opened->second;
  if (tables.stopped && tables.stopped_in == batches_) return *tables.stopped;
  auto table = Prepare(change, tables);
  if (!table) {
    last_schema_ = nullptr;
    // A schema record is no reason: the rows behind it are.
    if (StopsItsTable(table.error()) && change.operation != Operation::kSchema) {
      tables.stopped = table.error();
      tables.stopped_in = batches_;
    }
    return table;
  }
  last_schema_ = change.schema;
  last_source_ = change.source;
  last_table_ = *table;
  return table;
}

Result<MirrorTable*> SqliteSink::Prepare(const Change& change, Opened& tables) {
  const uint64_t fingerprint = change.schema->fingerprint();
  const auto table = tables.by_fingerprint.find(fingerprint);
  // A schema record may tell that a column came back, though the schema itself was seen before.
  const bool follow =
      change.operation == Operation::kSchema && change.version > tables.origin->schema_version;
  if (table != tables.by_fingerprint.end() && !follow) return table->second.get();
  if (const auto refused = tables.refused.find(fingerprint); refused != tables.refused.end()) {
    return refused->second;
  }
  Met& met = met_[{tables.origin->source, tables.origin->table}];
  int64_t& first = met.first.try_emplace(fingerprint, change.version).first->second;
  if (follow) {
    first = change.version;
  } else {
    first = std::min(first, change.version);
  }
  if (change.version > met.newest) {
    met.newest = change.version;
    met.newest_fingerprint = fingerprint;
  }
  const SqliteTableOptions* options = rules_.Find(change.source, change.table);
  static const SqliteTableOptions kNone;
  if (options == nullptr) options = &kNone;
  // What was never mirrored begins with whatever comes first.
  const bool outdated =
      !tables.origin->target.empty() &&
      (met.newest_fingerprint != fingerprint || change.version < tables.origin->schema_version);
  auto fit = PrepareTarget(
      database_, *tables.origin,
      {.change = &change,
       .target = options->table.empty() ? DefaultTarget(change.schema->name()) : options->table,
       .search = &options->search,
       .policy = schema_changes_,
       .outdated = outdated,
       .schema_version = first,
       .sink = name_},
      logger_);
  if (!fit) {
    if (ConcernsTheChangeAlone(fit.error()) || StopsItsTable(fit.error())) {
      tables.refused.emplace(fingerprint, fit.error());
    }
    return std::move(fit).error();
  }
  TW_ASSIGN_OR_RETURN(auto made, MirrorTable::Open(database_, *change.schema, *std::move(fit),
                                                   *tables.origin, tombstones_));
  return tables.by_fingerprint.insert_or_assign(fingerprint, std::move(made)).first->second.get();
}

Status SqliteSink::Sweep(const SweepRequest& request) {
  TW_TRY(Begin());
  TW_ASSIGN_OR_RETURN(Origin* const origin, origins_.Get(request.source, request.table));
  if (!origin->target.empty()) {
    TW_TRY(database_.Execute(fmt::format("DELETE FROM {} WHERE {} = {} AND {} < {}",
                                         Quoted(origin->target), kOriginColumn, origin->id,
                                         kVersionColumn, request.version)));
  }
  if (request.version > origin->swept_version) {
    origin->swept_version = request.version;
    origin->changed = true;
  }
  return {};
}

Result<TransactionalSink::Stored> SqliteSink::StoredOffsets() {
  Stored stored;
  TW_ASSIGN_OR_RETURN(
      const auto log_id,
      database_.QueryText("SELECT value FROM _tailwater_meta WHERE name = 'log_id'"));
  stored.log_id = log_id.value_or("");
  TW_ASSIGN_OR_RETURN(
      sqlite::Statement offsets,
      database_.Prepare("SELECT partition, next_offset FROM _tailwater_offsets", false));
  for (;;) {
    TW_ASSIGN_OR_RETURN(const bool row, offsets.Step());
    if (!row) return stored;
    stored.offsets[static_cast<int32_t>(offsets.Int64(0))] = offsets.Int64(1);
  }
}

Result<bool> SqliteSink::HoldsExpected(std::string_view log_id, const Offsets& expected,
                                       const Offsets& next) {
  TW_ASSIGN_OR_RETURN(const Stored stored, StoredOffsets());
  if (!stored.log_id.empty() && stored.log_id != log_id) return false;
  for (const auto& [partition, offset] : next) {
    const auto held = stored.offsets.find(partition);
    const auto wanted = expected.find(partition);
    if ((held == stored.offsets.end()) != (wanted == expected.end())) return false;
    if (held != stored.offsets.end() && held->second != wanted->second) return false;
  }
  return true;
}

Result<CommitOutcome> SqliteSink::Commit(std::string_view log_id, const Offsets& expected,
                                         const Offsets& next) {
  TW_TRY(Begin());
  TW_ASSIGN_OR_RETURN(const bool ours, HoldsExpected(log_id, expected, next));
  if (!ours) {
    Rollback();
    return CommitOutcome::kLost;
  }
  for (const auto& [partition, offset] : next) {
    put_offset_.Bind(1, partition).Bind(2, offset);
    TW_TRY(put_offset_.Run());
  }
  put_log_id_.BindText(1, log_id);
  TW_TRY(put_log_id_.Run());
  TW_TRY(origins_.Store());
  if (++commits_ % 64 == 0) TW_TRY(tombstones_.Prune());
  TW_CRASH_POINT("sqlite_before_commit");
  TW_TRY(database_.Execute("COMMIT"));
  return CommitOutcome::kCommitted;
}

void SqliteSink::Rollback() {
  tables_.clear();
  last_schema_ = nullptr;
  if (database_ && database_.in_transaction()) {
    rollback_failed_ = !database_.Execute("ROLLBACK").has_value();
  }
  origins_.Forget();
}

}  // namespace tailwater
