// Makes a target table fit the schema of a change, as far as `schema_changes` allows: creates it,
// adds and widens columns, and says what of a row the table takes. The rules are in README.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "postgres/sink/origin_catalog.h"
#include "postgres/sink/target_catalog.h"
#include "postgres/sink/target_types.h"
#include "tailwater/change.h"
#include "tailwater/log.h"
#include "tailwater/sink.h"

namespace tailwater::postgres {

struct TargetRequest {
  const Change* change = nullptr;
  TableName target;
  SourceKind kind = SourceKind::kOther;
  SchemaChanges policy = SchemaChanges::kApply;
  // The source has changed the table since: such a change makes nothing and stops nothing.
  bool outdated = false;
  int64_t schema_version = 0;  // the smallest version that this schema was seen with
  std::string sink;            // its name, for messages
};

// How the rows of one schema lie in the target.
struct TargetFit {
  TableName target;
  std::vector<bool> left_out;       // per column of the schema: the target lacks or computes it
  std::vector<std::string> types;   // per column: the target's; empty where it is left out
  std::vector<std::string> absent;  // columns that the sink wrote once and the schema lacks: NULL
  std::vector<int64_t> since;       // per column: rows that are older never held a value of it
  bool altered = false;             // rows may have been written by another schema
};

// Code "schema_incompatible" or "schema_change_halted": nothing was made. As kNeedsOperator it
// stops the table until somebody has done what the message says; as kReject (policy ignore, or
// "schema_outdated") it concerns the change alone.
Result<TargetFit> PrepareTarget(TargetSession& session, TypeCatalog& types, OriginCatalog& origins,
                                Origin& origin, const TargetRequest& request, const Logger& logger);

}  // namespace tailwater::postgres
