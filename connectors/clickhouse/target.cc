#include "clickhouse/target.h"

#include <algorithm>
#include <utility>

#include "clickhouse/sql_text.h"
#include "clickhouse/value_encoder.h"
#include "support/text.h"

namespace tailwater::clickhouse {
namespace {

bool IsUtc(std::string_view zone) {
  for (const std::string_view name : {"UTC", "Etc/UTC", "GMT", "Etc/GMT", "Universal", "Zulu"}) {
    if (zone == name) return true;
  }
  return false;
}

// To the actions of one ALTER TABLE.
void AppendAdd(const std::string& name, const Type& type, std::string& actions) {
  actions += fmt::format("{}ADD COLUMN {} {}", actions.empty() ? "" : ", ", Name(name), type.text);
}

std::string TypeProblem(const TablePlan& plan, const Column& column, const PlannedColumn& planned,
                        const Type& held, const std::string& server_zone) {
  if (!Takes(held, column)) {
    return fmt::format(
        "column {} is {}, which takes no {} ({}): ALTER TABLE {} MODIFY COLUMN {} {}", planned.name,
        held.text, ValueTypeName(column.type), column.type_name, plan.qualified, Name(planned.name),
        planned.type.text);
  }
  // Local times are written as if they were UTC: they would be shown in the wrong hour.
  const bool dated = held.kind == Kind::kDateTime || held.kind == Kind::kDateTime64;
  const std::string& zone = held.timezone.empty() ? server_zone : held.timezone;
  if (dated && column.type == ValueType::kTimestamp && !IsUtc(zone)) {
    return fmt::format(
        "column {} is {}, which shows local times of the source in zone {}: ALTER "
        "TABLE {} MODIFY COLUMN {} {}",
        planned.name, held.text, zone, plan.qualified, Name(planned.name), planned.type.text);
  }
  return {};
}

}  // namespace

// As the target should be sorted, in any order: the key, and the origin if there is one.
std::vector<std::string> KeyNames(const TablePlan& plan) {
  std::vector<std::string> names;
  for (const size_t i : plan.key) names.push_back(plan.columns[i].name);
  if (const MetaColumn* origin = plan.Find(Meta::kOrigin)) names.push_back(origin->name);
  return names;
}

bool SameSet(std::vector<std::string> left, std::vector<std::string> right) {
  std::sort(left.begin(), left.end());
  std::sort(right.begin(), right.end());
  return left == right;
}

bool IsComputed(const TargetColumn& column) {
  return column.default_kind == "MATERIALIZED" || column.default_kind == "ALIAS" ||
         column.default_kind == "EPHEMERAL";
}

bool MetaFits(const MetaColumn& column, const Type& held) {
  switch (column.meta) {
    case Meta::kVersion:
      return IsInteger(held) && held.bytes == 8 && !held.nullable;
    case Meta::kDeleted:
      return (held.kind == Kind::kUint && held.bytes == 1) || held.kind == Kind::kBool;
    case Meta::kNullArrays:
    case Meta::kMissing:
      return held.kind == Kind::kArray && held.element[0].kind == Kind::kString;
    case Meta::kTime:
      return held.nullable && (held.kind == Kind::kDateTime64 || held.kind == Kind::kString);
    case Meta::kOrigin:
    case Meta::kOperation:
    case Meta::kId:
    case Meta::kTransaction:
      return held.kind == Kind::kString;
  }
  return false;
}

const TargetColumn* Target::Find(std::string_view name) const {
  for (const TargetColumn& column : columns) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

std::vector<std::string> ParseKeyList(std::string_view text) {
  // "(id)" and "(a, b)" as a whole; "(a), (b)" is no such thing.
  if (text.starts_with('(') && text.find(')') == text.size() - 1) {
    text = text.substr(1, text.size() - 2);
  }
  std::vector<std::string> parts(1);
  int depth = 0;
  bool quoted = false;
  for (const char c : text) {
    if (c == '`') {
      quoted = !quoted;
      continue;
    }
    if (!quoted) {
      depth += (c == '(') - (c == ')');
      if (c == ',' && depth == 0) {
        parts.emplace_back();
        continue;
      }
      if (c == ' ') continue;
    }
    parts.back() += c;
  }
  if (parts.size() == 1 && (parts[0].empty() || parts[0] == "tuple()")) parts.clear();
  return parts;
}

std::vector<std::string> EngineArguments(std::string_view engine_full) {
  const size_t open = engine_full.find('(');
  const size_t end = engine_full.find_first_of(" (");
  if (open == engine_full.npos || open != end) return {};
  int depth = 0;
  size_t close = open;
  for (; close < engine_full.size(); ++close) {
    depth += (engine_full[close] == '(') - (engine_full[close] == ')');
    if (depth == 0) break;
  }
  std::vector<std::string> arguments = ParseKeyList(engine_full.substr(open + 1, close - open - 1));
  std::erase_if(arguments, [](const std::string& text) { return text.starts_with('\''); });
  return arguments;
}

std::vector<std::string> StructureDifferences(const Target& target,
                                              const std::vector<std::string>* key,
                                              const ClickHouseConfig& config) {
  std::vector<std::string> all;
  const bool mirror = config.mode == Mode::kMirror;
  const std::vector<std::string>& sorted = target.sorting_key;
  const auto has = [](const std::vector<std::string>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (!target.engine.ends_with("ReplacingMergeTree")) {
    all.push_back(
        fmt::format("its engine is {}, and rows are replaced by version: make it anew "
                    "with ENGINE = ReplacingMergeTree({})",
                    target.engine, mirror ? Name(config.version_column) : ""));
  } else if (mirror) {
    const std::vector<std::string> arguments = EngineArguments(target.engine_full);
    if (arguments.empty() || arguments[0] != config.version_column) {
      all.push_back(
          fmt::format("its engine does not replace by {}: make it anew with ENGINE = "
                      "ReplacingMergeTree({}), or set `version_column`",
                      config.version_column, Name(config.version_column)));
    }
    if (arguments.size() > 1 && arguments[1] != config.deleted_column) {
      all.push_back(fmt::format("its engine takes rows for deleted by {}: set `deleted_column`",
                                arguments[1]));
    }
    if (key != nullptr && !SameSet(sorted, *key)) {
      all.push_back(
          fmt::format("it is sorted by ({}), and rows are found by ({}): make it anew "
                      "with ORDER BY ({})",
                      Joined(sorted), Joined(*key), Joined(*key)));
    }
    const bool by_columns = std::all_of(sorted.begin(), sorted.end(), [&](const std::string& name) {
      return target.Find(name) != nullptr && name != config.version_column &&
             name != config.deleted_column;
    });
    if (key == nullptr && (sorted.empty() || !by_columns)) {
      all.push_back(
          fmt::format("it is sorted by ({}), and rows are found by their key: make it "
                      "anew with ORDER BY the key's columns alone",
                      Joined(sorted)));
    }
    if (key == nullptr && !config.origin_column.empty() && !has(sorted, config.origin_column)) {
      all.push_back(
          fmt::format("it is not sorted by {} (`origin_column`) too: make it anew with "
                      "ORDER BY the key and {}",
                      config.origin_column, Name(config.origin_column)));
    }
  }
  for (const TargetColumn& column : target.columns) {
    if (mirror && column.in_partition_key && !has(key != nullptr ? *key : sorted, column.name)) {
      all.push_back(
          fmt::format("it is partitioned by {}, which may change: versions of a row in "
                      "two partitions never replace each other. Make it anew with a "
                      "partition by key columns, or none",
                      column.name));
    }
  }
  return all;
}

std::string OwnColumnDifferences(const std::string& qualified, const Target& target,
                                 const std::vector<MetaColumn>& own,
                                 std::vector<std::string>& all) {
  std::string add;
  for (const MetaColumn& column : own) {
    const TargetColumn* const held = target.Find(column.name);
    if (held == nullptr) {
      if (column.meta != Meta::kNullArrays) AppendAdd(column.name, column.type, add);
    } else if (!MetaFits(column, held->type) || IsComputed(*held)) {
      all.push_back(
          fmt::format("column {} is {}, and has to be {}: set another name for it, or "
                      "ALTER TABLE {} MODIFY COLUMN {} {}",
                      column.name, held->type.text, column.type.text, qualified, Name(column.name),
                      column.type.text));
    }
  }
  return add;
}

std::vector<std::string> Differences(const TablePlan& plan, const TableSchema& schema,
                                     const Target& target, const ClickHouseConfig& config,
                                     const ServerFacts& facts) {
  const std::vector<std::string> key = KeyNames(plan);
  std::vector<std::string> all = StructureDifferences(target, &key, config);
  std::string add = OwnColumnDifferences(plan.qualified, target, plan.meta, all);
  for (const PlannedColumn& planned : plan.columns) {
    const Column& column = schema.columns()[planned.column];
    const TargetColumn* const held = target.Find(planned.name);
    if (held == nullptr) {
      AppendAdd(planned.name, planned.type, add);
    } else if (IsComputed(*held)) {
      all.push_back(
          fmt::format("column {} is {}, so nothing can be written there: leave it out "
                      "with columns: {{exclude: [{}]}}",
                      planned.name, held->default_kind, column.name));
    } else if (std::string problem = TypeProblem(plan, column, planned, held->type, facts.timezone);
               !problem.empty()) {
      all.push_back(std::move(problem));
    }
  }
  if (!add.empty()) {
    all.push_back(
        fmt::format("columns are missing: ALTER TABLE {} {}, or leave them out with "
                    "`columns:`",
                    plan.qualified, add));
  }
  return all;
}

}  // namespace tailwater::clickhouse
