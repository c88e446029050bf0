// Tables as information_schema describes them now, in the words of the log: what their next
// TABLE_MAP will say, so that a copied row and a streamed one have the same schema and the same
// readers of values; and the index that their copy follows.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mysql/connection.h"
#include "mysql/key_order.h"
#include "mysql/table_facts.h"
#include "mysql/table_map.h"
#include "tailwater/result.h"
#include "tailwater/schema.h"

namespace tailwater::mysql {

struct DescribedTable {
  TableMap map;
  TableFacts facts;
  KeyOrder order;  // empty: no key
};

// Answers for tables that were described: of them alone, and of the moment at which they were.
class DescribedFacts final : public CatalogFacts {
 public:
  explicit DescribedFacts(const DescribedTable& table) : table_(table) {}
  Result<TableFacts> Table(const TableName& table) override;
  // By the numbers that DescribeTables() gives character sets; they are no server's.
  Result<std::string> Charset(uint32_t number) override;
  static uint32_t Number(std::string_view charset);

 private:
  const DescribedTable& table_;
};

// Those that are not there, or that we may not see, are left out. Cheap for one, and for all of a
// database.
Result<std::map<TableName, DescribedTable>> DescribeTables(Connection& sql,
                                                           const std::vector<TableName>& tables);

// What the stream asks of it: `found` is false if it is not there, or not for us to see.
Result<TableFacts> ReadTableFacts(Connection& sql, const TableName& table);

// Of COLUMN_TYPE, for tests: 'a','b''c' out of enum('a','b''c').
std::vector<std::string> ParseLabels(std::string_view column_type);

}  // namespace tailwater::mysql
