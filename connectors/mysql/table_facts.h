// What a TABLE_MAP does not say about a table, asked of information_schema. It shows *now*: columns
// are matched by name, and what is already gone or renamed is answered as "not found", never as an
// error.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tailwater/result.h"
#include "tailwater/schema.h"

namespace tailwater::mysql {

struct ColumnFacts {
  std::string name;
  std::string column_type;  // as the server prints it: "int(10) unsigned", "tinyint(1)", "uuid"
  std::string data_type;    // its bare name: "int", "uuid", "json"
  bool generated = false;
  // MariaDB: longtext with the server's own check that it is JSON.
  bool json = false;
  // MariaDB, system-versioned: GENERATED ALWAYS AS ROW END.
  bool row_end = false;
};

struct TableFacts {
  bool found = false;
  bool system_versioned = false;  // MariaDB: rows whose end has passed are history
  bool sequence = false;          // MariaDB: no table
  std::vector<ColumnFacts> columns;
};

// Called by the decoder when it meets a table map that it does not know yet, on the thread of
// Source::Run(). kRetry: the session was lost.
class CatalogFacts {
 public:
  virtual ~CatalogFacts() = default;
  virtual Result<TableFacts> Table(const TableName& table) = 0;
  // The character set of a collation id, as the server names it ("utf8mb4"); empty: unknown.
  virtual Result<std::string> Charset(uint32_t collation) = 0;
};

}  // namespace tailwater::mysql
