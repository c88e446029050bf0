#include "postgres/sink/postgres_sink.h"

#include <algorithm>
#include <set>

#include "postgres/sink/sink_state.h"
#include "postgres/sink/sql_text.h"
#include "postgres/sink/target_check.h"
#include "postgres/sink/target_errors.h"
#include "support/crash_point.h"
#include "support/snapshot_key.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

constexpr int kPruneEvery = 64;  // commits
constexpr std::string_view kPart = "tailwater_part";

bool StopsItsTable(const Error& error) {
  return error.disposition == Disposition::kNeedsOperator &&
         (error.code == "schema_incompatible" || error.code == "schema_change_halted" ||
          ConcernsTheTable(error));
}

bool ConcernsTheChangeAlone(const Error& error) {
  return error.disposition == Disposition::kReject;
}

Verdict AsVerdict(const Error& error) {
  return StopsItsTable(error) ? Verdict::TableStopped(error.code, error.message)
                              : Verdict::Rejected(error.code, error.message);
}

std::map<std::string, SourceKind, std::less<>> KindsOf(const std::vector<SourceFacts>& sources) {
  std::map<std::string, SourceKind, std::less<>> kinds;
  for (const SourceFacts& source : sources) {
    kinds[source.name] = source.type == "postgres" ? SourceKind::kPostgres
                         : source.type == "mysql"  ? SourceKind::kMysql
                                                   : SourceKind::kOther;
  }
  return kinds;
}

}  // namespace

// Rows of one origin in one schema, in the order of the batch.
struct PostgresSink::Group {
  const Change* change = nullptr;  // the first
  TableWriter* writer = nullptr;
  std::vector<TableWriter::Item> items;
  std::vector<size_t> numbers;  // of the batch's items
};

PostgresSink::PostgresSink(PostgresSinkConfig config, TableRules<PostgresTableOptions> rules,
                           SinkContext context)
    : config_(std::move(config)),
      rules_(std::move(rules)),
      owner_(context.pipeline + "/" + context.name),
      name_(context.name),
      schema_changes_(context.schema_changes),
      kinds_(KindsOf(context.sources)),
      logger_(context.logger),
      omitted_total_(
          context.metrics.GetCounter("tailwater_sink_omitted_columns_total",
                                     "Columns written as NULL because the record lacked them.")),
      left_out_total_(context.metrics.GetCounter(
          "tailwater_sink_left_out_columns_total",
          "Values left out because the target lacks their column (schema_changes: ignore).")),
      session_(config_, "tailwater " + owner_),
      origins_(session_, config_.state_schema, owner_),
      types_(session_),
      stages_(session_) {
  if (config_.transactional) whole_.emplace();
}

Status PostgresSink::Open() {
  RollbackWhole();
  TW_TRY(Reconnect());
  return CheckTarget();
}

// What does not fit stops its table alone, once its first record comes: here it is said before.
Status PostgresSink::CheckTarget() {
  std::vector<TargetFinding> findings;
  TW_TRY(CheckDatabase(session_, config_.server.user, findings));
  std::set<std::pair<std::string, std::string>> tables;
  for (size_t i = 0; i < rules_.selection.entries().size(); ++i) {
    const TablePattern& match = rules_.selection.entries()[i].match;
    if (match.has_wildcard()) continue;
    const auto table = ParseTableName(match.glob);
    if (!table) continue;
    TableName target = TargetOf(config_, &rules_.options[i], *table);
    tables.emplace(std::move(target.schema), std::move(target.name));
  }
  TW_TRY(origins_.AddTargets(tables));
  for (const auto& [schema, name] : tables) {
    TW_TRY(CheckTable(session_, {schema, name}, config_.fire_triggers, findings));
  }
  std::string said;
  for (const TargetFinding& finding : findings) said += finding.subject + finding.what;
  if (said == std::exchange(last_findings_, said)) return {};
  for (const TargetFinding& finding : findings) {
    if (finding.in_the_way) {
      logger_.Warn("does not take the sink's rows as it is",
                   {{"target", finding.subject}, {"why", finding.what}, {"run", finding.sql}});
    } else {
      logger_.Info("is to be known of the target",
                   {{"target", finding.subject}, {"what", finding.what}});
    }
  }
  return {};
}

