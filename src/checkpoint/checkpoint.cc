#include "checkpoint/checkpoint.h"

#include <algorithm>

#include "checkpoint/state.pb.h"
#include "support/text.h"

namespace tailwater {
namespace {

constexpr uint32_t kStateFormat = 1;
constexpr int64_t kEpochZeroSeconds = 1'767'225'600;  // 2026-01-01T00:00:00Z
constexpr int kSequenceBits = 31;

Result<state::v1::CaptureState> ParseState(const std::string& key, const std::string& bytes) {
  state::v1::CaptureState state;
  // The format decides before anything else: a newer release may have changed the rest.
  if (!state.ParseFromString(bytes) || state.format() == 0) {
    return Error{Disposition::kFatal, "state_malformed",
                 fmt::format("the stored state '{}' is unreadable; restore the topic, or destroy "
                             "the pipeline and start it anew",
                             key)};
  }
  if (state.format() > kStateFormat) {
    return Error{Disposition::kNeedsOperator, "state_newer",
                 fmt::format("the stored state '{}' has format {}, this release knows {}; run the "
                             "newer release that wrote it",
                             key, state.format(), kStateFormat)};
  }
  return state;
}

}  // namespace

std::string CheckpointKey(std::string_view source) { return fmt::format("source/{}", source); }
std::string SchemasKey(std::string_view source) { return fmt::format("schemas/{}", source); }

Checkpoint::Checkpoint(std::string source, std::string source_type, std::string log_id,
                       const Clock& clock)
    : source_(std::move(source)),
      source_type_(std::move(source_type)),
      log_id_(std::move(log_id)),
      key_(CheckpointKey(source_)),
      schemas_key_(SchemasKey(source_)),
      clock_(clock) {}

Result<std::unique_ptr<Checkpoint>> Checkpoint::Load(
    std::string source, std::string source_type, const std::map<std::string, std::string>& state,
    const std::string& log_id, const Offsets& ends, const Clock& clock) {
  std::unique_ptr<Checkpoint> checkpoint(
      new Checkpoint(std::move(source), std::move(source_type), log_id, clock));
  TW_TRY(checkpoint->Parse(state, ends));
  return checkpoint;
}

Status Checkpoint::Parse(const std::map<std::string, std::string>& state, const Offsets& ends) {
  const auto stored = state.find(key_);
  if (stored == state.end()) {
    StartEpoch();
  } else {
    TW_ASSIGN_OR_RETURN(const state::v1::CaptureState loaded, ParseState(key_, stored->second));
    if (loaded.source_type() != source_type_) {
      return Error{
          Disposition::kNeedsOperator, "source_type_changed",
          fmt::format("source '{}' was of type '{}' and is '{}' now; give the new source another "
                      "name, or destroy the old one first",
                      source_, loaded.source_type(), source_type_)};
    }
    if (loaded.log_id() != log_id_) {
      return Error{Disposition::kGap, "topic_rewound",
                   fmt::format("the checkpoint of source '{}' belongs to log {}, the topic is log "
                               "{}; restore the topic that the checkpoint was stored with",
                               source_, loaded.log_id(), log_id_)};
    }
    for (const auto& [partition, stored_end] : loaded.ends()) {
      const auto end = ends.find(partition);
      if (end == ends.end() || end->second < stored_end) {
        return Error{
            Disposition::kGap, "topic_rewound",
            fmt::format("partition {} of the topic ends at {}, the checkpoint of source '{}' was "
                        "stored at {}; restore the lost end of the topic",
                        partition, end == ends.end() ? 0 : end->second, source_, stored_end)};
      }
    }
    for (const auto& [name, value] : loaded.identity()) pending_.identity[name] = value;
    if (loaded.has_frontier()) pending_.frontier = Position{loaded.frontier()};
    if (loaded.has_in_progress()) {
      const state::v1::InProgress& part = loaded.in_progress();
      pending_.in_progress =
          PartialTransaction{part.position(), part.events(), part.last_ordinal(), part.hash()};
    }
    pending_.after_gap = loaded.after_gap();
    for (const state::v1::Gap& stored : loaded.gaps()) {
      PassedGap& gap = pending_.gaps.emplace_back();
      gap.code = stored.code();
      gap.message = stored.message();
      if (stored.has_from()) gap.from = Position{stored.from()};
      if (stored.has_to()) gap.to = Position{stored.to()};
      gap.at_micros = stored.at_micros();
      gap.epoch = stored.epoch();
    }
    pending_.frontier_time_micros = loaded.frontier_time_micros();
    pending_.saved_at_micros = loaded.saved_at_micros();
    pending_.epoch = loaded.epoch();
    pending_.last_version = loaded.last_version();
    if (pending_.last_version <= 0 || pending_.epoch == 0) {
      return Error{Disposition::kFatal, "state_malformed",
                   fmt::format("the stored state '{}' has no version; restore the topic, or "
                               "destroy the pipeline and start it anew",
                               key_)};
    }
    if (const auto schemas = state.find(schemas_key_); schemas != state.end()) {
      TW_ASSIGN_OR_RETURN(const state::v1::CaptureState known,
                          ParseState(schemas_key_, schemas->second));
      for (const auto& [table, fingerprint] : known.schemas()) schemas_[table] = fingerprint;
    }
  }
  // Whatever a new start behind a gap had begun is begun again.
  resume_point_.after_gap = pending_.after_gap;
  if (!pending_.after_gap) resume_point_.identity = pending_.identity;
  resume_point_.frontier = pending_.frontier;
  resumed_transaction_ = pending_.in_progress;
  if (resumed_transaction_) resume_point_.in_progress = Position{resumed_transaction_->position};
  version_at_mark_ = pending_.last_version;
  EncodeConstantPart();
  MutexLock lock(mutex_);
  ends_ = ends;
  if (stored != state.end()) durable_ = pending_;
  durable_.epoch = pending_.epoch;
  return {};
}

void Checkpoint::StartEpoch() {
  const int64_t by_clock =
      std::clamp<int64_t>(clock_.UnixSeconds() - kEpochZeroSeconds, 1, UINT32_MAX);
  pending_.epoch =
      static_cast<uint32_t>(std::max((pending_.last_version >> kSequenceBits) + 1, by_clock));
  pending_.last_version = static_cast<int64_t>(pending_.epoch) << kSequenceBits;
}

void Checkpoint::EncodeConstantPart() {
  state::v1::CaptureState state;
  state.set_format(kStateFormat);
  state.set_source_type(source_type_);
  state.set_log_id(log_id_);
  state.set_epoch(pending_.epoch);
  for (const auto& [name, value] : pending_.identity) (*state.mutable_identity())[name] = value;
  state.set_after_gap(pending_.after_gap);
  for (const PassedGap& gap : pending_.gaps) {
    state::v1::Gap& stored = *state.add_gaps();
    stored.set_code(gap.code);
    stored.set_message(gap.message);
    stored.set_has_from(gap.from.has_value());
    if (gap.from) stored.set_from(gap.from->text);
    stored.set_has_to(gap.to.has_value());
    if (gap.to) stored.set_to(gap.to->text);
    stored.set_at_micros(gap.at_micros);
    stored.set_epoch(gap.epoch);
  }
  constant_part_ = state.SerializeAsString();
}

void Checkpoint::StartAfterGap(const Error& gap) {
  PassedGap passed;
  passed.code = gap.code;
  passed.message = gap.message;
  passed.from = std::exchange(pending_.frontier, std::nullopt);
  if (!passed.from && pending_.after_gap) passed.from = pending_.gaps.back().from;
  passed.at_micros = clock_.UnixMicros();
  pending_.frontier_time_micros = 0;
  pending_.in_progress.reset();
  pending_.after_gap = true;
  StartEpoch();
  passed.epoch = pending_.epoch;
  pending_.gaps.push_back(std::move(passed));
  if (pending_.gaps.size() > kGapsKept) pending_.gaps.erase(pending_.gaps.begin());
  gaps_changed_ = true;
  version_at_mark_ = pending_.last_version;
  SetIdentity({});
}

void Checkpoint::EndGap(std::string_view frontier) {
  pending_.after_gap = false;
  pending_.gaps.back().to = Position{std::string(frontier)};
  gaps_changed_ = true;
  EncodeConstantPart();
}

void Checkpoint::BeginEpoch() {
  StartEpoch();
  pending_.frontier.reset();
  pending_.frontier_time_micros = 0;
  pending_.in_progress.reset();
  SetIdentity({});
}

void Checkpoint::SetIdentity(const SourceIdentity& identity) {
  pending_.identity = identity;
  identity_changed_ = true;
  EncodeConstantPart();
}

void Checkpoint::SetFrontier(std::string_view frontier, int64_t commit_time_micros) {
  if (!pending_.frontier) pending_.frontier.emplace();
  pending_.frontier->text.assign(frontier);
  pending_.frontier_time_micros = commit_time_micros;
  if (pending_.after_gap) EndGap(frontier);
}

void Checkpoint::SetInProgress(std::optional<PartialTransaction> transaction) {
  pending_.in_progress = std::move(transaction);
}

bool Checkpoint::KnowsSchema(const TableSchema& schema) {
  const uint64_t fingerprint = schema.fingerprint();
  uint64_t& slot = current_[fingerprint % kCacheSlots];
  if (slot == fingerprint) return true;
  const auto known = schemas_.find(schema.table());
  if (known == schemas_.end() || known->second != fingerprint) return false;
  slot = fingerprint;
  return true;
}

void Checkpoint::AddSchema(const TableSchema& schema) {
  const auto known = schemas_.find(schema.table());
  undo_.push_back({schema.table(), known == schemas_.end()
                                       ? std::nullopt
                                       : std::optional<uint64_t>(known->second)});
  schemas_[schema.table()] = schema.fingerprint();
  schemas_changed_ = true;
  std::fill(std::begin(current_), std::end(current_), 0);
}

void Checkpoint::Mark() {
  version_at_mark_ = pending_.last_version;
  undo_.clear();
}

void Checkpoint::Rollback() {
  pending_.last_version = version_at_mark_;
  for (auto undo = undo_.rbegin(); undo != undo_.rend(); ++undo) {
    if (undo->fingerprint) {
      schemas_[undo->table] = *undo->fingerprint;
    } else {
      schemas_.erase(undo->table);
    }
  }
  undo_.clear();
  std::fill(std::begin(current_), std::end(current_), 0);
}

void Checkpoint::Seal(AppendBatch& batch) {
  pending_.saved_at_micros = clock_.UnixMicros();
  // Serialized messages concatenate: the constant part and the moving one make one CaptureState.
  state::v1::CaptureState state;
  if (pending_.frontier) {
    state.set_has_frontier(true);
    state.set_frontier(pending_.frontier->text);
  }
  if (pending_.in_progress) {
    state::v1::InProgress& part = *state.mutable_in_progress();
    part.set_position(pending_.in_progress->position);
    part.set_events(pending_.in_progress->events);
    part.set_last_ordinal(pending_.in_progress->last_ordinal);
    part.set_hash(pending_.in_progress->hash);
  }
  state.set_last_version(pending_.last_version);
  state.set_frontier_time_micros(pending_.frontier_time_micros);
  state.set_saved_at_micros(pending_.saved_at_micros);
  Sealed sealed;
  if (identity_changed_) sealed.identity = pending_.identity;
  sealed.frontier = pending_.frontier;
  sealed.frontier_time_micros = pending_.frontier_time_micros;
  sealed.saved_at_micros = pending_.saved_at_micros;
  sealed.epoch = pending_.epoch;
  sealed.last_version = pending_.last_version;
  sealed.in_progress = pending_.in_progress;
  sealed.after_gap = pending_.after_gap;
  if (gaps_changed_) sealed.gaps = pending_.gaps;
  identity_changed_ = gaps_changed_ = false;
  {
    MutexLock lock(mutex_);
    for (const auto& [partition, end] : ends_) (*state.mutable_ends())[partition] = end;
    sealed_.push_back(std::move(sealed));
  }
  std::string encoded = constant_part_;
  state.AppendToString(&encoded);
  batch.state[key_] = std::move(encoded);
  if (schemas_changed_) {
    // A key of its own: it changes seldom and may be large.
    state::v1::CaptureState schemas;
    schemas.set_format(kStateFormat);
    for (const auto& [table, fingerprint] : schemas_) {
      (*schemas.mutable_schemas())[table] = fingerprint;
    }
    batch.state[schemas_key_] = schemas.SerializeAsString();
    schemas_changed_ = false;
  }
  Mark();
}

std::optional<DurableFrontier> Checkpoint::Published(const AppendReceipt& receipt) {
  MutexLock lock(mutex_);
  Sealed sealed = std::move(sealed_.front());
  sealed_.pop_front();
  const bool moved = sealed.frontier && sealed.frontier != durable_.frontier;
  if (sealed.identity) durable_.identity = std::move(*sealed.identity);
  if (sealed.gaps) durable_.gaps = std::move(*sealed.gaps);
  durable_.after_gap = sealed.after_gap;
  durable_.frontier = std::move(sealed.frontier);
  durable_.frontier_time_micros = sealed.frontier_time_micros;
  durable_.saved_at_micros = sealed.saved_at_micros;
  durable_.epoch = sealed.epoch;
  durable_.last_version = sealed.last_version;
  durable_.in_progress = std::move(sealed.in_progress);
  ends_ = receipt.ends;
  if (!moved) return std::nullopt;
  return DurableFrontier(*durable_.frontier);
}

Checkpoint::Durable Checkpoint::durable() const {
  MutexLock lock(mutex_);
  return durable_;
}

}  // namespace tailwater
