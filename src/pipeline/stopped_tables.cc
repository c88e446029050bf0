#include "pipeline/stopped_tables.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;

// Soon at first: whoever watches the target's log may repair it within seconds.
constexpr BackoffOptions kProbes{1s, 15s};

// One field of a key: a tag, a length, so many bytes.
std::string_view TakeField(std::string_view& from, char tag) {
  if (from.empty() || from.front() != tag) return {};
  uint64_t size = 0;
  size_t at = 1;
  for (int shift = 0; at < from.size() && shift < 35; shift += 7) {
    const auto byte = static_cast<unsigned char>(from[at++]);
    size |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) break;
  }
  if (size > from.size() - at) return {};
  const std::string_view field = from.substr(at, size);
  from.remove_prefix(at + size);
  return field;
}

}  // namespace

std::pair<std::string_view, std::string_view> TableOfKey(std::string_view key) {
  const std::string_view source = TakeField(key, '\x0a');
  return {source, TakeField(key, '\x12')};
}

StoppedTables::StoppedTables(const Clock& clock, RandomSource random)
    : clock_(clock), random_(std::move(random)) {}

StoppedTables::Table* StoppedTables::Find(std::string_view source, std::string_view table) {
  if (tables_.empty()) return nullptr;
  const auto found = tables_.find({std::string(source), std::string(table)});
  return found == tables_.end() ? nullptr : &found->second;
}

StoppedTables::Table* StoppedTables::FindByKey(std::string_view key) {
  if (tables_.empty()) return nullptr;
  const auto [source, table] = TableOfKey(key);
  return Find(source, table);
}

bool StoppedTables::Stop(std::string_view source, std::string_view table, const Verdict& verdict) {
  const auto [known, is_new] = tables_.try_emplace({std::string(source), std::string(table)},
                                                   Table{{}, Backoff(kProbes, random_)});
  Table& stopped = known->second;
  StoppedTable& status = stopped.status;
  if (is_new) {
    status.source = source;
    status.table = table;
    status.since_micros = clock_.UnixMicros();
  }
  status.code = verdict.code;
  status.reason = verdict.reason;
  // Many records of one batch say the same.
  if (stopped.next_probe <= clock_.Now()) {
    stopped.next_probe = clock_.Now() + stopped.backoff.Next();
  }
  return is_new;
}

void StoppedTables::Erase(Table& table) {
  tables_.erase(tables_.find({table.status.source, table.status.table}));
}

bool StoppedTables::MustWait(Table& table) {
  if (clock_.Now() < table.next_probe) return true;
  table.next_probe = clock_.Now() + table.backoff.Next();
  return false;
}

void StoppedTables::Hurry(Table& table) {
  table.backoff.Reset();
  table.next_probe = clock_.Now();
}

void StoppedTables::Committed() {
  for (auto& [name, table] : tables_) {
    table.stored = table.stored || table.parking;
    table.parking = false;
  }
}

void StoppedTables::Discarded() {
  for (auto& [name, table] : tables_) table.parking = false;
}

std::vector<StoppedTables::Table*> StoppedTables::All() {
  std::vector<Table*> all;
  for (auto& [name, table] : tables_) all.push_back(&table);
  return all;
}

std::vector<StoppedTable> StoppedTables::Statuses() const {
  std::vector<StoppedTable> statuses;
  for (const auto& [name, table] : tables_) statuses.push_back(table.status);
  return statuses;
}

}  // namespace tailwater
