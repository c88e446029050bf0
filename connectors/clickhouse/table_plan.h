// How the rows of one table, with one schema, lie in their target: which columns, under which
// names, with which types, and the statements that make and fill it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "clickhouse/clickhouse_options.h"
#include "clickhouse/column_type.h"
#include "clickhouse/server.h"
#include "tailwater/schema.h"

namespace tailwater::clickhouse {

struct PlannedColumn {
  uint32_t column = 0;  // of the schema
  std::string name;     // in the target
  bool key = false;
  Type type;          // as the target has it; as it would be created until that is known
  int64_t since = 0;  // rows of the target that are older never held a value of it
};

// Columns that the sink adds to each row.
enum class Meta : uint8_t {
  kVersion,
  kDeleted,
  kOrigin,
  kNullArrays,   // names of array columns that are NULL: the type cannot say so
  kOperation,    // changelog
  kId,           // changelog
  kTime,         // changelog: of the commit
  kTransaction,  // changelog
  kMissing,      // changelog: names of columns that the record does not carry
};

struct MetaColumn {
  Meta meta = Meta::kVersion;
  std::string name;
  Type type;
};

inline constexpr char kNullArraysColumn[] = "_null_arrays";

struct TablePlan {
  std::string source;
  std::string table;      // in the source
  std::string origin;     // "shop:public.orders"
  std::string target;     // name in the database
  std::string qualified;  // `database`.`target`
  std::vector<PlannedColumn> columns;
  std::vector<size_t> key;  // of `columns`, as the target is sorted
  std::vector<MetaColumn> meta;
  size_t left_out = 0;  // columns that the target lacks and is not to get (schema_changes: ignore)

  // Once the target is known.
  bool prepared = false;
  bool replicated = false;  // what is written here is elsewhere a little later
  std::string insert;       // INSERT INTO … FORMAT …
  std::string header;       // what stands in front of the rows
  bool sends_json = false;

  const MetaColumn* Find(Meta meta_column) const;
};

// "shop:public.orders"
std::string OriginOf(std::string_view source, std::string_view table);

// kReject "clickhouse_key_missing": rows of a table without a key cannot be found again.
// kNeedsOperator "clickhouse_options_unfit": the options do not fit the table.
Result<TablePlan> PlanTable(const ClickHouseConfig& config, const ClickHouseTableOptions* options,
                            std::string_view source, const TableSchema& schema,
                            const ServerFacts& server);

// The type that a column is created with.
std::string CreatedType(const Column& column, bool key, const ClickHouseConfig& config,
                        const ServerFacts& server);

// CREATE TABLE, with all that the plan names.
std::string CreateStatement(const TablePlan& plan, const ClickHouseConfig& config,
                            const ServerFacts& server);

// The columns that the sink adds to every table.
std::vector<MetaColumn> OwnColumns(const ClickHouseConfig& config, const ServerFacts& server);

// Fills in `insert` and `header` from the columns' types.
void FinishPlan(TablePlan& plan, const ServerFacts& server);

}  // namespace tailwater::clickhouse