Status PostgresSink::Reconnect() {
  TW_TRY(session_.Connect());
  tables_.clear();
  origins_.Forget();
  types_.Forget();
  stages_.Forget();
  return PrepareState(session_, config_, owner_);
}

Status PostgresSink::Begin() {
  if (session_.in_transaction() && session_.connected()) return {};
  if (session_.in_transaction()) RollbackWhole();  // it broke, and took the transaction along
  if (!session_.connected()) TW_TRY(Reconnect());
  if (stages_.crowded()) {
    tables_.clear();
    TW_TRY(stages_.DropAll());
  }
  // Whoever else writes for this sink waits here, and finds its offsets moved.
  const auto locked =
      session_.Begin(fmt::format("SELECT log_id FROM {}.sinks WHERE sink = {} FOR UPDATE",
                                 QuotedName(config_.state_schema), QuotedText(owner_)));
  if (!locked) {
    if (locked.error().code == "pg_lock_timeout") EndOtherWriter();
    return locked.error();
  }
  const Rows& sink = *locked;
  if (sink.empty()) {  // somebody emptied our tables
    session_.Rollback();
    session_.Close();
    return Error{Disposition::kRetry, "pg_state_gone",
                 "the sink's row in its state schema is gone; it is made anew"};
  }
  log_id_ = sink.String(0, 0);
  if (constraints_at_once_) TW_TRY(session_.Run("SET CONSTRAINTS ALL IMMEDIATE"));
  if (whole_) TW_TRY(session_.Run(fmt::format("SAVEPOINT {}", kPart)));
  return {};
}

// A process that is frozen in the middle of a COPY holds the sink's row for ever: the server waits
// for its bytes, and no timeout counts there. It has lost the lease to this one, or this one, that
// its session ends costs nothing but a batch that comes again. In doubt nothing happens.
void PostgresSink::EndOtherWriter() {
  const auto ended = session_.Run(
      fmt::format("WITH holder AS MATERIALIZED (SELECT l.pid FROM {}.sinks s JOIN pg_locks l ON "
                  "l.locktype = 'transactionid' AND l.transactionid = s.xmax AND l.granted JOIN "
                  "pg_stat_activity a ON a.pid = l.pid WHERE s.sink = $1 AND a.usename = "
                  "current_user AND a.application_name = current_setting('application_name') AND "
                  "a.pid <> pg_backend_pid() AND a.xact_start < clock_timestamp() - $2::interval) "
                  "SELECT pid, pg_terminate_backend(pid) FROM holder",
                  QuotedName(config_.state_schema)),
      {owner_, fmt::format("{} milliseconds", config_.lock_timeout.count())});
  if (!ended || ended->empty()) return;
  logger_.Warn("ended the session of a process that wrote for this sink and stood still",
               {{"pid", ended->String(0, 0)}});
}

SourceKind PostgresSink::KindOf(std::string_view source) const {
  const auto kind = kinds_.find(source);
  return kind == kinds_.end() ? SourceKind::kOther : kind->second;
}

