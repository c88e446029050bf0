// The options of a `type: postgres` sink.
#pragma once

#include <chrono>
#include <string>

#include "postgres/postgres_config.h"
#include "tailwater/config.h"
#include "tailwater/schema.h"
#include "tailwater/tables.h"

namespace tailwater::postgres {

struct PostgresSinkConfig {
  PostgresConfig server;  // of it, what PostgresServerOptions() lists
  std::string schema;     // of tables that `table:` does not place; empty: the source's own
  std::string state_schema = "tailwater";
  bool transactional = false;
  bool fire_triggers = true;
  std::chrono::milliseconds lock_timeout = std::chrono::seconds(10);
  std::chrono::milliseconds write_timeout = std::chrono::minutes(5);
  std::chrono::seconds keep_deletes = std::chrono::hours(7 * 24);
};
struct PostgresTableOptions {
  std::string table;  // "schema.name", or a name in the schema that it would be in otherwise
};

const OptionTable& PostgresSinkOptions();
const OptionTable& PostgresTableOptionsTable();

// Checks across fields.
void ValidatePostgresSink(const PostgresSinkConfig& config,
                          const TableRules<PostgresTableOptions>& rules, const ConfigNode& section,
                          Problems& problems);

// Where a table of a source lies in the target.
TableName TargetOf(const PostgresSinkConfig& config, const PostgresTableOptions* options,
                   const TableName& source_table);

}  // namespace tailwater::postgres
