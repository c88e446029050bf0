// What the stream said about tables: their schemas, keys and how to read each column.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "postgres/catalog_facts.h"
#include "postgres/pgoutput.h"
#include "postgres/types.h"
#include "tailwater/result.h"
#include "tailwater/schema.h"

namespace tailwater::postgres {

struct Relation {
  uint32_t oid = 0;
  bool selected = true;  // false: its events count, but nobody wants them; no schema then
  std::optional<size_t> mark_column;  // of the table that watermarks are written to
  bool old_rows_whole = true;         // 'O' tuples hold every column
  SchemaPtr schema;
  std::vector<const ValueParser*> parsers;  // one per column
};

// Types by oid. Parsers stay where they are until the cache is destroyed.
class TypeCache {
 public:
  explicit TypeCache(CatalogFacts& catalog) : catalog_(catalog) {}

  struct Resolved {
    const ValueParser* parser = nullptr;
    std::string name;  // with the modifier: "numeric(12,2)", "public.mood"
  };
  // Unknown to the catalog by now: the server's text, named as the Type message named it.
  Result<Resolved> Resolve(uint32_t oid, int32_t typmod);

  // The type was created or changed: what is cached of it, and of all that is made from it, goes.
  void OnType(const TypeMessage& message);
  void Clear();

 private:
  Result<Resolved> ResolveNested(uint32_t oid, int32_t typmod, int depth);

  CatalogFacts& catalog_;
  std::unordered_map<uint64_t, Resolved> resolved_;           // by oid and typmod
  std::unordered_map<uint32_t, std::string> streamed_names_;  // from Type messages
  std::map<std::pair<const ValueParser*, char>, std::unique_ptr<ValueParser>> arrays_;
};

class RelationCache {
 public:
  // `mark_table` is never selected.
  RelationCache(CatalogFacts& catalog, std::function<bool(const TableName&)> selects_table,
                TableName mark_table = {});

  // A changed relation gets a new schema; one that is sent again unchanged keeps its own.
  // Errors: what CatalogFacts returns; the relation stays as it was.
  Status OnRelation(const RelationMessage& message);
  void OnType(const TypeMessage& message) { types_.OnType(message); }

  // Null: the stream never described it. Valid until the next OnRelation() or Clear().
  const Relation* Find(uint32_t oid) {
    if (last_ != nullptr && last_->oid == oid) return last_;
    return FindSlow(oid);
  }

  void Clear();

 private:
  const Relation* FindSlow(uint32_t oid);

  CatalogFacts& catalog_;
  std::function<bool(const TableName&)> selects_table_;
  const TableName mark_table_;
  TypeCache types_;
  std::unordered_map<uint32_t, Relation> relations_;
  const Relation* last_ = nullptr;
};

}  // namespace tailwater::postgres
