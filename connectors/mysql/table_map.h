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

// MYSQL_TYPE_…, as TABLE_MAP and binary JSON name them.
enum class FieldType : uint8_t {
  kTiny = 1,
  kShort = 2,
  kLong = 3,
  kFloat = 4,
  kDouble = 5,
  kTimestamp = 7,  // 7, 11 and 12 are the forms before MySQL 5.6
  kLongLong = 8,
  kInt24 = 9,
  kDate = 10,
  kTime = 11,
  kDatetime = 12,
  kYear = 13,
  kVarchar = 15,
  kBit = 16,
  kTimestamp2 = 17,
  kDatetime2 = 18,
  kTime2 = 19,
  kBlobCompressed = 140,     // MariaDB
  kVarcharCompressed = 141,  // MariaDB
  kVector = 242,
  kJson = 245,
  kDecimal = 246,
  kEnum = 247,
  kSet = 248,
  kBlob = 252,
  kVarString = 253,
  kString = 254,
  kGeometry = 255,
};

// One column as the map describes it.
struct MapColumn {
  std::string name;
  FieldType type{};  // for 254 the real one (ENUM, SET)
  // Of 254: length in bytes; 15, 253, 141: most bytes; ENUM, SET: bytes of the number; DECIMAL:
  // precision << 8 | scale; BIT: bits; times: digits of the fraction; BLOB, TEXT, JSON, GEOMETRY,
  // VECTOR: bytes of the length.
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

  // kFatal "mysql_event_malformed", "mysql_type_unknown".
  static Result<TableMap> Parse(const Event& event, const LogFormat& format);
};

// Which table it is, without a look at the rest: for maps of tables that nobody wants.
struct TableMapHead {
  uint64_t table_id = 0;
  std::string_view database;
  std::string_view table;

  // kFatal "mysql_event_malformed".
  static Result<TableMapHead> Parse(const Event& event, const LogFormat& format);
};

// A table as one map describes it. Immutable.
struct MappedTable {
  TableMap map;  // its table id is that of the first event that said so
  SchemaPtr schema;
  std::vector<ValueReader> readers;  // one per column of the map and of the schema
  // MariaDB, system-versioned: the column that says until when the row holds; -1: none.
  int row_end = -1;
  bool sequence = false;  // MariaDB: no table

  // `facts` may be of another moment than the map. kFatal: as TableCache::Find().
  static Result<std::shared_ptr<const MappedTable>> Make(TableMap map, CatalogFacts& facts,
                                                         const ValueOptions& options);
};

// kFatal "mysql_event_malformed": an event ("TABLE_MAP", "rows") that ends within its `what`.
Error CutShort(std::string_view event, std::string_view what);

// Builds and remembers: the same bytes give the same object, as long as they are current.
class TableCache {
 public:
  TableCache(const ValueOptions& options, CatalogFacts& facts) : options_(options), facts_(facts) {}

  // kFatal "mysql_metadata_missing" (with the SET GLOBAL), "mysql_charset_unknown",
  // "mysql_type_unknown"; what CatalogFacts returns.
  Result<std::shared_ptr<const MappedTable>> Find(const Event& event, const LogFormat& format);
  // Forgets all: the catalog may say something else by now (DDL, another server).
  void Reset() { entries_.clear(); }

 private:
  struct Entry {
    std::string bytes;  // of the map, without its table id
    std::shared_ptr<const MappedTable> table;
  };
  const ValueOptions options_;
  CatalogFacts& facts_;
  std::map<std::string, Entry, std::less<>> entries_;  // by database and name, as the map has them
};

}  // namespace tailwater::mysql
