// Rows of which the log left columns out, laid over what the target holds.
#include <algorithm>

#include "clickhouse/clickhouse_sink.h"
#include "clickhouse/sink_pass.h"

namespace tailwater::clickhouse {
namespace {

// How many bases are held in memory at a time, and how long their keys are: the queries stay below
// the server's max_query_size, 256 KiB.
constexpr size_t kBasesAtATime = 200;
constexpr size_t kQueryBytes = 30'000;

}  // namespace

void ClickHouseSink::OverlayBases(Pass& pass) {
  std::stable_sort(pass.partials.begin(), pass.partials.end(),
                   [](const Partial& one, const Partial& other) { return one.plan < other.plan; });
  const std::span<Partial> all = pass.partials;
  for (size_t begin = 0; begin < all.size();) {
    size_t end = begin;
    size_t bytes = 0;
    while (end < all.size() && all[end].plan == all[begin].plan && end - begin < kBasesAtATime &&
           (end == begin || bytes < kQueryBytes)) {
      bytes += all[end++].wanted.literal.size();
    }
    OverlayBasesOf(pass, *all[begin].plan, all.subspan(begin, end - begin));
    begin = end;
  }
}

void ClickHouseSink::OverlayBasesOf(Pass& pass, const TablePlan& plan,
                                    std::span<Partial> partials) {
  const auto put_off = [&](const Error& error) {
    for (const Partial& partial : partials) pass.verdicts[partial.number] = Unavailable(error);
  };
  if (pass.down) return put_off(*pass.down);
  // Another replica answers: first it has to have what was written to the one before.
  uint64_t& synchronized = synchronized_[plan.target];
  if (plan.replicated && synchronized != server_->changes()) {
    const uint64_t changes = server_->changes();
    if (Status done = server_->Execute("SYSTEM SYNC REPLICA " + plan.qualified, true); !done) {
      return put_off(done.error());
    }
    synchronized = changes;
  }
  std::vector<WantedRow> wanted;
  std::vector<std::string> keys;
  for (const Partial& partial : partials) {
    wanted.push_back(partial.wanted);
    keys.push_back(HexOf(pass.items[partial.number].last->key));
  }
  bases_total_.Add(static_cast<double>(wanted.size()));
  auto held = ReadBases(*server_, facts_, plan, wanted);
  if (!held) {
    if (held.error().code == "clickhouse_table_changed") forgotten_.insert(plan.target);
    return put_off(held.error());
  }
  std::vector<SinkState::Span> spans;
  for (size_t i = 0; i < partials.size(); ++i) {
    const int64_t version = pass.items[partials[i].number].last->change->version;
    const auto found = held->rows.find(partials[i].wanted.key);
    if (found != held->rows.end() && found->second.version < version) {
      spans.push_back({keys[i], found->second.version, version});
    }
  }
  auto refused = state_.RefusedWithin(*server_, plan.origin, plan.target, spans);
  if (!refused) return put_off(refused.error());
  for (size_t i = 0; i < partials.size(); ++i) {
    const size_t number = partials[i].number;
    const Change& change = *pass.items[number].last->change;
    const auto found = held->rows.find(partials[i].wanted.key);
    if (found == held->rows.end() ||
        (found->second.deleted && found->second.version < change.version)) {
      pass.verdicts[number] = Verdict::Rejected(
          kBaseMissing, "some columns are unchanged, and the target has no such row");
      continue;
    }
    const HeldRow& base = found->second;
    if (base.version > change.version) {
      pass.verdicts[number] = Verdict::Superseded();
      continue;
    }
    const bool behind_refusal = refused->contains(keys[i]);
    const bool too_old =
        std::any_of(plan.columns.begin(), plan.columns.end(), [&](const PlannedColumn& column) {
          return partials[i].row[column.column].is_unchanged() && base.version < column.since;
        });
    if (behind_refusal || too_old) {
      Refuse(pass, number, plan,
             {Disposition::kReject, kBaseMissing,
              behind_refusal
                  ? "some columns are unchanged since a change that was refused"
                  : "some columns are unchanged, and the row is older than these columns are in "
                    "the target"});
      continue;
    }
    std::string bytes;
    Status written = writer_.AppendRow(plan, change, partials[i].row, &base, bytes);
    if (!written) {
      Refuse(pass, number, plan, std::move(written).error());
    } else {
      Put(pass, number, plan, std::move(bytes));
    }
  }
}

}  // namespace tailwater::clickhouse
