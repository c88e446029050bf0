// The tables that the open group has described, by the ids that its rows call them by; and which of
// all tables are ours.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mysql/binlog_event.h"
#include "mysql/table_map.h"
#include "tailwater/result.h"

namespace tailwater::mysql {

// Threads: one.
class GroupTables {
 public:
  struct Entry {
    uint64_t id = 0;
    bool selected = false;
    // Not selected: without schema, to count rows with. Null: its rows cannot even be counted.
    std::shared_ptr<const MappedTable> table;
  };

  // `selects`: empty for all.
  GroupTables(std::function<bool(const TableName&)> selects, const ValueOptions& values,
              CatalogFacts& facts);

  // A TABLE_MAP. kFatal and others: as TableCache::Find(), for selected tables only.
  Status Add(const Event& event, const LogFormat& format);
  // Null: the group has not described it.
  const Entry* Find(uint64_t id) const;
  // The statement ended: ids may mean other tables from here on.
  void EndStatement() { entries_.clear(); }

  bool Selects(const TableName& table) const { return !selects_ || selects_(table); }
  // As the newest map described it. Null: there was none since Reset().
  SchemaPtr SchemaOf(const TableName& table) const;

  // A table of ours was altered: what the catalog says of it is asked again.
  void AskAgain() { cache_.Reset(); }
  // Before a dump.
  void Reset();

 private:
  struct Known {
    bool selected = false;
    std::string bytes;  // of the map, without its table id; for those that are not selected
    std::shared_ptr<const MappedTable> table;
  };

  const std::function<bool(const TableName&)> selects_;
  TableCache cache_;
  std::map<std::string, Known, std::less<>> known_;  // by both names as they stand in the map
  std::vector<Entry> entries_;
};

}  // namespace tailwater::mysql
