// Makes a target table fit the schema of a change: creates it, adds columns, keeps the full-text
// index. Additive only: what would change a column's type or the key is refused, naming the table.
#pragma once

#include <string>
#include <vector>

#include "sqlite/origin_catalog.h"
#include "support/sqlite.h"
#include "tailwater/change.h"

namespace tailwater {

// The columns that a mirror adds to a table.
inline constexpr std::string_view kOriginColumn = "_tailwater_origin";
inline constexpr std::string_view kVersionColumn = "_tailwater_version";
inline constexpr std::string_view kRowColumn = "_tailwater_row";
inline constexpr std::string_view kHashColumn = "_tailwater_hash";  // keyless tables

// "orders" for public.orders, "sales_orders" for sales.orders.
std::string DefaultTarget(const TableName& name);

// kReject "schema_incompatible", "search_column_missing": the message says what to do.
Status PrepareTarget(sqlite::Database& database, Origin& origin, const Change& change,
                     const std::string& target, const std::vector<std::string>& search);

}  // namespace tailwater
