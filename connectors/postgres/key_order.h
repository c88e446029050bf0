// The order in which a table is copied: that of the index behind its key, by the index's own
// operators and collations, so that the order is total exactly as the key is unique (citext,
// nondeterministic collations, operator classes). It is the server's alone: bounds are its own text
// of key values, and go back to it as literals of the column's type.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postgres/connection.h"
#include "postgres/server_facts.h"
#include "tailwater/result.h"
#include "tailwater/schema.h"
#include "tailwater/snapshot.h"

namespace tailwater::postgres {

struct KeyColumn {
  std::string name;
  std::string type;       // quoted, without a modifier, domains as their base: pg_catalog."bpchar"
  std::string collation;  // quoted; empty: the type has none
  std::string schema;     // of the operators, quoted
  std::string less;       // their names: <, <=, =, >=, >
  std::string less_or_equal;
  std::string equal;
  std::string greater_or_equal;
  std::string greater;
};

class KeyOrder {
 public:
  explicit KeyOrder(std::vector<KeyColumn> columns) : columns_(std::move(columns)) {}
  const std::vector<KeyColumn>& columns() const { return columns_; }

  // `ORDER BY`'s list.
  std::string OrderBy() const;
  // Conditions; `values` in the order of the columns.
  std::string Behind(const std::vector<std::string>& values) const;
  std::string UpTo(const std::vector<std::string>& values) const;

  // A place, with the names and types of its columns: another key's place is recognised.
  SnapshotKey Pack(const std::vector<std::string>& values) const;
  std::optional<std::vector<std::string>> Unpack(const SnapshotKey& key) const;

 private:
  std::string Compare(const std::vector<std::string>& values, bool behind) const;

  std::vector<KeyColumn> columns_;
};

// In the order of the index that gives the stream its key. Empty: there is none.
Result<std::vector<KeyColumn>> ReadKeyColumns(Connection& sql, const TableFacts& table);

}  // namespace tailwater::postgres
