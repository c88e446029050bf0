#include "mysql/kept_rows.h"

#include <algorithm>
#include <utility>

namespace tailwater::mysql {
namespace {

// Names of savepoints do not heed letter case.
bool SameName(std::string_view a, std::string_view b) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

Status KeptRows::Add(const Event& event, const std::shared_ptr<const MappedTable>& table) {
  auto found = std::find(tables_.begin(), tables_.end(), table);
  if (found == tables_.end()) found = tables_.insert(found, table);
  return spool_.Add(event.type, static_cast<uint32_t>(found - tables_.begin()), event.body);
}

void KeptRows::SetSavepoint(std::string name) {
  // The name means the new one from here on; a loop must not pile them up.
  std::erase_if(savepoints_, [&](const Savepoint& old) { return SameName(old.name, name); });
  savepoints_.push_back({std::move(name), spool_.end()});
}

Status KeptRows::RollBackTo(std::string_view name) {
  const auto found = std::find_if(savepoints_.begin(), savepoints_.end(),
                                  [&](const Savepoint& one) { return SameName(one.name, name); });
  if (found == savepoints_.end()) {
    return Error{Disposition::kFatal, "mysql_group_malformed",
                 "a transaction is rolled back to a savepoint that it does not hold; nothing was "
                 "skipped: compare with `SHOW BINLOG EVENTS` on the server, and report it with the "
                 "server's version"};
  }
  savepoints_.erase(found + 1, savepoints_.end());
  return spool_.Truncate(found->at);
}

Result<bool> KeptRows::Next(Rows& rows) {
  GroupSpool::Record record;
  TW_ASSIGN_OR_RETURN(const bool more, spool_.Next(record));
  if (!more) return false;
  rows = {};
  rows.passed = record.passed;
  if (record.passed != 0) return true;
  rows.event.type = record.type;
  rows.event.body = record.body;
  rows.table = tables_[record.table].get();
  return true;
}

void KeptRows::Clear() {
  if (!spool_.empty()) spool_.Clear();
  tables_.clear();
  savepoints_.clear();
}

}  // namespace tailwater::mysql
