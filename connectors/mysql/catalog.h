// CatalogFacts from information_schema.
#pragma once

#include <map>

#include "mysql/sql_session.h"
#include "mysql/table_facts.h"

namespace tailwater::mysql {

class Catalog final : public CatalogFacts {
 public:
  explicit Catalog(SqlSession& session) : session_(session) {}
  // kNeedsOperator "mysql_privilege_missing", with the GRANT: the table is there, but not for us to
  // see. information_schema hides it then, and a hidden table must not pass for one that is gone.
  Result<TableFacts> Table(const TableName& table) override;
  Result<std::string> Charset(uint32_t collation) override;
  // Another server may number its collations otherwise.
  void Reset() { charsets_.clear(); }

 private:
  Status CheckGone(const TableName& table);
  Status ReadCharsets();

  SqlSession& session_;
  std::map<uint32_t, std::string> charsets_;
};

}  // namespace tailwater::mysql