Result<std::vector<Verdict>> PostgresSink::Write(const DeliveryBatch& batch) {
  TW_TRY(Begin());
  if (whole_) whole_->Saw(batch);
  ++batches_;
  retired_.clear();
  const std::span<const CollapsedChange> items = collapser_.Collapse(batch);
  std::vector<Verdict> verdicts(items.size(), Verdict::Applied());
  std::vector<Group> groups;
  std::map<TableKey, size_t> newest;  // group of a table
  for (size_t i = 0; i < items.size(); ++i) {
    const Change& change = *items[i].last->change;
    switch (change.operation) {
      case Operation::kFrontier:
      case Operation::kMessage:
      case Operation::kTruncate:  // these two come through Sweep()
      case Operation::kSweep:
        continue;
      case Operation::kSchema:
      case Operation::kInsert:
      case Operation::kUpdate:
      case Operation::kDelete:
      case Operation::kRead:
        break;
    }
    auto writer = WriterFor(change);
    if (!writer) {
      if (!ConcernsTheChangeAlone(writer.error()) && !StopsItsTable(writer.error())) {
        return std::move(writer).error();
      }
      verdicts[i] = AsVerdict(writer.error());
      continue;
    }
    if (change.operation == Operation::kSchema) continue;
    const auto [group, is_new] =
        newest.try_emplace({std::string(change.source), std::string(change.table)}, groups.size());
    if (is_new || groups[group->second].writer != *writer) {
      group->second = groups.size();
      groups.push_back({&change, *writer, {}, {}});
    }
    Group& into = groups[group->second];
    into.items.push_back({&items[i], {}});
    into.numbers.push_back(i);
  }
  for (Group& group : groups) TW_TRY(WriteGroup(group, verdicts));
  return collapser_.Expand(verdicts);
}

Status PostgresSink::WriteGroup(Group& group, std::vector<Verdict>& verdicts) {
  Status written = group.writer->Write(group.items);
  if (!written && written.error().code == "pg_target_changed") {
    // A person altered the table since it was looked at: look again, once.
    Opened& table = tables_[{std::string(group.change->source), std::string(group.change->table)}];
    Retire(table);
    auto writer = WriterFor(*group.change);
    written = writer ? (*writer)->Write(group.items) : Status(std::move(writer).error());
    if (writer) group.writer = *writer;
  }
  if (!written) {
    if (!ConcernsTheChangeAlone(written.error()) && !StopsItsTable(written.error())) return written;
    Error error = std::move(written).error();
    if (ConcernsTheTable(error)) {
      error.message = fmt::format("{} cannot be written: {}", group.change->table, error.message);
    }
    for (const size_t number : group.numbers) verdicts[number] = AsVerdict(error);
    Retire(tables_[{std::string(group.change->source), std::string(group.change->table)}]);
    return {};
  }
  for (size_t i = 0; i < group.items.size(); ++i) {
    verdicts[group.numbers[i]] = std::move(group.items[i].verdict);
  }
  if (const uint64_t omitted = group.writer->TakeOmitted()) {
    omitted_total_.Add(static_cast<double>(omitted));
  }
  if (const uint64_t left_out = group.writer->TakeLeftOut()) {
    left_out_total_.Add(static_cast<double>(left_out));
  }
  return {};
}

// Other groups of the batch may still hold them.
void PostgresSink::Retire(Opened& table) {
  for (auto& [fingerprint, writer] : table.by_fingerprint) retired_.push_back(std::move(writer));
  table.by_fingerprint.clear();
}

Result<TableWriter*> PostgresSink::WriterFor(const Change& change) {
  TableKey key(change.source, change.table);
  auto opened = tables_.find(key);
  if (opened == tables_.end()) {
    TW_ASSIGN_OR_RETURN(Origin* const origin, origins_.Get(change.source, change.table));
    opened = tables_.try_emplace(std::move(key)).first;
    opened->second.origin = origin;
  }
  Opened& table = opened->second;
  if (table.judged_in != batches_) {
    table.judged_in = batches_;
    table.refused.clear();  // a person may have done what was asked for
    table.stopped.reset();
  }
  if (table.stopped) return *table.stopped;
  auto writer = Prepare(change, table);
  // A schema record is no reason: the rows behind it are.
  if (!writer && StopsItsTable(writer.error()) && change.operation != Operation::kSchema) {
    table.stopped = writer.error();
  }
  return writer;
}

