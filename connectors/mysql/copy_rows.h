// A table as the session that reads it sees it, and its rows as the stream would show them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mysql/connection.h"
#include "mysql/described_table.h"
#include "mysql/key_order.h"
#include "mysql/snapshot_reader.h"
#include "mysql/table_map.h"

namespace tailwater::mysql {

struct MysqlSnapshotReader::Shape {
  std::shared_ptr<const MappedTable> table;
  KeyOrder order;  // empty: no key
  std::string quoted;
  std::string select;  // the columns, and behind them what of the key these do not tell

  // `conditions`: those that are not empty, all of them.
  std::string Query(const std::string& what, const std::vector<std::string>& conditions,
                    bool by_key) const;
};

// The rows of one statement that selects Shape::select. Threads: one.
class CopiedRows {
 public:
  CopiedRows(const MappedTable& table, const KeyOrder& order);
  const std::string& select() const { return select_; }

  // kFatal "mysql_value_malformed", "mysql_text_invalid", "mysql_date_invalid": without a value.
  Status Add(Connection::Cells cells, ChangeBatch& batch);
  // Of the row that came last, for KeyOrder.
  const std::vector<std::string>& key() const { return key_; }

 private:
  const MappedTable& table_;
  const KeyOrder& order_;
  std::string select_;
  std::vector<size_t> key_cells_;
  std::vector<std::string> key_;
};

}  // namespace tailwater::mysql
