// TABLE_MAP with full metadata, and what it becomes: the table's schema and one reader per column
// (PROTOCOLS B8, B9). Without full metadata nothing is guessed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mysql/binlog_event.h"
#include "mysql/mysql_config.h"
#include "mysql/table_facts.h"
#include "mysql/value_reader.h"
#include "tailwater/result.h"
#include "tailwater/schema.h"

namespace tailwater::mysql {

// One column as the map describes it.
struct MapColumn {
  std::string name;
  uint8_t type = 0;  // MYSQL_TYPE_…; for 254 the real one (ENUM 247, SET 248)
  uint16_t meta = 0;
  bool nullable = true;
  bool is_unsigned = false;
  bool visible = true;
  uint32_t collation = 0;           // 0: no character column
  std::vector<std::string> labels;  // ENUM, SET; bytes in the column's charset
  uint8_t geometry_type = 0;
  uint32_t vector_dimension = 0;
};

struct TableMap {
  uint64_t table_id = 0;
  uint16_t flags = 0;
  TableName name;
  bool full_metadata = false;  // names are there
  std::vector<MapColumn> columns;
  std::vector<uint32_t> key;  // columns of the primary key, or of what the server takes for it

  // kFatal "mysql_event_malformed".
  static Result<TableMap> Parse(const Event& event, const LogFormat& format);
};

// A table as one map describes it. Immutable.
struct MappedTable {
  TableMap map;
  SchemaPtr schema;
  std::vector<ValueReader> readers;  // one per column of the map and of the schema
  // MariaDB, system-versioned: the column that says until when the row holds; -1: none.
  int row_end = -1;
};

// Builds and remembers: the same bytes give the same object, as long as they are current.
class TableCache {
 public:
  TableCache(const ValueOptions& options, CatalogFacts& facts) : options_(options), facts_(facts) {}

  // kFatal "mysql_metadata_missing" (with the SET GLOBAL), "mysql_charset_unknown",
  // "mysql_type_unknown"; what CatalogFacts returns.
  Result<std::shared_ptr<const MappedTable>> Find(const Event& event, const LogFormat& format);
  void Reset();

 private:
  struct Entry {
    std::string bytes;  // of the map, without its table id
    std::shared_ptr<const MappedTable> table;
  };
  const ValueOptions options_;
  CatalogFacts& facts_;
  std::map<std::string, Entry, std::less<>> entries_;  // by database and name
};

}  // namespace tailwater::mysql
