// What of a table's columns the server sends, told from the catalogs in the form in which the
// stream will tell it: what is described ahead and what is copied has the shape of what is
// streamed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "postgres/connection.h"
#include "postgres/pgoutput.h"
#include "postgres/server_facts.h"
#include "tailwater/result.h"

namespace tailwater::postgres {

struct StreamedColumns {
  std::vector<std::string> names;
  std::vector<RelationColumn> columns;  // their names view `names`
};

// By the table's oid; a table without columns is not in it.
Result<std::map<uint32_t, StreamedColumns>> ReadStreamedColumns(
    Connection& sql, const std::string& publication, const std::vector<const TableFacts*>& tables);

// As the stream's Relation message; views both.
RelationMessage DescribeRelation(const TableFacts& table,
                                 const std::map<uint32_t, StreamedColumns>& columns);

// "{1,2}", for $1::oid[].
std::string OidArray(const std::vector<const TableFacts*>& tables);

}  // namespace tailwater::postgres