Result<TableWriter*> PostgresSink::Prepare(const Change& change, Opened& table) {
  Origin& origin = *table.origin;
  const uint64_t fingerprint = change.schema->fingerprint();
  const auto known = table.by_fingerprint.find(fingerprint);
  // A schema record may tell that a column came back, though the schema itself was seen before.
  const bool follow =
      change.operation == Operation::kSchema && change.version > origin.schema_version;
  if (known != table.by_fingerprint.end() && !follow) return known->second.get();
  if (const auto refused = table.refused.find(fingerprint); refused != table.refused.end()) {
    return refused->second;
  }
  Met& met = met_[{origin.source, origin.table}];
  int64_t& first = met.first.try_emplace(fingerprint, change.version).first->second;
  first = follow ? change.version : std::min(first, change.version);
  if (change.version > met.newest) {
    met.newest = change.version;
    met.newest_fingerprint = fingerprint;
  }
  const TableName target =
      TargetOf(config_, rules_.Find(change.source, change.table), change.schema->name());
  const TargetRequest request{
      .change = &change,
      .target = target,
      .kind = KindOf(change.source),
      .policy = schema_changes_,
      // What was never mirrored begins with whatever comes first.
      .outdated = !origin.target.name.empty() &&
                  (met.newest_fingerprint != fingerprint || change.version < origin.schema_version),
      .schema_version = first,
      .sink = name_,
  };
  const Origin before = origin;
  auto made = session_.Atomically([&]() -> Result<std::unique_ptr<TableWriter>> {
    TW_ASSIGN_OR_RETURN(TargetFit fit,
                        PrepareTarget(session_, types_, origins_, origin, request, logger_));
    return TableWriter::Open(session_, stages_, config_.state_schema, origin, *change.schema,
                             std::move(fit));
  });
  if (!made) {
    origin = before;
    Error error = std::move(made).error();
    if (ConcernsTheTable(error)) {
      error.message = fmt::format("{} cannot be prepared as {}: {}", change.table,
                                  target.ToString(), error.message);
    }
    if (ConcernsTheChangeAlone(error) || StopsItsTable(error)) {
      table.refused.emplace(fingerprint, error);
      // What the schema record asked for is still to be done, before any row of it.
      if (known != table.by_fingerprint.end()) {
        retired_.push_back(std::move(known->second));
        table.by_fingerprint.erase(known);
      }
    }
    return error;
  }
  std::unique_ptr<TableWriter>& writer = table.by_fingerprint[fingerprint];
  if (writer != nullptr) retired_.push_back(std::move(writer));
  writer = *std::move(made);
  return writer.get();
}

Status PostgresSink::Sweep(const SweepRequest& request) {
  TW_TRY(Begin());
  if (whole_) whole_->SawMarker();
  TW_ASSIGN_OR_RETURN(Origin* const origin, origins_.Get(request.source, request.table));
  if (!origin->target.name.empty()) {
    TW_ASSIGN_OR_RETURN(const auto target, DescribeTarget(session_, origin->target));
    if (target && !target->columns.contains(std::string(kVersionColumn))) {
      return Error{Disposition::kNeedsOperator, "schema_incompatible",
                   fmt::format("{} has no column {} any more, by which a TRUNCATE or a new copy of "
                               "{} finds the rows that have to go: run ALTER TABLE {} ADD COLUMN "
                               "{} bigint NOT NULL DEFAULT 0",
                               QuotedName(origin->target), kVersionColumn, request.table,
                               QuotedName(origin->target), kVersionColumn)};
    }
    if (target) {
      TW_TRY(
          session_.RunLong(fmt::format("DELETE FROM {} WHERE {} < {}", QuotedName(origin->target),
                                       kVersionColumn, request.version)));
    }
  }
  if (request.version > origin->swept_version) {
    origin->swept_version = request.version;
    origin->changed = true;
  }
  return {};
}

