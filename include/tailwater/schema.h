// The columns of a table as the log described them, with its key.
//
// Schemas are immutable and shared: a change refers to the one it was decoded with. They come from
// the stream only (Postgres Relation, MySQL TABLE_MAP); catalog look-ups may add facts that the
// stream lacks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tailwater/value.h"

namespace tailwater {

struct TableName {
  std::string schema;  // Postgres: the schema; MySQL: the database
  std::string name;
  auto operator<=>(const TableName&) const = default;

  // "public.orders"; a part that holds a dot, a quote, a blank or a control character is
  // double-quoted as SQL does it. This is the form of the `tailwater.table` header, of `tables:`
  // patterns and of all output.
  std::string ToString() const;
};

struct Column {
  std::string name;
  ValueType type = ValueType::kText;
  std::string type_name;   // as the server names it: "numeric(12,2)", "public.mood", "int4[]"
  bool key = false;        // part of the record key
  bool generated = false;  // the server computes it; sinks need not write it
  bool operator==(const Column&) const = default;
};

class TableSchema {
 public:
  // Encodes the wire block once and computes the fingerprint from it.
  static std::shared_ptr<const TableSchema> Make(TableName name, std::vector<Column> columns);

  const TableName& name() const { return name_; }
  const std::string& table() const { return table_; }  // name().ToString(), computed once
  const std::vector<Column>& columns() const { return columns_; }
  const std::vector<uint32_t>& key_columns() const {
    return key_columns_;
  }  // indexes into columns(), in column order
  bool keyless() const { return key_columns_.empty(); }
  const std::string& wire_block() const {
    return wire_block_;
  }  // serialized tailwater.v1.Schema, byte-identical in every record
  uint64_t fingerprint() const { return fingerprint_; }  // XXH3-64 of wire_block()

 private:
  TableSchema() = default;
  TableName name_;
  std::string table_;
  std::vector<Column> columns_;
  std::vector<uint32_t> key_columns_;
  std::string wire_block_;
  uint64_t fingerprint_ = 0;
};

using SchemaPtr = std::shared_ptr<const TableSchema>;

}  // namespace tailwater
