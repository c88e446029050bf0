// The row events of one group that is not decided yet, with its savepoints and the tables that they
// are of.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mysql/binlog_event.h"
#include "mysql/group_spool.h"
#include "mysql/table_map.h"
#include "tailwater/result.h"

namespace tailwater::mysql {

// Threads: one.
class KeptRows {
 public:
  struct Rows {
    Event event;                         // type and body alone; until the next call
    const MappedTable* table = nullptr;  // null: `passed` rows of tables that are not ours
    uint64_t passed = 0;
  };

  explicit KeptRows(SpoolBudget& budget) : spool_(budget) {}

  Status Add(const Event& event, const std::shared_ptr<const MappedTable>& table);
  Status AddPassed(uint64_t rows) { return spool_.AddPassed(rows); }
  bool empty() const { return spool_.empty(); }

  void SetSavepoint(std::string name);
  // What was added behind it is gone; it stays itself. kFatal "mysql_group_malformed".
  Status RollBackTo(std::string_view name);

  // As GroupSpool has them.
  void Rewind() { spool_.Rewind(); }
  Result<bool> Next(Rows& rows);

  void Clear();

 private:
  struct Savepoint {
    std::string name;
    uint64_t at = 0;  // in the spool
  };

  GroupSpool spool_;
  std::vector<std::shared_ptr<const MappedTable>> tables_;
  std::vector<Savepoint> savepoints_;
};

}  // namespace tailwater::mysql
