// A table as the server describes it, and what keeps rows from being mirrored into it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "clickhouse/server.h"
#include "clickhouse/table_plan.h"

namespace tailwater::clickhouse {

struct TargetColumn {
  std::string name;
  Type type;
  std::string default_kind;  // DEFAULT, MATERIALIZED, ALIAS or empty
  bool in_partition_key = false;
};

struct Target {
  std::string engine;       // "ReplicatedReplacingMergeTree"
  std::string engine_full;  // with its arguments
  std::vector<std::string> sorting_key;
  std::vector<TargetColumn> columns;
  const TargetColumn* Find(std::string_view name) const;
};

// "a, `b c`, lower(d)" taken apart at the commas that stand in no bracket; back quotes removed.
std::vector<std::string> ParseKeyList(std::string_view text);
// The arguments of "ReplacingMergeTree(_version, _deleted) ORDER BY …", without those of
// replication.
std::vector<std::string> EngineArguments(std::string_view engine_full);

// All that keeps rows of the plan from being mirrored into a table that somebody else made, in
// words; empty: nothing does.
std::vector<std::string> Differences(const TablePlan& plan, const TableSchema& schema,
                                     const Target& target, const ClickHouseConfig& config,
                                     const ServerFacts& facts);

// Of these, what no column of the source has to be known for. `key`: as the target should be
// sorted; null where the source's key is not known.
std::vector<std::string> StructureDifferences(const Target& target,
                                              const std::vector<std::string>* key,
                                              const ClickHouseConfig& config);
// Appends what is wrong with the sink's own columns, and answers with the actions of an ALTER TABLE
// that adds those that are missing.
std::string OwnColumnDifferences(const std::string& qualified, const Target& target,
                                 const std::vector<MetaColumn>& own, std::vector<std::string>& all);

// As the target should be sorted, in any order: the key, and the origin if there is one.
std::vector<std::string> KeyNames(const TablePlan& plan);
bool SameSet(std::vector<std::string> left, std::vector<std::string> right);
// Nothing can be written there.
bool IsComputed(const TargetColumn& column);
// Whether a type holds what the sink writes into a column of its own.
bool MetaFits(const MetaColumn& column, const Type& held);

}  // namespace tailwater::clickhouse