Status PostgresSink::Assigned(std::span<const int32_t> partitions) {
  RollbackWhole();
  if (whole_) whole_->Assigned(partitions);
  return {};
}

Result<TransactionalSink::Stored> PostgresSink::StoredOffsets() {
  if (!session_.connected()) {
    RollbackWhole();
    TW_TRY(Reconnect());
  }
  TW_ASSIGN_OR_RETURN(Stored stored, ReadState(session_, config_, owner_));
  if (whole_) {
    for (const auto& [partition, offset] : whole_->next()) stored.offsets[partition] = offset;
  }
  return stored;
}

Result<CommitOutcome> PostgresSink::Commit(std::string_view log_id, const Offsets& expected,
                                           const Offsets& next) {
  if (!whole_) return Store(log_id, expected, next);
  if (whole_->open() && !(session_.in_transaction() && session_.connected())) {
    RollbackWhole();  // the session took along what the runner believes to be committed
    return CommitOutcome::kLost;
  }
  if (!whole_->Add(expected, next)) {
    RollbackWhole();
    return CommitOutcome::kLost;
  }
  const bool stored_ones = expected == next;  // that were put aside: no offset moves
  if (stored_ones) whole_->Back();
  if (!whole_->at_end()) {
    // Not yet: what was written stays, whatever becomes of the next part.
    TW_TRY(Begin());
    TW_TRY(origins_.Store());
    TW_TRY(session_.Run(fmt::format("RELEASE SAVEPOINT {0}; SAVEPOINT {0}", kPart)));
    whole_->Keep();
    return CommitOutcome::kCommitted;
  }
  const Offsets all_expected = whole_->expected();
  const Offsets all_next = whole_->next();
  return Store(log_id, all_expected, all_next);
}

Result<CommitOutcome> PostgresSink::Store(std::string_view log_id, const Offsets& expected,
                                          const Offsets& next) {
  TW_TRY(Begin());
  bool ours = log_id_.empty() || log_id_ == log_id;
  if (ours) {
    TW_ASSIGN_OR_RETURN(ours, MoveOffsets(session_, config_, owner_, expected, next));
  }
  if (!ours) {
    RollbackWhole();
    return CommitOutcome::kLost;
  }
  if (log_id_ != log_id) TW_TRY(StoreLogId(session_, config_, owner_, log_id));
  TW_TRY(origins_.Store());
  if (++commits_ % kPruneEvery == 0) TW_TRY(PruneTombstones(session_, config_, owner_));
  TW_CRASH_POINT("postgres_sink_before_commit");
  if (Status done = session_.Commit(); !done) {
    RollbackWhole();
    Error error = std::move(done).error();
    // A deferred constraint speaks up now, of which row nobody says. Written again with constraints
    // that speak up at once, the rows are found.
    if (ConcernsTheChangeAlone(error)) {
      error.disposition = constraints_at_once_ ? Disposition::kNeedsOperator : Disposition::kRetry;
      constraints_at_once_ = true;
    }
    return error;
  }
  TW_CRASH_POINT("postgres_sink_committed");
  constraints_at_once_ = false;
  stages_.Committed();
  if (whole_) {
    whole_->Forget();
    whole_->Keep();
  }
  return CommitOutcome::kCommitted;
}

void PostgresSink::Rollback() {
  if (whole_ && whole_->open() && session_.in_transaction() && session_.connected()) {
    // The runner counts the parts before this one as committed.
    const auto back = session_.Run(fmt::format("ROLLBACK TO SAVEPOINT {}", kPart));
    tables_.clear();
    stages_.RolledBackToPart();
    origins_.Forget();
    whole_->Back();
    if (back) return;
  }
  RollbackWhole();
}

void PostgresSink::RollbackWhole() {
  tables_.clear();
  session_.Rollback();
  stages_.RolledBack();
  origins_.Forget();
  if (!whole_) return;
  whole_->Forget();
  whole_->Back();
}

}  // namespace tailwater::postgres
