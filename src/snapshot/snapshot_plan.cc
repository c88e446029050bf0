#include "snapshot/snapshot_plan.h"

#include <algorithm>
#include <cassert>

#include "sdk/suggest.h"
#include "snapshot/state.pb.h"
#include "support/text.h"

namespace tailwater {
namespace {

constexpr uint32_t kPlanFormat = 1;
constexpr size_t kEndedShown = 100;
// A plan of n tables is stored this many times while all of them end, not n times.
constexpr size_t kPlanStores = 16;

std::vector<std::string> KeyOf(const TableSchema& schema) {
  std::vector<std::string> key;
  for (const uint32_t column : schema.key_columns()) key.push_back(schema.columns()[column].name);
  return key;
}

}  // namespace

std::string SnapshotPlanKey(std::string_view source) { return fmt::format("snapshot/{}", source); }

SnapshotPlan::SnapshotPlan(std::string source, const SnapshotOptions& options,
                           const BackoffOptions& backoff)
    : source_(std::move(source)), options_(options), backoff_(backoff) {}

std::string SnapshotPlan::UnitKey(uint64_t unit) const {
  return fmt::format("snapshot/{}/{}", source_, unit);
}

Result<std::unique_ptr<SnapshotPlan>> SnapshotPlan::Load(
    std::string source, const SnapshotOptions& options,
    const std::map<std::string, std::string>& state, const BackoffOptions& backoff) {
  std::unique_ptr<SnapshotPlan> plan(new SnapshotPlan(std::move(source), options, backoff));
  const std::string key = SnapshotPlanKey(plan->source_);
  const auto stored = state.find(key);
  if (stored == state.end() || stored->second.empty()) {
    plan->plan_dirty_ = true;
    return plan;
  }
  plan->is_new_ = false;
  state::v1::SnapshotPlanState loaded;
  if (!loaded.ParseFromString(stored->second) || loaded.format() == 0) {
    return Error{Disposition::kFatal, "state_malformed",
                 fmt::format("the stored state '{}' is unreadable; restore the topic, or destroy "
                             "the pipeline and start it anew",
                             key)};
  }
  if (loaded.format() > kPlanFormat) {
    return Error{Disposition::kNeedsOperator, "state_newer",
                 fmt::format("the stored state '{}' has format {}, this release knows {}; run the "
                             "newer release that wrote it",
                             key, loaded.format(), kPlanFormat)};
  }
  plan->last_unit_ = loaded.last_unit();
  plan->copy_all_ = loaded.copy_all();
  plan->sinks_.insert(loaded.sinks().begin(), loaded.sinks().end());
  for (const auto& [table, copied] : loaded.tables()) {
    plan->known_[table] = {copied.copied(),   copied.ended_micros(),    copied.rows(),
                           copied.identity(), copied.replaced_micros(), copied.replaced_why()};
    if (copied.copied()) ++plan->tables_copied_;
  }
  const std::string prefix = key + "/";
  for (auto unit = state.lower_bound(prefix); unit != state.end(); ++unit) {
    if (unit->first.compare(0, prefix.size(), prefix) != 0) break;
    if (unit->second.empty()) continue;
    TW_ASSIGN_OR_RETURN(SnapshotUnit decoded, SnapshotUnit::Decode(unit->first, unit->second));
    plan->last_unit_ = std::max(plan->last_unit_, decoded.id());
    plan->known_.try_emplace(decoded.request().table);
    if (decoded.ended_micros != 0) {
      plan->SetCopied(decoded);
      plan->ended_stored_.push_back(unit->first);
      continue;
    }
    decoded.whole = decoded.key().empty();
    decoded.backoff = Backoff(backoff);
    plan->by_table_[decoded.request().table].insert(decoded.id());
    plan->open_.emplace(decoded.id(), std::move(decoded));
  }
  return plan;
}

std::string SnapshotPlan::EncodePlan() const {
  state::v1::SnapshotPlanState plan;
  plan.set_format(kPlanFormat);
  plan.set_last_unit(last_unit_);
  plan.set_copy_all(copy_all_);
  for (const std::string& sink : sinks_) {
    if (!unstored_sinks_.contains(sink)) plan.add_sinks(sink);
  }
  for (const auto& [table, copied] : known_) {
    if (unstored_.contains(table)) continue;
    auto& entry = (*plan.mutable_tables())[table];
    entry.set_copied(copied.copied);
    entry.set_ended_micros(copied.ended_micros);
    entry.set_rows(copied.rows);
    entry.set_identity(copied.identity);
    entry.set_replaced_micros(copied.replaced_micros);
    entry.set_replaced_why(copied.replaced_why);
  }
  return plan.SerializeAsString();
}

// --- what there is to copy ---

SnapshotUnit& SnapshotPlan::AddUnit(SnapshotRequest request, std::string_view reason,
                                    bool wants_sweep, Now now) {
  const uint64_t id = ++last_unit_;
  by_table_[request.table].insert(id);
  SnapshotUnit& unit =
      open_.emplace(id, SnapshotUnit(id, std::move(request), reason, wants_sweep, now.unix_micros))
          .first->second;
  unit.backoff = Backoff(backoff_);
  TakeFacts(unit);
  dirty_.insert(id);
  return unit;
}

void SnapshotPlan::TakeFacts(SnapshotUnit& unit) {
  const auto facts = facts_.find(unit.request().table);
  if (facts == facts_.end()) return;
  if (unit.request().where.empty()) {
    unit.estimated_rows = facts->second.rows;
    unit.estimated_bytes = facts->second.bytes;
  }
  std::vector<std::string> key = KeyOf(*facts->second.schema);
  if (key == unit.key()) {
    if (!unit.begun()) unit.whole = key.empty();
    return;
  }
  if (!unit.begun()) {
    unit.SetKey(std::move(key));
  } else {
    StartOver(unit, std::move(key), unit.rows > 0);
    return;
  }
  unit.whole = unit.key().empty();
  dirty_.insert(unit.id());
  Index(unit);
}

// Ranges of another key say nothing about this one. What was published under the old key is not met
// again under the new one, so it is swept at the end.
void SnapshotPlan::StartOver(SnapshotUnit& unit, std::vector<std::string> key, bool sweep) {
  unit.StartOver(std::move(key));
  unit.blocked_code.clear();
  unit.not_before.reset();
  if (sweep && unit.request().where.empty()) {
    unit.wants_sweep = true;
    unit.stored = false;
  }
  unit.whole = unit.key().empty();
  dirty_.insert(unit.id());
  Index(unit);
}

void SnapshotPlan::StartOver(const SnapshotJob& job) {
  SnapshotUnit* const unit = FindWanted(job);
  if (unit != nullptr && unit->begun()) StartOver(*unit, unit->key(), unit->rows > 0);
}

void SnapshotPlan::CopyAllAgain(Now now) {
  while (!open_.empty()) Drop(open_.begin()->second, SnapshotState::kCancelled, now);
  ended_.clear();
  for (auto& [table, copied] : known_) copied = {.identity = std::move(copied.identity)};
  tables_copied_ = 0;
  copy_all_ = true;
  plan_dirty_ = true;
}

std::string SnapshotPlan::IdentityOf(const std::string& table) const {
  const auto known = known_.find(table);
  return known == known_.end() ? std::string() : known->second.identity;
}

bool SnapshotPlan::IsOther(const Copied& known, const SnapshotTable& table) {
  return !known.identity.empty() && !table.identity.empty() && known.identity != table.identity;
}

void SnapshotPlan::SetNotCopied(Copied& known, std::string_view why, Now now) {
  if (known.copied) --tables_copied_;
  known = {.identity = std::move(known.identity),
           .replaced_micros = now.unix_micros,
           .replaced_why = std::string(why)};
  plan_dirty_ = true;
}

// The table of this name is another one now: nothing of what was copied of the old one counts.
void SnapshotPlan::ForgetCopy(const std::string& table, Now now) {
  SetNotCopied(known_[table], "another table has its name now", now);
  if (const auto units = by_table_.find(table); units != by_table_.end()) {
    for (const uint64_t unit : std::set(units->second)) {
      Drop(open_.at(unit), SnapshotState::kGone, now);
    }
  }
}

void SnapshotPlan::RowsReplaced(const std::string& table, std::string_view why, bool copy,
                                Now now) {
  // A plan that met no table yet takes all of them as new, this one with them.
  if (!met_nothing() || !copy) {
    Copied& known = known_[table];
    SetNotCopied(known, why, now);
    known.identity.clear();  // whatever stands there now, this is how it came to be
  }
  bool copied = false;
  if (const auto units = by_table_.find(table); units != by_table_.end()) {
    for (const uint64_t id : units->second) {
      SnapshotUnit& unit = open_.at(id);
      unit.settled = false;
      StartOver(unit, unit.key(), true);
      if (!copy || !unit.full()) continue;
      unit.set_reason(SnapshotUnit::kRowsReplaced);
      copied = true;
    }
  }
  if (copy && !copied) AddUnit({table, {}, {}}, SnapshotUnit::kRowsReplaced, true, now);
}

std::vector<StaleTable> SnapshotPlan::StaleTables() const {
  std::vector<StaleTable> stale;
  for (const auto& [table, known] : known_) {
    if (known.replaced_micros == 0 || HasOpenFullUnit(table)) continue;
    if (!facts_.empty() && !facts_.contains(table)) continue;  // it is gone
    stale.push_back({table, known.replaced_why, known.replaced_micros});
  }
  return stale;
}

size_t SnapshotPlan::Meet(const std::vector<SnapshotTable>& tables, bool copy, Now now) {
  facts_.clear();
  for (const SnapshotTable& table : tables) {
    facts_[table.table] = {table.schema, table.rows, table.bytes};
  }
  for (auto& [id, unit] : open_) TakeFacts(unit);
  const bool first = met_nothing();
  size_t added = 0;
  for (const SnapshotTable& table : tables) {
    const auto [known, is_new] = known_.try_emplace(table.table);
    const bool made_anew = !is_new && IsOther(known->second, table);
    if (known->second.identity != table.identity) {
      known->second.identity = table.identity;
      plan_dirty_ = true;
    }
    if (!is_new && !made_anew && !copy_all_) continue;
    if (is_new || made_anew) ++added;
    if (made_anew) ForgetCopy(table.table, now);
    if (!copy && !copy_all_) {
      plan_dirty_ = true;
      continue;
    }
    unstored_.insert(table.table);
    const std::string_view reason = copy_all_ ? SnapshotUnit::kGap
                                    : first   ? SnapshotUnit::kInitial
                                              : SnapshotUnit::kAdded;
    // Nothing in the log says that a table was dropped: what sinks hold of the old one is swept.
    AddUnit({table.table, {}, {}}, reason, copy_all_ || made_anew, now);
  }
  if (copy_all_ && !tables.empty()) {
    copy_all_ = false;
    plan_dirty_ = true;
  }
  return added;
}

std::vector<SnapshotSink> SnapshotPlan::NewSinks(const std::vector<SnapshotSink>& sinks) const {
  std::vector<SnapshotSink> unknown;
  for (const SnapshotSink& sink : sinks) {
    if (!sinks_.contains(sink.name)) unknown.push_back(sink);
  }
  return unknown;
}

void SnapshotPlan::Remember(const SnapshotSink& sink) {
  if (!sinks_.insert(sink.name).second) return;
  unstored_sinks_.insert(sink.name);
  plan_dirty_ = true;
}

size_t SnapshotPlan::BringUpToDate(const SnapshotSink& sink, bool topic_is_whole, Now now) {
  size_t added = 0;
  for (const auto& [table, facts] : facts_) {
    if (!sink.tables.Selects(source_, table)) continue;
    const auto known = known_.find(table);
    const bool copied = known != known_.end() && known->second.copied;
    // What lies in the topic from its first record on, or is on its way there, needs no help.
    if (topic_is_whole && (copied || HasOpenFullUnit(table))) continue;
    AddUnit({table, {}, sink.name}, SnapshotUnit::kSink, true, now);
    ++added;
  }
  Remember(sink);
  return added;
}

bool SnapshotPlan::HasOpenFullUnit(const std::string& table) const {
  const auto units = by_table_.find(table);
  return units != by_table_.end() &&
         std::any_of(units->second.begin(), units->second.end(),
                     [&](uint64_t unit) { return open_.at(unit).full(); });
}

Result<uint64_t> SnapshotPlan::Add(const SnapshotRequest& request, Now now) {
  const auto facts = facts_.find(request.table);
  assert(facts != facts_.end());
  if (!request.where.empty() && facts->second.schema->keyless()) {
    return Error{Disposition::kReject, "snapshot_keyless_where",
                 fmt::format("table {} has no key: rows that are sent again could not be told from "
                             "those that are there; copy it whole, without a condition",
                             request.table)};
  }
  for (const uint64_t id : by_table_[request.table]) {
    const SnapshotUnit& unit = open_.at(id);
    if (unit.request().where != request.where || unit.request().addressee != request.addressee)
      continue;
    return Error{Disposition::kReject, "snapshot_exists",
                 fmt::format("snapshot {} of table {} asks for the same and has not ended; cancel "
                             "it first, or wait for it",
                             id, request.table)};
  }
  return AddUnit(request, SnapshotUnit::kRequested, request.where.empty(), now).id();
}

std::vector<std::string_view> SnapshotPlan::tables() const {
  std::vector<std::string_view> names;
  for (const auto& [table, facts] : facts_) names.push_back(table);
  return names;
}

SchemaPtr SnapshotPlan::SchemaOf(const std::string& table) const {
  const auto facts = facts_.find(table);
  return facts == facts_.end() ? nullptr : facts->second.schema;
}

Status SnapshotPlan::Change(std::optional<uint64_t> unit, SnapshotAction action, Now now) {
  std::vector<uint64_t> meant;
  if (unit) {
    if (!open_.contains(*unit)) {
      return Error{Disposition::kReject, "snapshot_unknown",
                   fmt::format("source '{}' has no snapshot {} that has not ended; see `tailwater "
                               "sources list`",
                               source_, *unit)};
    }
    meant.push_back(*unit);
  } else {
    for (const auto& [id, each] : open_) meant.push_back(id);
  }
  for (const uint64_t id : meant) {
    SnapshotUnit& each = open_.at(id);
    switch (action) {
      case SnapshotAction::kCancel:
        Drop(each, SnapshotState::kCancelled, now);
        continue;
      case SnapshotAction::kPause:
        each.paused = true;
        break;
      case SnapshotAction::kResume:
        each.paused = false;
        each.not_before.reset();  // what is blocked is tried at once
        break;
    }
    dirty_.insert(id);
    Index(each);
  }
  return {};
}

std::vector<uint64_t> SnapshotPlan::Unsettled() const {
  std::vector<uint64_t> units;
  for (const auto& [id, unit] : open_) {
    if (!unit.settled) units.push_back(id);
  }
  return units;
}

void SnapshotPlan::SetSettled(const std::vector<uint64_t>& units) {
  for (const uint64_t id : units) {
    const auto unit = open_.find(id);
    if (unit == open_.end()) continue;
    unit->second.settled = true;
    Index(unit->second);
  }
}

// --- what comes next ---

void SnapshotPlan::Unindex(uint64_t unit) {
  const auto place = places_.find(unit);
  if (place == places_.end()) return;
  if (place->second.ready != nullptr) place->second.ready->erase({place->second.active, unit});
  if (place->second.due) later_.erase({*place->second.due, unit});
  places_.erase(place);
}

void SnapshotPlan::Index(SnapshotUnit& unit) {
  Unindex(unit.id());
  if (!unit.stored || !unit.settled || unit.paused) return;
  if (unit.whole ? unit.active > 0 : !unit.has_range() && !unit.wants_bound()) return;
  if (unit.not_before) {
    later_.insert({*unit.not_before, unit.id()});
    places_[unit.id()] = {nullptr, 0, unit.not_before};
    return;
  }
  Ready* const ready = unit.whole ? &ready_whole_ : &ready_;
  ready->insert({unit.active, unit.id()});
  places_[unit.id()] = {ready, unit.active, std::nullopt};
}

std::optional<Clock::TimePoint> SnapshotPlan::next_due() const {
  if (later_.empty()) return std::nullopt;
  return later_.begin()->first;
}

std::optional<SnapshotJob> SnapshotPlan::NextJob(Clock::TimePoint now) {
  while (!later_.empty() && later_.begin()->first <= now) {
    SnapshotUnit& due = open_.at(later_.begin()->second);
    due.not_before.reset();
    Index(due);
  }
  const Ready* from = ready_.empty() ? nullptr : &ready_;
  if (!ready_whole_.empty() && !copying_whole_ &&
      (from == nullptr || *ready_whole_.begin() < *from->begin())) {
    from = &ready_whole_;
  }
  if (from == nullptr) return std::nullopt;
  SnapshotUnit& unit = open_.at(from->begin()->second);
  SnapshotJob job;
  job.unit = unit.id();
  job.generation = unit.generation;
  job.request = unit.request();
  if (unit.whole) {
    job.kind = SnapshotJob::Kind::kWhole;
    copying_whole_ = true;
  } else if (auto range = unit.TakeRange()) {
    job.range = *std::move(range);
  } else {
    const bool begun = unit.begun();
    const SnapshotKey after = unit.BeginBound();
    const auto facts = facts_.find(unit.request().table);
    if (!begun && facts != facts_.end() && facts->second.rows &&
        *facts->second.rows < options_.chunk_rows) {
      job.range = unit.EndBound({});  // one chunk; more of them if there is more to it
    } else {
      job.kind = SnapshotJob::Kind::kBound;
      job.range.after = after;
      job.rows = options_.chunk_rows;
      if (unit.rows > 0 && unit.bytes > 0) {
        const uint64_t fit =
            options_.chunk_size.bytes / std::max<uint64_t>(1, unit.bytes / unit.rows);
        job.rows = static_cast<uint32_t>(std::clamp<uint64_t>(fit, 1, options_.chunk_rows));
      }
    }
  }
  ++unit.active;
  Index(unit);
  return job;
}

SnapshotUnit* SnapshotPlan::FindWanted(const SnapshotJob& job) {
  const auto unit = open_.find(job.unit);
  if (unit == open_.end() || unit->second.generation != job.generation) return nullptr;
  return &unit->second;
}

bool SnapshotPlan::Wants(const SnapshotJob& job) const {
  const auto unit = open_.find(job.unit);
  return unit != open_.end() && unit->second.generation == job.generation;
}

std::optional<SnapshotJob> SnapshotPlan::EndBound(const SnapshotJob& job, SnapshotKey bound) {
  SnapshotUnit* const unit = FindWanted(job);
  if (unit == nullptr) return std::nullopt;
  SnapshotJob next = job;
  next.kind = SnapshotJob::Kind::kRange;
  next.range = unit->EndBound(std::move(bound));
  Index(*unit);
  return next;
}

void SnapshotPlan::GiveBack(const SnapshotJob& job, std::optional<Clock::TimePoint> until,
                            std::string_view code, std::string_view message) {
  if (job.kind == SnapshotJob::Kind::kWhole) copying_whole_ = false;
  const auto found = open_.find(job.unit);
  if (found == open_.end()) return;
  SnapshotUnit& unit = found->second;
  --unit.active;
  if (unit.generation == job.generation) {
    if (job.kind == SnapshotJob::Kind::kRange) unit.GiveBack(job.range);
    if (job.kind == SnapshotJob::Kind::kBound) unit.DropBound();
  }
  unit.blocked_code = code;
  unit.message = message;
  unit.not_before = until;
  Index(unit);
}

bool SnapshotPlan::CheckKey(const SnapshotJob& job, const SchemaPtr& schema) {
  SnapshotUnit* const unit = FindWanted(job);
  if (unit == nullptr) return false;
  auto& facts = facts_[job.request.table];
  if (facts.schema != nullptr && facts.schema->fingerprint() == schema->fingerprint()) return true;
  facts.schema = schema;
  TakeFacts(*unit);
  return unit->generation == job.generation && unit->whole == schema->keyless();
}

uint32_t SnapshotPlan::CountAgain(const SnapshotJob& job) {
  SnapshotUnit* const unit = FindWanted(job);
  if (unit == nullptr) return 0;
  ++unit->again;
  return ++unit->again_in_row;
}

std::chrono::milliseconds SnapshotPlan::ObserveRead(const SnapshotJob& job,
                                                    std::chrono::nanoseconds took, uint64_t rows,
                                                    std::string& why) {
  SnapshotUnit* const unit = FindWanted(job);
  if (unit == nullptr) return std::chrono::milliseconds(0);
  const std::chrono::milliseconds pause = unit->pace.Observe(took, rows);
  if (pause.count() > 0) {
    why = fmt::format("reading {} takes {:.1f} times as long per row as it did lately",
                      unit->request().table, unit->pace.ratio());
  }
  return pause;
}

std::chrono::milliseconds SnapshotPlan::NextDelay(const SnapshotJob& job, Disposition disposition) {
  const auto unit = open_.find(job.unit);
  return unit == open_.end() ? std::chrono::milliseconds(0)
                             : unit->second.backoff.Next(disposition);
}

void SnapshotPlan::End(SnapshotUnit& unit, SnapshotState state, Now now) {
  const uint64_t id = unit.id();
  const std::string table = unit.request().table;
  SnapshotStatus status = Describe(unit, now.time);
  status.state = state;
  status.waits_for.clear();
  status.code.clear();
  status.message.clear();
  status.rows_per_second.reset();
  status.seconds_left.reset();
  status.ended_micros = now.unix_micros;
  ended_.push_front(std::move(status));
  if (ended_.size() > kEndedShown) ended_.pop_back();
  Unindex(id);
  dirty_.erase(id);
  const auto units = by_table_.find(table);
  units->second.erase(id);
  if (units->second.empty()) by_table_.erase(units);
  open_.erase(id);
}

void SnapshotPlan::Drop(SnapshotUnit& unit, SnapshotState state, Now now) {
  removed_.insert(UnitKey(unit.id()));
  if (unit.full() && unstored_.erase(unit.request().table) > 0) plan_dirty_ = true;
  End(unit, state, now);
}

void SnapshotPlan::EndGone(const SnapshotJob& job, Now now) {
  GiveBack(job);
  const auto unit = open_.find(job.unit);
  if (unit != open_.end()) Drop(unit->second, SnapshotState::kGone, now);
}

void SnapshotPlan::SetCopied(const SnapshotUnit& unit) {
  if (!unit.full()) return;
  Copied& copied = known_[unit.request().table];
  if (!copied.copied) ++tables_copied_;
  copied.copied = true;
  copied.ended_micros = unit.ended_micros;
  copied.rows = unit.rows;
  copied.replaced_micros = 0;
  copied.replaced_why.clear();
}

bool SnapshotPlan::IsLast(const SnapshotJob& job, bool complete) const {
  if (!complete) return false;
  if (job.kind == SnapshotJob::Kind::kWhole) return true;
  const auto unit = open_.find(job.unit);
  return unit != open_.end() && unit->second.IsLast(job.range);
}

void SnapshotPlan::StoreEnd(SnapshotUnit& unit, std::map<std::string, std::string>& state,
                            Now now) {
  const std::string key = UnitKey(unit.id());
  unit.ended_micros = now.unix_micros;
  SetCopied(unit);
  const bool matters = unit.full();
  // The plan is as long as there are tables: it is not stored for each of them.
  const bool store_plan =
      matters && (open_.size() == 1 || (ended_stored_.size() + 1) * kPlanStores >= known_.size());
  if (!matters) {
    state[key] = {};
  } else if (store_plan) {
    state[key] = {};
    for (const std::string& ended : ended_stored_) state[ended] = {};
    ended_stored_.clear();
    state[SnapshotPlanKey(source_)] = EncodePlan();
  } else {
    state[key] = unit.Encode();
    ended_stored_.push_back(key);
  }
  End(unit, SnapshotState::kDone, now);
}

SnapshotNotes SnapshotPlan::Published(const SnapshotJob& job, const Outcome& outcome, Now now) {
  SnapshotNotes notes;
  SnapshotUnit* const found = FindWanted(job);
  if (found == nullptr) {
    GiveBack(job);
    return notes;
  }
  SnapshotUnit& unit = *found;
  unit.rows += outcome.rows;
  unit.bytes += outcome.bytes;
  ++unit.chunks;
  if (unit.started_micros == 0) unit.started_micros = now.unix_micros;
  unit.again_in_row = 0;
  unit.blocked_code.clear();
  unit.message.clear();
  unit.backoff.Reset();
  unit.rate.Add(now.time, outcome.rows);
  const bool whole = job.kind == SnapshotJob::Kind::kWhole;
  if (whole) {
    unit.MarkWholeBegun();
  } else {
    unit.Published(job.range, outcome.complete, outcome.last);
    --unit.active;
  }
  if (whole ? !outcome.complete : !unit.all_published()) {
    notes.state[UnitKey(unit.id())] = unit.Encode();
    dirty_.erase(unit.id());
    Index(unit);
    return notes;
  }
  if (whole) copying_whole_ = false;
  if (unit.sweep_below > 0 && !whole) {
    notes.markers.push_back({outcome.schema ? outcome.schema : SchemaOf(unit.request().table),
                             unit.sweep_below, unit.request().addressee});
  }
  StoreEnd(unit, notes.state, now);
  return notes;
}

// --- what has to be stored ---

SnapshotNotes SnapshotPlan::TakeNotes(int64_t next_version, Now) {
  SnapshotNotes notes;
  bool taken_in = false;
  for (const uint64_t id : dirty_) {
    SnapshotUnit& unit = open_.at(id);
    if (!unit.stored) {
      unit.stored = true;
      taken_in = true;
      // Without a key, the sweep lies where the copy begins.
      if (unit.wants_sweep && !unit.whole) unit.sweep_below = next_version;
      unit.wants_sweep = false;
      Index(unit);
    }
    notes.state[UnitKey(id)] = unit.Encode();
  }
  dirty_.clear();
  for (const std::string& key : removed_) notes.state[key] = {};
  removed_.clear();
  if (taken_in || plan_dirty_) {
    unstored_.clear();
    unstored_sinks_.clear();
    for (const std::string& ended : ended_stored_) notes.state[ended] = {};
    ended_stored_.clear();
    notes.state[SnapshotPlanKey(source_)] = EncodePlan();
    plan_dirty_ = false;
  }
  return notes;
}

// --- for people ---

const SnapshotUnit* SnapshotPlan::Find(uint64_t unit) const {
  const auto found = open_.find(unit);
  return found == open_.end() ? nullptr : &found->second;
}

SnapshotStatus SnapshotPlan::Describe(const SnapshotUnit& unit, Clock::TimePoint now) const {
  SnapshotStatus status;
  status.id = unit.id();
  status.request = unit.request();
  status.reason = unit.reason();
  status.rows = unit.rows;
  status.bytes = unit.bytes;
  status.estimated_rows = unit.estimated_rows;
  status.estimated_bytes = unit.estimated_bytes;
  status.chunks = unit.chunks;
  status.chunks_again = unit.again;
  status.requested_micros = unit.requested_micros();
  if (unit.started_micros != 0) status.started_micros = unit.started_micros;
  status.message = unit.message;
  if (unit.paused) {
    status.state = SnapshotState::kPaused;
    return status;
  }
  if (!unit.blocked_code.empty()) {
    status.state = SnapshotState::kBlocked;
    status.code = unit.blocked_code;
    return status;
  }
  if (unit.active > 0) {
    status.state = SnapshotState::kCopying;
    status.rows_per_second = unit.rate.PerSecond(now);
    if (status.rows_per_second && *status.rows_per_second > 0 && unit.estimated_rows &&
        *unit.estimated_rows > unit.rows) {
      status.seconds_left =
          static_cast<double>(*unit.estimated_rows - unit.rows) / *status.rows_per_second;
    }
    return status;
  }
  status.state = SnapshotState::kWaiting;
  if (!unit.stored) {
    status.waits_for = "its place in the topic";
  } else if (!unit.settled) {
    status.waits_for = "transactions that were open when it came";
  } else if (unit.not_before) {
    status.waits_for = unit.message;
  } else {
    status.waits_for = "a worker";
  }
  return status;
}

std::vector<SnapshotStatus> SnapshotPlan::Statuses(Clock::TimePoint now) const {
  std::vector<SnapshotStatus> all;
  all.reserve(open_.size() + ended_.size());
  for (const auto& [id, unit] : open_) all.push_back(Describe(unit, now));
  all.insert(all.end(), ended_.begin(), ended_.end());
  return all;
}

std::optional<SnapshotStatus> SnapshotPlan::StatusOf(uint64_t unit, Clock::TimePoint now) const {
  const auto found = open_.find(unit);
  if (found != open_.end()) return Describe(found->second, now);
  for (const SnapshotStatus& ended : ended_) {
    if (ended.id == unit) return ended;
  }
  return std::nullopt;
}

}  // namespace tailwater
