// The tables that the sink writes to: made when they are missing, checked when they are somebody
// else's, and followed when the source changes its columns, as far as `schema_changes` allows.
//
// What is wrong with a table is told at once and whole, with the SQL to run. Such an error stops
// the table and no other (StopsTable()).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clickhouse/server.h"
#include "clickhouse/sink_state.h"
#include "clickhouse/table_plan.h"
#include "clickhouse/target.h"
#include "tailwater/log.h"
#include "tailwater/sink.h"

namespace tailwater::clickhouse {

// Whether an error concerns one table until a person acts.
bool StopsTable(const Error& error);

class TargetCatalog {
 public:
  // All of these outlive it.
  TargetCatalog(const ClickHouseConfig& config, const ServerFacts& facts, SinkState& state,
                const Logger& logger, SchemaChanges policy, std::string sink)
      : config_(config),
        facts_(facts),
        state_(state),
        logger_(logger),
        policy_(policy),
        sink_(std::move(sink)) {}

  // Makes sure that the target is there and takes the plan's rows; the plan is prepared then, maybe
  // without columns that the target lacks and is not to get. `version`: of the first change with
  // this schema. `outdated`: the source has changed the table since; such a change makes nothing
  // and stops nothing. As kReject ("schema_incompatible", "schema_outdated") an error concerns the
  // change alone.
  Status Prepare(Server& server, TablePlan& plan, const TableSchema& schema, int64_t version,
                 bool outdated);
  // Whether the target is not any more what the plan was prepared for.
  Result<bool> HasChanged(Server& server, const TablePlan& plan);
  // What is there, if it is.
  Result<std::optional<Target>> Look(Server& server, const std::string& target);

 private:
  struct Follow;
  Status CheckKey(const TablePlan& plan, const TableSchema& schema, const Target& target,
                  bool outdated) const;
  Status Compare(Follow& follow) const;
  Status CompareColumn(Follow& follow, PlannedColumn& planned, bool& kept) const;
  Status Make(Server& server, Follow& follow);
  Error Refuse(std::string_view code, const TablePlan& plan, bool outdated,
               std::string_view what) const;
  std::string CopyAgain(const TablePlan& plan) const;
  Status Alter(Server& server, const TablePlan& plan, const std::string& statement, bool patient);

  const ClickHouseConfig& config_;
  const ServerFacts& facts_;
  SinkState& state_;
  const Logger& logger_;
  const SchemaChanges policy_;
  const std::string sink_;
  std::map<std::string, std::string> owners_;  // origin, by target
};

}  // namespace tailwater::clickhouse
