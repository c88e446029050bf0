// Writes the marks of snapshots into the server's log; see watermarks.h.
#pragma once

#include <string>
#include <string_view>

#include "postgres/connection.h"
#include "postgres/postgres_config.h"
#include "postgres/setup.h"
#include "postgres/watermarks.h"
#include "tailwater/result.h"
#include "tailwater/schema.h"

namespace tailwater::postgres {

// Threads: one.
class MarkWriter {
 public:
  MarkWriter(const PostgresConfig& config, const OwnNames& names)
      : names_(names), table_(WatermarkTable(config)), by_table_(!config.watermark_table.empty()) {}

  // Before the first mark: where messages do not reach the stream, the table exists and is
  // published. kNeedsOperator "pg_watermark_table": with the SQL to run.
  Status Prepare(Connection& sql);
  // In a transaction of its own, in the log when it returns. Waits for no standby.
  Status Write(Connection& sql, const std::string& text);

 private:
  const OwnNames names_;
  const TableName table_;
  bool by_table_;
};

}  // namespace tailwater::postgres
