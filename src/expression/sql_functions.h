// The functions that the SQL of a condition calls beside SQLite's own: exact numbers, LIKE, texts.
#pragma once

#include "support/sqlite.h"

namespace tailwater::expression {

Status RegisterSqlFunctions(sqlite::Database& database);

// Whether the SQL of a condition may call it; everything else is refused by the authorizer.
bool IsAllowedFunction(const char* name);

}  // namespace tailwater::expression
