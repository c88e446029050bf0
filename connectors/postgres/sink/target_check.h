// What can be said of a target before the first record comes: rights, the database's encoding, and
// of tables that are named or known already what does not take the sink's rows, whatever their
// source looks like. The rest is compared at a table's first record (target_table.h).
#pragma once

#include <string>
#include <vector>

#include "postgres/sink/target_session.h"
#include "tailwater/schema.h"

namespace tailwater::postgres {

struct TargetFinding {
  std::string subject;     // a table, or "database"
  std::string what;        // all that is in the way, or worth knowing, one behind the other
  std::string sql;         // does away with it; empty: nothing has to be done
  bool in_the_way = true;  // else it is as somebody wanted it, and changes what the sink's rows do
};

// kNeedsOperator "pg_privilege_missing": without the right nothing can be written at all.
Status CheckDatabase(TargetSession& session, const std::string& user,
                     std::vector<TargetFinding>& findings);

Status CheckTable(TargetSession& session, const TableName& table, bool fires_triggers,
                  std::vector<TargetFinding>& findings);

}  // namespace tailwater::postgres
