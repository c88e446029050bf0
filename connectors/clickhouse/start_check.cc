#include "clickhouse/start_check.h"

#include <algorithm>
#include <map>
#include <vector>

#include "clickhouse/sql_text.h"
#include "clickhouse/table_plan.h"
#include "clickhouse/target.h"
#include "support/snapshot_key.h"
#include "support/text.h"

namespace tailwater::clickhouse {
namespace {

using Targets = std::map<std::string, Target>;

// Of the tables in the database those that `wanted` says; others' columns are not asked for.
template <class Wanted>
Result<Targets> ReadTargets(Server& server, const std::string& database, const Wanted& wanted) {
  TW_ASSIGN_OR_RETURN(
      const auto tables,
      server.Rows("SELECT name, engine, engine_full, sorting_key FROM system.tables WHERE "
                  "database = " +
                      Quoted(database),
                  4));
  Targets targets;
  std::string names;
  for (const auto& row : tables) {
    const std::string& name = row.at(0);
    if (!wanted(name)) continue;
    names += (names.empty() ? "" : ", ") + Quoted(name);
    targets.emplace(name, Target{row.at(1), row.at(2), ParseKeyList(row.at(3)), {}});
  }
  if (targets.empty()) return targets;
  // The list of many names would be longer than a statement may be.
  constexpr size_t kMostBytes = 100'000;
  const std::string only =
      names.size() > kMostBytes ? "" : fmt::format(" AND table IN ({})", names);
  TW_ASSIGN_OR_RETURN(const auto columns,
                      server.Rows("SELECT table, name, type, default_kind, is_in_partition_key "
                                  "FROM system.columns WHERE database = " +
                                      Quoted(database) + only,
                                  5));
  for (const auto& row : columns) {
    const auto target = targets.find(row.at(0));
    if (target == targets.end()) continue;
    target->second.columns.push_back(
        {row.at(1), ParseType(row.at(2)), row.at(3), row.at(4) == "1"});
  }
  return targets;
}

// "`orders`: (1) its engine is …; (2) …"
void Append(const std::string& name, const std::vector<std::string>& problems, std::string& out) {
  if (problems.empty()) return;
  out += (out.empty() ? "" : "; ") + Name(name) + ":";
  for (size_t i = 0; i < problems.size(); ++i) {
    out += fmt::format(" ({}) {}{}", i + 1, problems[i], i + 1 < problems.size() ? ";" : "");
  }
}

}  // namespace

bool TargetPattern::Matches(std::string_view target) const {
  return named ? glob == target : TablePattern{"", glob}.Matches("", target);
}

TargetPattern PatternOf(const ClickHouseConfig& config, const ClickHouseTableOptions& options,
                        const TablePattern& match) {
  const auto of = [&](std::string_view source, const TableName& table) {
    return TargetOf(config, &options, source, table);
  };
  if (const auto table = ParseTableName(match.glob); table && !match.has_wildcard()) {
    const bool any_source = match.source.empty() && of("a", *table) != of("b", *table);
    return {of(any_source ? "*" : match.source, *table), !any_source};
  }
  // "public.*", "*_log", "*": what stands behind the last dot is of the table's name.
  const size_t dot = match.glob.rfind('.');
  const TableName table = dot == match.glob.npos
                              ? TableName{"*", "*"}
                              : TableName{match.glob.substr(0, dot), match.glob.substr(dot + 1)};
  return {of(match.source.empty() ? "*" : match.source, table), false};
}

Result<StartFindings> CheckAtStart(Server& server, const ClickHouseConfig& config,
                                   const TableRules<ClickHouseTableOptions>& rules,
                                   const ServerFacts& facts) {
  std::vector<TargetPattern> patterns;
  for (size_t i = 0; i < rules.options.size(); ++i) {
    patterns.push_back(PatternOf(config, rules.options[i], rules.selection.entries()[i].match));
  }
  const auto wanted = [&](const std::string& name) {
    return name != config.state_table && !name.starts_with('.') &&
           std::any_of(patterns.begin(), patterns.end(),
                       [&](const TargetPattern& pattern) { return pattern.Matches(name); });
  };
  TW_ASSIGN_OR_RETURN(const Targets targets, ReadTargets(server, config.database, wanted));
  const std::vector<MetaColumn> own = OwnColumns(config, facts);
  StartFindings found;
  for (const auto& [name, target] : targets) {
    const std::string qualified = Name(config.database) + "." + Name(name);
    std::vector<std::string> problems = StructureDifferences(target, nullptr, config);
    const std::string add = OwnColumnDifferences(qualified, target, own, problems);
    if (!add.empty()) {
      problems.push_back(fmt::format("columns are missing: ALTER TABLE {} {}", qualified, add));
    }
    const bool named = std::any_of(
        patterns.begin(), patterns.end(),
        [&](const TargetPattern& pattern) { return pattern.named && pattern.glob == name; });
    Append(name, problems, named ? found.of_named : found.of_matched);
  }
  for (const TargetPattern& pattern : patterns) {
    if (config.create || !pattern.named || targets.contains(pattern.glob)) continue;
    Append(pattern.glob, {"it is not there, and create is false"}, found.of_named);
  }
  return found;
}

}  // namespace tailwater::clickhouse
