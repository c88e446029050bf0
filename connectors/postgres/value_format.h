// In which form the server sends the values of a stream.
#pragma once

#include <functional>
#include <string>

#include "postgres/catalog_facts.h"
#include "postgres/connection.h"
#include "tailwater/result.h"
#include "tailwater/schema.h"

namespace tailwater::postgres {

// A stream is binary for all columns or for none. The first column of a table that `selects` takes
// which has no binary form of ours ("public.places.at of type point"); empty: there is none. As the
// catalogs show it now: a log that was written before may still hold one (ChangeDecoder says so).
Result<std::string> FindTextOnlyColumn(Connection& sql, CatalogFacts& catalog,
                                       const std::function<bool(const TableName&)>& selects);

}  // namespace tailwater::postgres
