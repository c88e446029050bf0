// Reads the rows that changes build on which left columns out: the newest version of each key that
// the target holds, deleted or not.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clickhouse/row_writer.h"
#include "clickhouse/server.h"
#include "clickhouse/table_plan.h"

namespace tailwater::clickhouse {

// One key, as RowWriter gives it.
struct WantedRow {
  std::string key;
  std::string literal;
};

struct HeldRows {
  std::vector<std::shared_ptr<const std::string>> bytes;  // what `rows` views
  std::map<std::string, HeldRow, std::less<>> rows;       // by key
};

// The query for some keys.
std::string BaseQuery(const TablePlan& plan, std::span<const WantedRow> wanted, bool with_types);
// False: the bytes are not what was asked for.
bool ParseHeldRows(const TablePlan& plan, std::shared_ptr<const std::string> bytes, bool with_types,
                   HeldRows& held);

// Keys that the target does not hold are not there. `server` is asked for less at a time where its
// answer would be too long. kRetry "clickhouse_table_changed": plan it anew; or as Judge().
Result<HeldRows> ReadBases(Server& server, const ServerFacts& facts, const TablePlan& plan,
                           std::span<const WantedRow> wanted);

}  // namespace tailwater::clickhouse
