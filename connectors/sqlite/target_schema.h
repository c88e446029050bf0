// Makes a target table fit the schema of a change, as far as `schema_changes` allows: creates it,
// adds columns, keeps the full-text index, and says what of a row the table takes. The rules are in
// README.md.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sqlite/origin_catalog.h"
#include "support/sqlite.h"
#include "tailwater/change.h"
#include "tailwater/log.h"
#include "tailwater/sink.h"

namespace tailwater {

// The columns that a mirror adds to a table.
inline constexpr std::string_view kOriginColumn = "_tailwater_origin";
inline constexpr std::string_view kVersionColumn = "_tailwater_version";
inline constexpr std::string_view kRowColumn = "_tailwater_row";
inline constexpr std::string_view kHashColumn = "_tailwater_hash";  // keyless tables

// "orders" for public.orders, "sales_orders" for sales.orders.
std::string DefaultTarget(const TableName& name);

struct TargetRequest {
  const Change* change = nullptr;
  std::string target;
  const std::vector<std::string>* search = nullptr;
  SchemaChanges policy = SchemaChanges::kApply;
  // The source has changed the table since: such a change makes nothing and stops nothing.
  bool outdated = false;
  int64_t schema_version = 0;  // the smallest version that this schema was seen with
  std::string sink;            // its name, for messages
};

// How the rows of one schema lie in the target.
struct TargetFit {
  std::vector<bool> left_out;       // per column of the schema: the target lacks it
  std::vector<std::string> absent;  // columns that the mirror made and the schema lacks: NULL
  std::vector<int64_t> since;       // per column: rows that are older never held a value of it
};

// Code "schema_incompatible", "schema_change_halted" or "search_column_missing": nothing was made.
// As kNeedsOperator it stops the table until somebody has done what the message says; as kReject
// (policy ignore, or "schema_outdated") it concerns the change alone.
Result<TargetFit> PrepareTarget(sqlite::Database& database, Origin& origin,
                                const TargetRequest& request, const Logger& logger);

}  // namespace tailwater
