// The connection that evaluates conditions: SQLite in memory, without a table, with limits, and
// with an authorizer that lets a condition call its functions and nothing else.
#pragma once

#include "expression/row_functions.h"
#include "support/sqlite.h"

namespace tailwater::expression {

// `context` outlives the connection.
Result<sqlite::Database> OpenSqlConnection(RowContext& context);

// The statement of a condition: one row, 1 or 0.
Result<sqlite::Statement> PrepareCondition(sqlite::Database& database, const std::string& sql);

}  // namespace tailwater::expression
