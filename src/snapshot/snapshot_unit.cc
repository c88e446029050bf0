#include "snapshot/snapshot_unit.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "snapshot/state.pb.h"
#include "support/text.h"

namespace tailwater {
namespace {

constexpr uint32_t kUnitFormat = 1;

}  // namespace

SnapshotUnit::SnapshotUnit(uint64_t id, SnapshotRequest request, std::string_view reason,
                           bool wants_sweep, int64_t requested_micros)
    : wants_sweep(wants_sweep),
      id_(id),
      request_(std::move(request)),
      reason_(reason),
      requested_micros_(requested_micros) {}

Result<SnapshotUnit> SnapshotUnit::Decode(const std::string& state_key, const std::string& bytes) {
  state::v1::SnapshotUnitState state;
  // The format decides before anything else: a newer release may have changed the rest.
  if (!state.ParseFromString(bytes) || state.format() == 0) {
    return Error{Disposition::kFatal, "state_malformed",
                 fmt::format("the stored state '{}' is unreadable; restore the topic, or destroy "
                             "the pipeline and start it anew",
                             state_key)};
  }
  if (state.format() > kUnitFormat) {
    return Error{Disposition::kNeedsOperator, "state_newer",
                 fmt::format("the stored state '{}' has format {}, this release knows {}; run the "
                             "newer release that wrote it",
                             state_key, state.format(), kUnitFormat)};
  }
  SnapshotUnit unit(state.id(), {state.table(), state.where(), state.addressee()}, state.reason(),
                    false, state.requested_micros());
  unit.sweep_below = state.sweep_below();
  unit.rows = state.rows();
  unit.bytes = state.bytes();
  unit.chunks = state.chunks();
  unit.started_micros = state.started_micros();
  unit.ended_micros = state.ended_micros();
  unit.paused = state.paused();
  unit.stored = true;
  unit.key_.assign(state.key().begin(), state.key().end());
  unit.planned_ = state.planned();
  unit.planned_all_ = state.planned_all();
  unit.begun_whole_ = state.begun_whole();
  for (const auto& range : state.pending()) {
    unit.pending_.push_back({{range.after(), range.upto()}, false});
  }
  return unit;
}

std::string SnapshotUnit::Encode() const {
  state::v1::SnapshotUnitState state;
  state.set_format(kUnitFormat);
  state.set_id(id_);
  state.set_table(request_.table);
  state.set_where(request_.where);
  state.set_addressee(request_.addressee);
  state.set_reason(reason_);
  state.set_sweep_below(sweep_below);
  for (const std::string& column : key_) state.add_key(column);
  state.set_planned(planned_);
  state.set_planned_all(planned_all_);
  for (const Pending& pending : pending_) {
    auto* range = state.add_pending();
    range->set_after(pending.range.after);
    range->set_upto(pending.range.upto);
  }
  state.set_rows(rows);
  state.set_bytes(bytes);
  state.set_chunks(chunks);
  state.set_requested_micros(requested_micros_);
  state.set_started_micros(started_micros);
  state.set_ended_micros(ended_micros);
  state.set_paused(paused);
  state.set_begun_whole(begun_whole_);
  return state.SerializeAsString();
}

std::vector<SnapshotUnit::Pending>::iterator SnapshotUnit::FindPending(const KeyRange& range) {
  return std::find_if(pending_.begin(), pending_.end(),
                      [&](const Pending& pending) { return pending.range == range; });
}

bool SnapshotUnit::has_range() const {
  return std::any_of(pending_.begin(), pending_.end(),
                     [](const Pending& pending) { return !pending.taken; });
}

std::optional<KeyRange> SnapshotUnit::TakeRange() {
  for (Pending& pending : pending_) {
    if (pending.taken) continue;
    pending.taken = true;
    return pending.range;
  }
  return std::nullopt;
}

SnapshotKey SnapshotUnit::BeginBound() {
  assert(wants_bound());
  planning_ = true;
  return planned_;
}

KeyRange SnapshotUnit::EndBound(SnapshotKey bound) {
  planning_ = false;
  const KeyRange range{planned_, bound};
  planned_all_ = bound.empty();
  planned_ = std::move(bound);
  pending_.push_back({range, true});
  return range;
}

void SnapshotUnit::GiveBack(const KeyRange& range) {
  if (const auto pending = FindPending(range); pending != pending_.end()) pending->taken = false;
}

void SnapshotUnit::Published(const KeyRange& range, bool complete, const SnapshotKey& last) {
  const auto pending = FindPending(range);
  assert(pending != pending_.end());
  if (complete) {
    pending_.erase(pending);
    return;
  }
  if (!range.upto.empty()) {
    *pending = {{last, range.upto}, false};
    return;
  }
  // The table's end is further away than it seemed: the rest is planned like any other.
  pending_.erase(pending);
  planned_ = last;
  planned_all_ = false;
}

bool SnapshotUnit::IsLast(const KeyRange& range) const {
  return planned_all_ && pending_.size() == 1 && pending_.front().range == range;
}

void SnapshotUnit::StartOver(std::vector<std::string> key) {
  ++generation;
  key_ = std::move(key);
  planned_.clear();
  planned_all_ = false;
  planning_ = false;
  begun_whole_ = false;
  pending_.clear();
  rows = bytes = chunks = 0;
  again_in_row = 0;
}

}  // namespace tailwater
