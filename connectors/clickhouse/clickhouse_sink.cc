#include "clickhouse/clickhouse_sink.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "clickhouse/sink_pass.h"
#include "clickhouse/sql_text.h"
#include "clickhouse/start_check.h"
#include "support/snapshot_key.h"
#include "support/text.h"

namespace tailwater::clickhouse {
namespace {

// How much of rows waits to be sent.
constexpr size_t kBytesAtATime = 16 << 20;
// So many changes of one row are tried one by one in a call; nothing else is heard meanwhile.
constexpr size_t kMostTurns = 50;

}  // namespace

ClickHouseSink::ClickHouseSink(ClickHouseConfig config, TableRules<ClickHouseTableOptions> rules,
                               SinkContext context)
    : config_(std::move(config)),
      rules_(std::move(rules)),
      logger_(context.logger),
      state_(config_, facts_),
      catalog_(config_, facts_, state_, logger_, context.schema_changes, context.name),
      writer_(config_, context.metrics),
      inserter_(config_, facts_, catalog_, context.metrics),
      bases_total_(context.metrics.GetCounter(
          "tailwater_sink_bases_read_total",
          "Documents that were read because a change left columns out that did not change.")) {}

Status ClickHouseSink::Open() {
  if (server_ == nullptr) {
    TW_ASSIGN_OR_RETURN(server_, Server::Open(config_, logger_));
  }
  TW_TRY(server_->ReadCredentials());
  TW_ASSIGN_OR_RETURN(facts_, server_->Probe());
  if (config_.mode == Mode::kMirror && !facts_.deleted_flag()) {
    logger_.Warn(
        "the server knows no deleted flag: rows that are deleted are read with FINAL too, "
        "filter them",
        {{"version", facts_.version}, {"column", config_.deleted_column}});
  }
  TW_TRY(state_.Open(*server_));
  return CheckTables();
}

Status ClickHouseSink::CheckTables() {
  TW_ASSIGN_OR_RETURN(const StartFindings found, CheckAtStart(*server_, config_, rules_, facts_));
  if (!found.of_matched.empty()) {
    logger_.Warn(
        "tables that the sink's names may lead to cannot be written to as they are; each one that "
        "gets rows will stop alone",
        {{"database", config_.database}, {"tables", found.of_matched}});
  }
  if (found.of_named.empty()) return {};
  return Error{Disposition::kNeedsOperator, "clickhouse_table_unfit",
               fmt::format("tables in database {} cannot be written to: {}; or choose others with "
                           "`table:`",
                           Name(config_.database), found.of_named)};
}

Result<std::vector<Verdict>> ClickHouseSink::Write(const DeliveryBatch& batch) {
  TW_TRY(server_->ReadCredentials());
  size_t bytes = 0;
  for (const Delivery& delivery : batch.deliveries) bytes += delivery.value.size();
  may_wait_ = batch.deliveries.size() < config_.batch.rows && bytes < config_.batch.bytes.bytes;
  std::vector<Verdict> verdicts = WriteFrozenFirst(batch.deliveries);
  // Nothing was decided: the target as a whole is the reason.
  const Verdict* trouble = nullptr;
  for (const Verdict& verdict : verdicts) {
    if (verdict.final() || verdict.table_stopped) return verdicts;
    if (trouble == nullptr || (verdict.needs_operator && !trouble->needs_operator)) {
      trouble = &verdict;
    }
  }
  if (trouble == nullptr || trouble->after.count() > 0) return verdicts;
  return Error{trouble->needs_operator ? Disposition::kNeedsOperator : Disposition::kRetry,
               trouble->code, trouble->reason};
}

std::vector<Verdict> ClickHouseSink::WriteFrozenFirst(Deliveries deliveries) {
  if (frozen_.empty()) return WriteIsolating(deliveries);
  std::vector<Delivery> first, rest;
  std::vector<size_t> first_places, rest_places;
  for (size_t i = 0; i < deliveries.size(); ++i) {
    const Delivery& delivery = deliveries[i];
    const bool is_frozen = frozen_.contains({delivery.partition, delivery.offset});
    (is_frozen ? first : rest).push_back(delivery);
    (is_frozen ? first_places : rest_places).push_back(i);
  }
  const bool all_there = first.size() == frozen_.size();
  frozen_.clear();
  // A part of it went elsewhere: the same insert cannot be made again.
  if (!all_there || rest.empty()) return WriteIsolating(deliveries);
  std::vector<Verdict> verdicts(deliveries.size());
  const std::vector<Verdict> of_first = WriteIsolating(first);
  const Verdict* trouble = nullptr;
  for (size_t i = 0; i < first.size(); ++i) {
    verdicts[first_places[i]] = of_first[i];
    const bool waits = of_first[i].kind == Verdict::Kind::kRetry && of_first[i].whole_target;
    if (waits && trouble == nullptr) trouble = &of_first[i];
  }
  if (trouble != nullptr) {
    for (const size_t place : rest_places) verdicts[place] = *trouble;
    return verdicts;
  }
  const std::vector<Verdict> of_rest = WriteIsolating(rest);
  for (size_t i = 0; i < rest.size(); ++i) verdicts[rest_places[i]] = of_rest[i];
  return verdicts;
}

std::vector<Verdict> ClickHouseSink::WriteIsolating(Deliveries deliveries) {
  std::vector<Verdict> verdicts = WriteOnce(deliveries);
  // Of each row that was refused with several changes in it: where they stand.
  std::map<uint32_t, std::vector<size_t>> mixed;
  for (size_t i = 0; i < verdicts.size(); ++i) {
    if (verdicts[i].kind == Verdict::Kind::kRejected) mixed[item_of_[i]].push_back(i);
  }
  std::erase_if(mixed, [](const auto& entry) { return entry.second.size() < 2; });
  for (size_t turn = 0; !mixed.empty(); ++turn) {
    if (turn == kMostTurns) {
      for (const auto& [unused, places] : mixed) {
        for (size_t i = turn; i < places.size(); ++i) {
          Verdict& verdict = verdicts[places[i]];
          verdict = Verdict::Unavailable(
              verdict.code,
              verdict.reason + "; changes before it were tried one by one, it is next",
              std::chrono::milliseconds(1));
        }
      }
      break;
    }
    std::vector<Delivery> alone;
    for (const auto& [unused, places] : mixed) alone.push_back(deliveries[places[turn]]);
    const std::vector<Verdict> answers = WriteOnce(alone);
    size_t answer = 0;
    for (auto entry = mixed.begin(); entry != mixed.end();) {
      const std::vector<size_t>& places = entry->second;
      const Verdict& verdict = answers[answer++];
      verdicts[places[turn]] = verdict;
      if (!verdict.final()) {  // what follows of the row comes again with it
        for (size_t i = turn + 1; i < places.size(); ++i) verdicts[places[i]] = verdict;
      }
      const bool done = !verdict.final() || turn + 1 == places.size();
      entry = done ? mixed.erase(entry) : std::next(entry);
    }
  }
  return verdicts;
}

std::span<const CollapsedChange> ClickHouseSink::Items(Deliveries deliveries) {
  if (config_.mode == Mode::kMirror) {
    const auto items = collapser_.Collapse({deliveries});
    item_of_.assign(collapser_.item_of().begin(), collapser_.item_of().end());
    return items;
  }
  uncollapsed_.clear();
  item_of_.clear();
  for (const Delivery& delivery : deliveries) {
    item_of_.push_back(static_cast<uint32_t>(uncollapsed_.size()));
    uncollapsed_.push_back({&delivery, delivery.change->after, true, false});
  }
  return uncollapsed_;
}

std::vector<Verdict> ClickHouseSink::WriteOnce(Deliveries deliveries) {
  for (const std::string& target : forgotten_) {
    std::erase_if(
        plans_, [&](const auto& entry) { return !entry.second || entry.second->target == target; });
  }
  forgotten_.clear();
  Pass pass;
  pass.items = Items(deliveries);
  pass.verdicts.resize(pass.items.size());
  for (size_t i = 0; i < pass.items.size(); ++i) Plan(pass, i);
  Flush(pass);
  RememberRefused(pass);
  for (size_t i = 0; i < deliveries.size(); ++i) {
    const bool is_unknown =
        item_of_[i] != Collapser::kSuperseded &&
        std::binary_search(pass.unknown.begin(), pass.unknown.end(), item_of_[i]);
    if (is_unknown) frozen_.emplace(deliveries[i].partition, deliveries[i].offset);
  }
  if (config_.mode == Mode::kMirror) return collapser_.Expand(pass.verdicts);
  return std::move(pass.verdicts);
}

void ClickHouseSink::Plan(Pass& pass, size_t number) {
  const Change& change = *pass.items[number].last->change;
  Verdict& verdict = pass.verdicts[number];
  const bool truncate = change.operation == Operation::kTruncate && wants_truncate_events();
  const bool is_row = IsRowOperation(change.operation) || truncate;
  if (!is_row && change.operation != Operation::kSchema) {
    verdict = Verdict::Applied();
    return;
  }
  const std::string origin = OriginOf(change.source, change.table);
  const SchemaTurn turn = schemas_.Meet(origin, change);
  const bool outdated = turn == SchemaTurn::kOutdated;
  // Of a schema record nothing is refused: the rows behind it will tell.
  const auto answer = [&](Verdict with) {
    verdict = is_row ? std::move(with) : Verdict::Applied();
  };
  if (const auto stopped = pass.stopped.find(origin); stopped != pass.stopped.end() && !outdated) {
    return answer(Verdict::TableStopped(stopped->second.code, stopped->second.message));
  }
  const auto fail = [&](const Error& error) {
    if (StopsTable(error)) {
      if (!outdated) pass.stopped.emplace(origin, error);
      answer(Verdict::TableStopped(error.code, error.message));
    } else if (error.disposition == Disposition::kReject) {
      answer(Verdict::Rejected(error.code, error.message));
      if (is_row) pass.refused.push_back(number);
    } else {
      answer(Unavailable(error));
    }
  };
  if (turn == SchemaTurn::kChanged) {
    // What was written so far lies in the target before that is altered, and a schema that comes
    // back is compared anew.
    Flush(pass);
    pass.unfit.clear();
    pass.checked.clear();
    plans_.erase(PlanKey(change));
  }
  Result<TablePlan>& plan = PlanOf(change);
  if (!plan) return fail(plan.error());
  if (!plan->prepared) {
    if (pass.down) return fail(*pass.down);
    if (const auto off = pass.put_off.find(plan->target); off != pass.put_off.end()) {
      return fail(off->second);
    }
    if (const auto known = pass.unfit.find(&*plan); known != pass.unfit.end()) {
      return fail(known->second);
    }
    Status ready = catalog_.Prepare(*server_, *plan, *change.schema, change.version, outdated);
    if (!ready) {
      forgotten_.insert(plan->target);  // it may be half done
      const Error& error = ready.error();
      if (error.disposition == Disposition::kRetry) pass.down = error;
      if (error.disposition == Disposition::kReject) pass.unfit.emplace(&*plan, error);
      if (error.disposition == Disposition::kNeedsOperator && !StopsTable(error)) {
        pass.put_off.emplace(plan->target, error);
      }
      return fail(error);
    }
  }
  if (!is_row) {
    verdict = Verdict::Applied();
  } else if (!truncate && config_.mode == Mode::kMirror &&
             change.version < state_.SweptVersion(plan->origin, plan->target)) {
    verdict = Verdict::Superseded();
  } else {
    PlanRow(pass, number, *plan);
  }
}

void ClickHouseSink::PlanRow(Pass& pass, size_t number, const TablePlan& plan) {
  const CollapsedChange& item = pass.items[number];
  const Change& change = *item.last->change;
  std::string bytes;
  Status written;
  if (config_.mode == Mode::kChangelog) {
    written = writer_.AppendChange(plan, change, bytes);
  } else if (change.operation == Operation::kDelete) {
    written = writer_.AppendDeleted(plan, change, bytes);
  } else {
    std::vector<Value> row;
    if (!Image(item, plan, row) && !item.base_gone) {
      Partial partial{number, &plan, {}, std::move(row)};
      written = writer_.AppendKey(plan, change, partial.wanted.key);
      if (written) written = writer_.AppendKeyLiteral(plan, change, partial.wanted.literal);
      if (!written) return Refuse(pass, number, plan, std::move(written).error());
      pass.partials.push_back(std::move(partial));
      return;
    }
    written = writer_.AppendRow(plan, change, row, nullptr, bytes);
  }
  if (!written) return Refuse(pass, number, plan, std::move(written).error());
  Put(pass, number, plan, std::move(bytes));
}

bool ClickHouseSink::Image(const CollapsedChange& item, const TablePlan& plan,
                           std::vector<Value>& row) {
  const Row before = item.last->change->before;
  row.assign(item.after.begin(), item.after.end());
  bool whole = true;
  for (const PlannedColumn& column : plan.columns) {
    Value& value = row[column.column];
    if (!value.is_unchanged()) continue;
    // The old row says it, if the log sent it whole.
    if (!before.empty() && (before[column.column].has_value() || before[column.column].is_null())) {
      value = before[column.column];
    } else {
      whole = false;
    }
  }
  return whole;
}

void ClickHouseSink::Put(Pass& pass, size_t number, const TablePlan& plan, std::string row) {
  const bool replay = pass.items[number].last->replay;
  const auto same = [&](const RowGroup& group) {
    return group.plan == &plan && group.replay == replay;
  };
  auto group = std::find_if(pass.groups.begin(), pass.groups.end(), same);
  if (group == pass.groups.end()) {
    group = pass.groups.emplace(pass.groups.end());
    group->plan = &plan;
    group->replay = replay;
  }
  const size_t begin = group->rows.size();
  group->rows += row;
  group->items.push_back({number, begin, group->rows.size()});
  pass.bytes += row.size();
  if (pass.bytes >= kBytesAtATime) Send(pass);
}

void ClickHouseSink::Send(Pass& pass) {
  std::vector<const RowGroup*> groups;
  for (const RowGroup& group : pass.groups) groups.push_back(&group);
  if (groups.empty()) return;
  if (std::exchange(may_wait_, false)) {
    const std::chrono::milliseconds pause = inserter_.Pace(groups);
    if (pause.count() > 0) std::this_thread::sleep_for(pause);
  }
  const auto judgements = inserter_.Write(*server_, groups);
  for (size_t i = 0; i < groups.size(); ++i) {
    for (size_t k = 0; k < judgements[i].size(); ++k) {
      const Judgement& judgement = judgements[i][k];
      const size_t number = groups[i]->items[k].number;
      pass.verdicts[number] = ToVerdict(judgement);
      if (judgement.unknown) pass.unknown.push_back(number);
      if (judgement.outcome == Outcome::kRow) pass.refused.push_back(number);
      if (judgement.outcome == Outcome::kChanged) forgotten_.insert(groups[i]->plan->target);
    }
  }
  std::sort(pass.unknown.begin(), pass.unknown.end());
  pass.groups.clear();
  pass.bytes = 0;
}

void ClickHouseSink::Refuse(Pass& pass, size_t number, const TablePlan& plan, Error error) {
  // Somebody may have altered the table, so that it takes the value now.
  const auto [known, is_new] = pass.checked.try_emplace(&plan);
  if (is_new) {
    auto changed = catalog_.HasChanged(*server_, plan);
    if (!changed) {
      known->second = std::move(changed).error();
    } else if (*changed) {
      known->second =
          Error{Disposition::kRetry, "clickhouse_table_changed",
                fmt::format("table {} was altered; it is looked at again", plan.qualified)};
    }
    if (known->second) forgotten_.insert(plan.target);
  }
  if (known->second) {
    pass.verdicts[number] = Unavailable(*known->second);
    return;
  }
  pass.verdicts[number] = Verdict::Rejected(error.code, std::move(error.message));
  pass.refused.push_back(number);
}

void ClickHouseSink::RememberRefused(Pass& pass) {
  if (config_.mode == Mode::kChangelog) return;
  std::map<std::pair<std::string, std::string>, std::vector<size_t>> tables;
  for (const size_t number : pass.refused) {
    const Result<TablePlan>& plan = PlanOf(*pass.items[number].last->change);
    if (plan) tables[{plan->origin, plan->target}].push_back(number);
  }
  for (const auto& [table, numbers] : tables) {
    std::vector<SinkState::Entry> entries;
    for (const size_t number : numbers) {
      const Delivery& delivery = *pass.items[number].last;
      const int64_t version = delivery.change->version;
      entries.push_back({"refused", RefusedKey(HexOf(delivery.key), version), version});
    }
    Status stored = state_.Store(*server_, table.first, table.second, entries);
    if (stored) continue;
    // The refusal is told once it is remembered.
    for (const size_t number : numbers) pass.verdicts[number] = Unavailable(stored.error());
  }
}

void ClickHouseSink::Flush(Pass& pass) {
  OverlayBases(pass);
  pass.partials.clear();
  Send(pass);
}

std::string ClickHouseSink::PlanKey(const Change& change) {
  std::string key(change.source);
  const uint64_t fingerprint = change.schema->fingerprint();
  key.append(reinterpret_cast<const char*>(&fingerprint), sizeof fingerprint);
  return key;
}

Result<TablePlan>& ClickHouseSink::PlanOf(const Change& change) {
  std::string key = PlanKey(change);
  const auto known = plans_.find(key);
  if (known != plans_.end()) return known->second;
  return plans_
      .emplace(std::move(key), PlanTable(config_, rules_.Find(change.source, change.table),
                                         change.source, *change.schema, facts_))
      .first->second;
}

Status ClickHouseSink::Sweep(const SweepRequest& request) {
  if (config_.mode == Mode::kChangelog) return {};  // history keeps its rows
  TW_TRY(server_->ReadCredentials());
  const std::string origin = OriginOf(request.source, request.table);
  const auto table = ParseTableName(request.table);
  if (!table) {
    return Error{Disposition::kFatal, "record_malformed",
                 fmt::format("'{}' is no name of a table; the topic is damaged or was written by a "
                             "newer version: check its disk, or upgrade",
                             request.table)};
  }
  const std::string name =
      TargetOf(config_, rules_.Find(request.source, request.table), request.source, *table);
  const SinkState::Entry swept{"swept", "", request.version};
  TW_TRY(state_.Store(*server_, origin, name, {&swept, 1}));
  TW_ASSIGN_OR_RETURN(const auto target, catalog_.Look(*server_, name));
  if (!target) return {};
  if (target->Find(config_.version_column) == nullptr ||
      target->Find(config_.deleted_column) == nullptr) {
    return Error{
        Disposition::kNeedsOperator, "clickhouse_table_unfit",
        fmt::format("table {} has no columns {} and {}, so that its rows cannot be deleted "
                    "up to a version; choose another `table:`",
                    Name(name), config_.version_column, config_.deleted_column)};
  }
  // A tombstone of the sweep's version for each row that is older: what of it is still on its way,
  // or comes again by a rewind, does not come back.
  std::string key;
  for (const std::string& column : target->sorting_key) key += Name(column) + ", ";
  const std::string qualified = Name(config_.database) + "." + Name(name);
  const std::string version = Name(config_.version_column);
  const std::string deleted = Name(config_.deleted_column);
  std::string statement = fmt::format(
      "INSERT INTO {} ({}{}, {}) SELECT {}toUInt64({}), 1 FROM {} FINAL WHERE {} < {} AND {} = 0",
      qualified, key, version, deleted, key, request.version, qualified, version, request.version,
      deleted);
  if (!config_.origin_column.empty()) {
    statement += fmt::format(" AND {} = {}", Name(config_.origin_column), Quoted(origin));
  }
  // A table may have more partitions than other inserts may touch.
  constexpr std::string_view kMostPartitions = "max_partitions_per_insert_block";
  Settings settings;
  if (facts_.Knows(kMostPartitions)) settings.emplace_back(kMostPartitions, "0");
  TW_TRY(server_->Execute(std::move(statement), true, std::move(settings)));
  logger_.Info("table swept", {{"table", request.table}, {"target", name}});
  return {};
}

}  // namespace tailwater::clickhouse
