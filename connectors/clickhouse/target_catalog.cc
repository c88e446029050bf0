#include "clickhouse/target_catalog.h"

#include <algorithm>
#include <set>
#include <utility>

#include "clickhouse/sql_text.h"
#include "support/text.h"

namespace tailwater::clickhouse {
namespace {

constexpr std::string_view kIncompatible = "schema_incompatible";
constexpr std::string_view kHalted = "schema_change_halted";
constexpr std::string_view kMissing = "clickhouse_table_missing";
constexpr std::string_view kShared = "clickhouse_table_shared";

// Takes some of what the source's type has, and not all.
bool IsNarrower(const Type& held, const Type& wanted) {
  if (IsInteger(held)) {
    return wanted.kind == Kind::kString || (wanted.kind == Kind::kDecimal && wanted.scale > 0);
  }
  return held.kind == Kind::kDecimal && wanted.kind == Kind::kDecimal &&
         (held.scale < wanted.scale ||
          held.precision - held.scale < wanted.precision - wanted.scale);
}

// Every value that is there stays what it is, in the source's words too.
bool Widens(const Type& held, const Type& wanted) {
  if (wanted.nullable != held.nullable) return false;
  if (wanted.kind == Kind::kString) return IsInteger(held) || held.kind == Kind::kUuid;
  if (wanted.kind != Kind::kDecimal) return false;
  if (IsInteger(held)) return held.bytes <= 8 && wanted.precision - wanted.scale >= 20;
  return held.kind == Kind::kDecimal && held.scale <= wanted.scale &&
         held.precision - held.scale <= wanted.precision - wanted.scale;
}

}  // namespace

bool StopsTable(const Error& error) {
  if (error.disposition != Disposition::kNeedsOperator) return false;
  for (const std::string_view code : {kIncompatible, kHalted, kTableUnfit, kMissing, kShared,
                                      std::string_view("clickhouse_options_unfit")}) {
    if (error.code == code) return true;
  }
  return false;
}

// A target on its way to what a schema needs.
struct TargetCatalog::Follow {
  TablePlan& plan;
  const TableSchema& schema;
  const Target& target;
  const SinkState::Known& known;
  int64_t version = 0;
  bool outdated = false;
  std::vector<std::string> alter;    // what is to be made
  std::vector<std::string> by_hand;  // what a person has to make
  std::vector<std::string> emptied;  // columns that come back
  std::vector<SinkState::Entry> remembered{};
};

Error TargetCatalog::Refuse(std::string_view code, const TablePlan& plan, bool outdated,
                            std::string_view what) const {
  const bool alone = outdated || policy_ == SchemaChanges::kIgnore;
  return {alone ? Disposition::kReject : Disposition::kNeedsOperator,
          outdated ? "schema_outdated" : code,
          fmt::format("{} cannot go into table {}: {}", plan.table, plan.qualified, what)};
}

std::string TargetCatalog::CopyAgain(const TablePlan& plan) const {
  return fmt::format("tailwater sources snapshot {} {} --sink {}", plan.source, plan.table, sink_);
}

Result<std::optional<Target>> TargetCatalog::Look(Server& server, const std::string& name) {
  const auto of = [&](std::string_view column) {
    return fmt::format("WHERE database = {} AND {} = {}", Quoted(config_.database), column,
                       Quoted(name));
  };
  TW_ASSIGN_OR_RETURN(
      const auto tables,
      server.Rows("SELECT engine, engine_full, sorting_key FROM system.tables " + of("name"), 3));
  if (tables.empty()) return std::optional<Target>();
  TW_ASSIGN_OR_RETURN(const auto columns,
                      server.Rows("SELECT name, type, default_kind, is_in_partition_key FROM "
                                  "system.columns " +
                                      of("table"),
                                  4));
  Target target{tables[0].at(0), tables[0].at(1), ParseKeyList(tables[0].at(2)), {}};
  for (const auto& row : columns) {
    target.columns.push_back({row.at(0), ParseType(row.at(1)), row.at(2), row.at(3) == "1"});
  }
  return std::optional(std::move(target));
}

Result<bool> TargetCatalog::HasChanged(Server& server, const TablePlan& plan) {
  TW_ASSIGN_OR_RETURN(const auto target, Look(server, plan.target));
  if (!target) return true;
  for (const PlannedColumn& column : plan.columns) {
    const TargetColumn* const held = target->Find(column.name);
    if (held == nullptr || held->type.text != column.type.text) return true;
  }
  for (const MetaColumn& column : plan.meta) {
    const TargetColumn* const held = target->Find(column.name);
    if (held == nullptr || held->type.text != column.type.text) return true;
  }
  return false;
}

Status TargetCatalog::Prepare(Server& server, TablePlan& plan, const TableSchema& schema,
                              int64_t version, bool outdated) {
  if (config_.origin_column.empty()) {
    const auto [owner, is_new] = owners_.try_emplace(plan.target, plan.origin);
    if (!is_new && owner->second != plan.origin) {
      return Error{Disposition::kNeedsOperator, kShared,
                   fmt::format("{} and {} both go into table {}: set `table:` for one of them, or "
                               "`origin_column` for the sink",
                               plan.origin, owner->second, plan.qualified)};
    }
  }
  TW_ASSIGN_OR_RETURN(auto target, Look(server, plan.target));
  TW_ASSIGN_OR_RETURN(const SinkState::Known* known, state_.Load(server, plan.origin, plan.target));
  const bool created = !target;
  if (created) {
    const std::string create = CreateStatement(plan, config_, facts_);
    if (outdated) {
      return Refuse(kMissing, plan, true,
                    "it is not there, and the source has changed the table since; copy its rows "
                    "again: " +
                        CopyAgain(plan));
    }
    if (!config_.create) {
      return Error{
          Disposition::kNeedsOperator, kMissing,
          fmt::format("table {} is not there and create is false: run {}", plan.qualified, create)};
    }
    TW_TRY(Alter(server, plan, create, false));
    logger_.Info("table created", {{"table", plan.target}, {"of", plan.table}});
    TW_ASSIGN_OR_RETURN(target, Look(server, plan.target));
    if (!target) {
      return Error{Disposition::kRetry, "clickhouse_unavailable",
                   fmt::format("table {} was created and is not there", plan.qualified)};
    }
  } else if (!known->adopted) {
    const std::vector<std::string> differences =
        Differences(plan, schema, *target, config_, facts_);
    if (!differences.empty()) {
      if (outdated) return Refuse(kTableUnfit, plan, true, differences[0]);
      std::string text =
          fmt::format("table {} cannot take the rows of {}; {} to repair:", plan.qualified,
                      plan.table, differences.size());
      for (size_t i = 0; i < differences.size(); ++i) {
        text +=
            fmt::format(" ({}) {}{}", i + 1, differences[i], i + 1 < differences.size() ? ";" : "");
      }
      return Error{Disposition::kNeedsOperator, kTableUnfit, std::move(text)};
    }
  }
  TW_TRY(CheckKey(plan, schema, *target, outdated));
  Follow follow{plan, schema, *target, *known, version, outdated, {}, {}, {}};
  if (created) follow.remembered.push_back({"made", "", version});
  TW_TRY(Compare(follow));
  TW_TRY(Make(server, follow));
  if (!follow.alter.empty()) {
    TW_ASSIGN_OR_RETURN(target, Look(server, plan.target));
    if (!target) {
      return Error{Disposition::kRetry, "clickhouse_unavailable",
                   fmt::format("table {} is not there any more", plan.qualified)};
    }
  }
  std::erase_if(plan.meta, [&](const MetaColumn& column) {
    return column.meta == Meta::kNullArrays && target->Find(column.name) == nullptr;
  });
  for (PlannedColumn& column : plan.columns) {
    const TargetColumn* const held = target->Find(column.name);
    if (held == nullptr) {
      return Error{
          Disposition::kRetry, "clickhouse_unavailable",
          fmt::format("table {} lacks column {} at the moment", plan.qualified, column.name)};
    }
    column.type = held->type;
    const auto seen = known->columns.find(column.name);
    column.since = seen == known->columns.end() ? 0 : std::max<int64_t>(seen->second.since, 0);
  }
  for (MetaColumn& column : plan.meta) {
    const TargetColumn* const held = target->Find(column.name);
    if (held == nullptr || !MetaFits(column, held->type)) {
      return Error{Disposition::kNeedsOperator, kTableUnfit,
                   fmt::format("table {} lacks its column {}: run ALTER TABLE {} ADD COLUMN {} {}",
                               plan.qualified, column.name, plan.qualified, Name(column.name),
                               column.type.text)};
    }
    column.type = held->type;
  }
  plan.replicated = target->engine.starts_with("Replicated");
  FinishPlan(plan, facts_);
  return {};
}

Status TargetCatalog::CheckKey(const TablePlan& plan, const TableSchema& schema,
                               const Target& target, bool outdated) const {
  const std::string remedy =
      fmt::format("run DROP TABLE {}, the sink makes it anew, then copy its rows again: {}",
                  plan.qualified, CopyAgain(plan));
  if (config_.mode == Mode::kMirror && !SameSet(target.sorting_key, KeyNames(plan))) {
    return Refuse(kIncompatible, plan, outdated,
                  fmt::format("its key is ({}) now, and the target is sorted by ({}); {}",
                              Joined(KeyNames(plan)), Joined(target.sorting_key), remedy));
  }
  for (const size_t i : plan.key) {
    const PlannedColumn& planned = plan.columns[i];
    const Column& column = schema.columns()[planned.column];
    const TargetColumn* const held = target.Find(planned.name);
    if (held == nullptr || !Takes(held->type, column)) {
      return Refuse(
          kIncompatible, plan, outdated,
          fmt::format("column {} of its key is {} now, and {} in the target; {}", column.name,
                      column.type_name.empty() ? ValueTypeName(column.type)
                                               : std::string_view(column.type_name),
                      held == nullptr ? "missing" : held->type.text, remedy));
    }
  }
  return {};
}

Status TargetCatalog::Compare(Follow& follow) const {
  TablePlan& plan = follow.plan;
  std::vector<PlannedColumn> kept_columns;
  std::set<std::string> wanted;
  plan.left_out = 0;
  for (PlannedColumn& planned : plan.columns) {
    wanted.insert(planned.name);
    bool kept = true;
    TW_TRY(CompareColumn(follow, planned, kept));
    if (!kept) {
      if (!follow.outdated) ++plan.left_out;
      continue;
    }
    kept_columns.push_back(planned);
    if (follow.outdated) continue;
    const auto seen = follow.known.columns.find(planned.name);
    if (seen == follow.known.columns.end()) {
      follow.remembered.push_back(
          {"column", planned.name, follow.known.adopted ? follow.version : 0});
    } else if (!seen->second.there()) {
      if (follow.target.Find(planned.name) != nullptr && !planned.key) {
        follow.emptied.push_back(planned.name);
      }
      follow.remembered.push_back({"column", planned.name, follow.version});
    }
  }
  // Where the key lies among the columns that stay.
  for (size_t& place : plan.key) {
    const std::string& name = plan.columns[place].name;
    const auto found = std::find_if(kept_columns.begin(), kept_columns.end(),
                                    [&](const PlannedColumn& one) { return one.name == name; });
    place = static_cast<size_t>(found - kept_columns.begin());
  }
  plan.columns = std::move(kept_columns);
  if (follow.outdated) return {};
  if (const MetaColumn* nulls = plan.Find(Meta::kNullArrays);
      nulls != nullptr && follow.target.Find(nulls->name) == nullptr &&
      policy_ == SchemaChanges::kApply && config_.create) {
    follow.alter.push_back(fmt::format("ADD COLUMN {}{} {}",
                                       facts_.modern() ? "IF NOT EXISTS " : "", Name(nulls->name),
                                       nulls->type.text));
  }
  for (const auto& [name, column] : follow.known.columns) {
    if (!column.there() || wanted.contains(name)) continue;
    if (policy_ == SchemaChanges::kHalt && follow.target.Find(name) != nullptr) {
      follow.by_hand.push_back("DROP COLUMN " + Name(name));
      continue;
    }
    logger_.Info("a column is gone in the source; it stays in the target, empty from now on",
                 {{"table", plan.table}, {"column", name}});
    follow.remembered.push_back({"dropped", name, follow.version});
  }
  return {};
}

Status TargetCatalog::CompareColumn(Follow& follow, PlannedColumn& planned, bool& kept) const {
  const TablePlan& plan = follow.plan;
  const Column& column = follow.schema.columns()[planned.column];
  const TargetColumn* const held = follow.target.Find(planned.name);
  const std::string named = Name(planned.name) + " " + planned.type.text;
  const bool by_hand = policy_ == SchemaChanges::kHalt || !config_.create;
  if (held == nullptr) {
    if (follow.outdated || policy_ == SchemaChanges::kIgnore) {
      kept = false;
    } else {
      const bool guarded = facts_.modern() && !by_hand;
      (by_hand ? follow.by_hand : follow.alter)
          .push_back(fmt::format("ADD COLUMN {}{}", guarded ? "IF NOT EXISTS " : "", named));
    }
    return {};
  }
  const bool takes = Takes(held->type, column) && !IsComputed(*held);
  if (takes && !IsNarrower(held->type, planned.type)) return {};
  if (follow.outdated) {
    if (takes) return {};
    return Refuse(kIncompatible, plan, true,
                  fmt::format("column {} is {} there", planned.name, held->type.text));
  }
  // A table of somebody else's keeps its types.
  if (!planned.key && follow.known.made && policy_ != SchemaChanges::kIgnore &&
      Widens(held->type, planned.type)) {
    (by_hand ? follow.by_hand : follow.alter).push_back("MODIFY COLUMN " + named);
    return {};
  }
  if (takes) return {};  // value by value
  return Refuse(kIncompatible, plan, false,
                fmt::format("column {} is {} now, and {} in the target; run ALTER TABLE {} DROP "
                            "COLUMN {}, the sink makes it anew, then copy the rows again: {}. With "
                            "schema_changes: ignore such rows are refused one by one",
                            column.name,
                            column.type_name.empty() ? ValueTypeName(column.type)
                                                     : std::string_view(column.type_name),
                            held->type.text, plan.qualified, Name(planned.name), CopyAgain(plan)));
}

Status TargetCatalog::Make(Server& server, Follow& follow) {
  const TablePlan& plan = follow.plan;
  if (!follow.by_hand.empty()) {
    return Refuse(kHalted, plan, false,
                  fmt::format("its columns changed, and the sink is not to follow "
                              "(schema_changes: halt, or create: false); run ALTER TABLE {} {}, or "
                              "set schema_changes: apply; for rows that are there already: {}",
                              plan.qualified, Joined(follow.by_hand), CopyAgain(plan)));
  }
  if (!follow.alter.empty()) {
    TW_TRY(Alter(server, plan,
                 fmt::format("ALTER TABLE {} {}", plan.qualified, Joined(follow.alter)), true));
    logger_.Info("table altered", {{"table", plan.target}, {"statement", Joined(follow.alter)}});
  }
  for (const std::string& name : follow.emptied) {
    const TargetColumn* const held = follow.target.Find(name);
    if (!held->type.nullable) continue;
    // What the column of that name held before the source dropped it.
    std::string statement =
        fmt::format("ALTER TABLE {} UPDATE {} = NULL WHERE {} < {}", plan.qualified, Name(name),
                    Name(config_.version_column), follow.version);
    if (const MetaColumn* origin = plan.Find(Meta::kOrigin)) {
      statement += fmt::format(" AND {} = {}", Name(origin->name), Quoted(plan.origin));
    }
    if (facts_.Knows("mutations_sync")) statement += " SETTINGS mutations_sync = 2";
    TW_TRY(Alter(server, plan, statement, true));
  }
  return state_.Store(server, plan.origin, plan.target, follow.remembered);
}

Status TargetCatalog::Alter(Server& server, const TablePlan& plan, const std::string& statement,
                            bool patient) {
  Status done = server.Execute(statement, patient);
  if (done) return done;
  Error error = std::move(done).error();
  // What the server says of this statement alone concerns this table.
  if (error.disposition == Disposition::kNeedsOperator &&
      (error.code == "clickhouse_error" || error.code == kTableUnfit ||
       error.code == "clickhouse_row_refused")) {
    error.code = kIncompatible;
    error.message += "; it said this of " + statement;
  }
  return std::move(error).Within("table " + plan.qualified);
}

}  // namespace tailwater::clickhouse
