// CatalogFacts from the server's catalogs.
#pragma once

#include "postgres/catalog_facts.h"
#include "postgres/sql_session.h"

namespace tailwater::postgres {

class Catalog final : public CatalogFacts {
 public:
  explicit Catalog(SqlSession& session) : session_(session) {}
  Result<RelationFacts> Relation(uint32_t relation_oid) override;
  Result<TypeFacts> Type(uint32_t type_oid, int32_t typmod) override;

 private:
  SqlSession& session_;
};

}  // namespace tailwater::postgres
