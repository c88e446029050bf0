// How the rows of one table, with one schema, become documents: which columns, under which names,
// in which index, with what id. And the mapping that fits them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "opensearch/opensearch_options.h"
#include "tailwater/schema.h"

namespace tailwater::opensearch {

// What the server can do.
struct ServerFacts {
  bool opensearch = true;  // else Elasticsearch
  std::string version;
  bool unsigned_long = true;
  bool flattened = true;
};

// The field of each document that says where it comes from: {origin, version}. Sweeps go by it.
inline constexpr char kMetaField[] = "_tailwater";

struct PlannedField {
  uint32_t column = 0;
  std::string name;
  std::string quoted;  // as JSON, with a colon
};

struct TablePlan {
  std::string origin;  // "shop:public.orders"
  std::string index;
  std::string alias;
  std::vector<PlannedField> fields;
  std::string key;      // the names of the key's columns
  size_t left_out = 0;  // columns that the index has no field for (schema_changes: ignore)
  std::vector<uint32_t> id_columns;
  std::optional<uint32_t> routing;
  JsonOption settings;
  JsonOption mappings;
};

// kReject "opensearch_key_missing": rows of a table without a key cannot be found again.
// kNeedsOperator "opensearch_options_unfit": the options do not fit the table.
Result<TablePlan> PlanTable(const OpenSearchConfig& config, const OpenSearchTableOptions* options,
                            std::string_view source, const TableSchema& schema);

// Whether a field that is mapped so takes the values of the column. What nobody here knows does:
// the server judges each document.
bool TakesValuesOf(std::string_view mapped_type, const Column& column,
                   const OpenSearchConfig& config);

// The mapping of a column, as JSON.
std::string FieldMapping(const Column& column, const OpenSearchConfig& config,
                         const ServerFacts& server);

// The body of the request that creates the index.
Result<std::string> IndexBody(const TablePlan& plan, const TableSchema& schema,
                              const OpenSearchConfig& config, const ServerFacts& server,
                              std::string_view meta);

// The mapping of kMetaField.
std::string MetaMapping();

}  // namespace tailwater::opensearch
