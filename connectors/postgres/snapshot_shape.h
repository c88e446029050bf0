// A table as the transaction that reads it sees it: the stream's columns, the order of its key, the
// publication's row filter.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "postgres/catalog_facts.h"
#include "postgres/key_order.h"
#include "postgres/relation.h"
#include "postgres/server_facts.h"
#include "postgres/snapshot_reader.h"
#include "support/text.h"

namespace tailwater::postgres {

// Rows of a plain table's children are theirs; a partitioned one has none of its own.
inline std::string From(const TableFacts& table) {
  // Rows of a plain table's children are theirs; a partitioned one has none of its own.
  return (table.kind == 'p' ? "" : "ONLY ") + table.quoted;
}

struct PostgresSnapshotReader::Shape {
  // Owns the parsers that `relation` points to.
  explicit Shape(CatalogFacts& catalog) : relations(catalog, {}) {}

  RelationCache relations;
  const Relation* relation = nullptr;
  std::vector<std::string> columns;  // quoted names, as in the relation
  KeyOrder order{{}};
  std::vector<uint32_t> key;  // the order's columns as columns of the relation
  std::string filter;         // of the publication; empty: none

  CopyShape ForCopy() const { return {*relation, columns, key}; }

  std::string Query(const std::string& select, const TableFacts& table,
                    const std::vector<std::string>& conditions) const {
    std::string where;
    for (const std::string& condition : conditions) {
      // The line end closes a comment.
      if (!condition.empty())
        where += fmt::format("{}({}\n)", where.empty() ? " WHERE " : " AND ", condition);
    }
    return fmt::format("SELECT {} FROM {}{}", select, From(table), where);
  }
};

}  // namespace tailwater::postgres
