// What can be told at start of tables that are there already, before anything is known of the
// source's columns: engine, order key, partition key, and the columns that the sink adds.
#pragma once

#include <string>
#include <string_view>

#include "clickhouse/clickhouse_options.h"
#include "clickhouse/server.h"
#include "tailwater/tables.h"

namespace tailwater::clickhouse {

// In words, every difference of every table; empty: nothing was found.
struct StartFindings {
  std::string of_named;    // tables that the configuration names: rows come for them
  std::string of_matched;  // tables that a pattern may lead to; nobody knows yet whether it does
};

// Looks at every table of the database whose name the sink's own may become. One that is missing
// counts where it is named and `create` is false.
Result<StartFindings> CheckAtStart(Server& server, const ClickHouseConfig& config,
                                   const TableRules<ClickHouseTableOptions>& rules,
                                   const ServerFacts& facts);

// The pattern of the targets that a `tables:` entry may lead to, and whether it is one name.
struct TargetPattern {
  std::string glob;
  bool named = false;
  bool Matches(std::string_view target) const;
};
TargetPattern PatternOf(const ClickHouseConfig& config, const ClickHouseTableOptions& options,
                        const TablePattern& match);

}  // namespace tailwater::clickhouse
