// tests/golden/mysql/rows: what real servers logged of rows, beside what they answered to a SELECT.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mysql/table_facts.h"

namespace tailwater::mysql {

struct CapturedTable {
  std::string name;
  std::string map;  // body of the TABLE_MAP event
  TableFacts facts;
  std::vector<std::string> select;  // expressions
  std::vector<std::vector<std::optional<std::string>>>
      selected;                                         // rows, as the text protocol has them
  std::vector<std::vector<std::string>> converted;      // rows without the key, all in UTF-8
  std::vector<std::pair<uint8_t, std::string>> events;  // type and body
};

struct Captured : CatalogFacts {
  std::vector<CapturedTable> tables;
  std::map<uint32_t, std::string> charsets;

  Result<TableFacts> Table(const TableName& table) override;
  Result<std::string> Charset(uint32_t collation) override;
};

// `flavour`: mariadb, mysql.
Captured ReadCaptured(const std::string& flavour);

}  // namespace tailwater::mysql
