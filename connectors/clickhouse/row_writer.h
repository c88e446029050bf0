// Rows as they go to the server: the columns of a plan, then the sink's own, in RowBinary.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clickhouse/clickhouse_options.h"
#include "clickhouse/table_plan.h"
#include "clickhouse/value_encoder.h"
#include "tailwater/change.h"
#include "tailwater/metrics.h"

namespace tailwater::clickhouse {

// The newest version of a row that the target holds; views into what was read.
struct HeldRow {
  int64_t version = 0;
  bool deleted = false;
  std::vector<std::string_view> values;       // beside the plan's columns, as they lie there
  std::vector<std::string_view> null_arrays;  // names of columns
};

class RowWriter {
 public:
  RowWriter(const ClickHouseConfig& config, Metrics& metrics);

  // A row that is there. `row` beside the schema's columns; what is unchanged in it comes from
  // `base`. On an error `out` is as it was. kReject, naming column and type: "clickhouse_null",
  // "clickhouse_out_of_range", "clickhouse_precision", "clickhouse_value_unfit",
  // "record_malformed".
  Status AppendRow(const TablePlan& plan, const Change& change, std::span<const Value> row,
                   const HeldRow* base, std::string& out);
  // A row that is gone: its key, and nothing else.
  Status AppendDeleted(const TablePlan& plan, const Change& change, std::string& out);
  // A change, for a changelog.
  Status AppendChange(const TablePlan& plan, const Change& change, std::string& out);
  // The key alone, as the server has it, in the order of `plan.key`; and as a literal, (1, 'a').
  Status AppendKey(const TablePlan& plan, const Change& change, std::string& out);
  Status AppendKeyLiteral(const TablePlan& plan, const Change& change, std::string& out) const;

 private:
  Status AppendValue(const TablePlan& plan, const Change& change, const PlannedColumn& column,
                     const Value& value, std::string& out);
  void AppendNames(const std::vector<std::string_view>& names, std::string& out) const;
  // The sink's own columns.
  Status AppendMeta(const TablePlan& plan, const Change& change, bool deleted,
                    const std::vector<std::string_view>& names, std::string& out);
  Fit AppendMetaValue(const MetaColumn& column, const Change& change, bool deleted,
                      const std::vector<std::string_view>& names, std::string& out);

  ValueEncoder encoder_;
  std::string scratch_;
  Counter& omitted_total_;
  Counter& left_out_total_;
  Counter& replaced_total_;
};

}  // namespace tailwater::clickhouse
