#include "postgres/sink/target_table.h"

#include <algorithm>
#include <set>
#include <utility>

#include "postgres/sink/sql_text.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

constexpr std::string_view kIncompatible = "schema_incompatible";
constexpr std::string_view kHalted = "schema_change_halted";
constexpr size_t kLongestName = 63;  // bytes; Postgres would cut off the rest in silence

// It stops the table, or, where nothing is followed, concerns the change alone.
Error Refuse(std::string_view code, const TargetRequest& request, std::string_view what,
             bool known = true) {
  const bool alone = request.outdated || (known && request.policy == SchemaChanges::kIgnore);
  return {alone ? Disposition::kReject : Disposition::kNeedsOperator,
          request.outdated ? "schema_outdated" : code,
          fmt::format("{} cannot go into table {}: {}", request.change->table,
                      request.target.ToString(), what)};
}

std::string CopyAgain(const TargetRequest& request) {
  return fmt::format("tailwater sources snapshot {} {} --sink {}", request.change->source,
                     request.change->table, request.sink);
}

// What has to be done to the target, one entry per difference.
struct Difference {
  std::string what;
  std::string sql;       // does away with it
  bool by_sink = false;  // the sink may do that itself, where the policy is to apply
  bool loses = false;    // rows have to be copied again
};
using Differences = std::vector<Difference>;

// All of them at once, with the SQL to run.
std::string List(const Differences& differences, const TargetRequest& request) {
  std::string what, sql;
  bool copy = false;
  for (const Difference& difference : differences) {
    if (!what.empty()) what += "; ";
    what += difference.what;
    if (!difference.sql.empty()) sql += difference.sql + "; ";
    copy = copy || difference.loses;
  }
  if (sql.empty()) return what;
  return fmt::format("{}. Run in the target: {}then it goes on by itself{}", what, sql,
                     copy ? "; copy its rows again: " + CopyAgain(request) : "");
}

class Preparation {
 public:
  Preparation(TargetSession& session, TypeCatalog& types, OriginCatalog& origins, Origin& origin,
              const TargetRequest& request, const Logger& logger)
      : session_(session),
        types_(types),
        origins_(origins),
        origin_(origin),
        request_(request),
        logger_(logger),
        schema_(*request.change->schema),
        table_(QuotedName(request.target)) {}

  Result<TargetFit> Run();

 private:
  const std::vector<Column>& columns() const { return schema_.columns(); }
  bool first_time() const { return origin_.target != request_.target; }
  Status CheckNames();
  Status ChooseTypes();
  Status Create();
  Status Compare(const TargetDescription& target);
  void CompareColumn(size_t number, const TargetDescription& target, Differences& differences);
  void CompareKey(const TargetDescription& target, Differences& differences) const;
  void CompareOurColumns(const TargetDescription& target, Differences& differences) const;
  void CompareWhatIsMore(const TargetDescription& target, Differences& differences);
  Status FollowColumns(const TargetDescription& before);
  Status Do(const std::string& sql);

  TargetSession& session_;
  TypeCatalog& types_;
  OriginCatalog& origins_;
  Origin& origin_;
  const TargetRequest& request_;
  const Logger& logger_;
  const TableSchema& schema_;
  const std::string table_;          // quoted
  std::vector<std::string> wanted_;  // per column: the type that it would be made with
  ColumnHistory history_;
  TargetFit fit_;
};

Status Preparation::Do(const std::string& sql) {
  auto done = session_.RunLong(sql);
  if (done) return {};
  Error error = std::move(done).error();
  // Says nothing against the change at hand: rows that are there, a trigger, somebody who makes the
  // same table at this moment.
  if (error.disposition == Disposition::kReject) {
    error.disposition = Disposition::kNeedsOperator;
    error.code = kIncompatible;
  }
  if (error.disposition == Disposition::kNeedsOperator) {
    error.message += fmt::format("; the statement was: {}", sql);
  }
  return error;
}

Status Preparation::CheckNames() {
  if (request_.target.name.size() > kLongestName || request_.target.schema.size() > kLongestName) {
    return Refuse(kIncompatible, request_,
                  "its name is longer than 63 bytes; choose another with `table:`");
  }
  for (const Column& column : columns()) {
    if (column.name.starts_with("_tailwater_")) {
      return Refuse(
          kIncompatible, request_,
          fmt::format("column '{}' has a reserved name; rename it in the source, or leave "
                      "the table out of the sink's `tables`",
                      column.name));
    }
    if (column.name.size() > kLongestName) {
      return Refuse(kIncompatible, request_,
                    fmt::format("the name of column '{}' is longer than 63 bytes", column.name));
    }
  }
  TW_ASSIGN_OR_RETURN(const auto other, origins_.OtherWriter(origin_, request_.target));
  if (!other) return {};
  return Refuse(kIncompatible, request_,
                fmt::format("the table is written by {} already; choose another with `table:` or "
                            "`schema:`",
                            *other));
}

Status Preparation::ChooseTypes() {
  for (const Column& column : columns()) {
    std::string type = TargetType(column, request_.kind);
    if (request_.kind == SourceKind::kPostgres) {
      TW_ASSIGN_OR_RETURN(const bool known, types_.Knows(type));
      if (!known) type = PlainType(column.type);
    }
    wanted_.push_back(std::move(type));
  }
  return {};
}

Status Preparation::Create() {
  TW_ASSIGN_OR_RETURN(const Rows schema, session_.Run("SELECT FROM pg_namespace WHERE nspname = $1",
                                                      {request_.target.schema}));
  if (schema.empty()) TW_TRY(Do("CREATE SCHEMA " + QuotedName(request_.target.schema)));
  std::string definition, key;
  for (size_t i = 0; i < columns().size(); ++i) {
    definition += fmt::format("{} {}, ", QuotedName(columns()[i].name), wanted_[i]);
    if (columns()[i].key) key += (key.empty() ? "" : ", ") + QuotedName(columns()[i].name);
  }
  definition += fmt::format("{} bigint NOT NULL DEFAULT 0", kVersionColumn);
  if (schema_.keyless()) {
    definition += fmt::format(", {} bigint NOT NULL DEFAULT 0", kHashColumn);
  } else {
    definition += fmt::format(", PRIMARY KEY ({})", key);
  }
  TW_TRY(Do(fmt::format("CREATE TABLE {} ({})", table_, definition)));
  if (schema_.keyless()) TW_TRY(Do(fmt::format("CREATE INDEX ON {} ({})", table_, kHashColumn)));
  TW_TRY(
      Do(fmt::format("COMMENT ON COLUMN {}.{} IS 'Tailwater: version of the change that wrote "
                     "this row; guards it against older ones'",
                     table_, kVersionColumn)));
  logger_.Info("table created in the target",
               {{"table", request_.change->table}, {"target", request_.target.ToString()}});
  for (size_t i = 0; i < columns().size(); ++i) {
    if (request_.kind != SourceKind::kPostgres || wanted_[i] == columns()[i].type_name) continue;
    logger_.Warn("the target lacks the column's type; it holds the same values in another",
                 {{"table", request_.change->table},
                  {"column", columns()[i].name},
                  {"type", columns()[i].type_name},
                  {"made_as", wanted_[i]}});
  }
  return {};
}

void Preparation::CompareColumn(size_t number, const TargetDescription& target,
                                Differences& differences) {
  const Column& column = columns()[number];
  const std::string name = QuotedName(column.name);
  const auto held = target.columns.find(column.name);
  if (held == target.columns.end()) {
    if (request_.outdated || request_.policy == SchemaChanges::kIgnore) {
      fit_.left_out[number] = true;
      return;
    }
    differences.push_back(
        {fmt::format("column '{}' ({}) is missing", column.name, wanted_[number]),
         fmt::format("ALTER TABLE {} ADD COLUMN {} {}", table_, name, wanted_[number]), true});
    return;
  }
  if (held->second.computed) {
    fit_.left_out[number] = true;
    return;
  }
  const std::string& type = held->second.type;
  fit_.types[number] = type;
  if (held->second.always_identity && !column.key && !schema_.keyless()) {
    differences.push_back(
        {fmt::format("column '{}' is GENERATED ALWAYS AS IDENTITY, which refuses updates",
                     column.name),
         fmt::format("ALTER TABLE {} ALTER COLUMN {} SET GENERATED BY DEFAULT", table_, name)});
  }
  if (request_.outdated || Accepts(type, wanted_[number], column)) return;
  // Every value that the table has stays what it is. No key becomes text: it would be sorted and
  // compared in another way.
  const bool same_order =
      Holds("numeric", wanted_[number]) || type.starts_with("character") || type == "text";
  const bool widens = Holds(wanted_[number], type) && (!column.key || same_order);
  differences.push_back(
      {fmt::format("column '{}' is {}, but holds {}", column.name, wanted_[number], type),
       fmt::format("ALTER TABLE {} ALTER COLUMN {} TYPE {}{}", table_, name, wanted_[number],
                   widens ? std::string()  // its own cast, which spares many a rewrite
                          : fmt::format(" USING {}::text::{}", name, wanted_[number])),
       widens, !widens});
  if (widens) fit_.types[number] = wanted_[number];
}

void Preparation::CompareKey(const TargetDescription& target, Differences& differences) const {
  const bool was_keyed = !target.columns.contains(std::string(kHashColumn));
  if (schema_.keyless()) {
    if (first_time() || !was_keyed) return;
    differences.push_back(
        {"the source's table has no key any more, and this one is found by its key",
         fmt::format("DROP TABLE {}", table_), false, true});
    return;
  }
  std::set<std::string> key;
  std::string names;
  for (const uint32_t column : schema_.key_columns()) {
    key.insert(columns()[column].name);
    names += (names.empty() ? "" : ", ") + QuotedName(columns()[column].name);
  }
  for (const TargetIndex& index : target.indexes) {
    if (index.columns == key && index.immediate) return;
  }
  const bool known = !first_time();
  differences.push_back(
      {known ? fmt::format("its key is ({}) now, and the table has no unique index over it", names)
             : fmt::format("it has no unique index over the key ({})", names),
       known ? fmt::format("DROP TABLE {}", table_)
             : fmt::format("CREATE UNIQUE INDEX ON {} ({})", table_, names),
       false, known});
}

void Preparation::CompareOurColumns(const TargetDescription& target,
                                    Differences& differences) const {
  const auto need = [&](std::string_view name, std::string_view why, bool index) {
    const auto held = target.columns.find(std::string(name));
    if (held != target.columns.end() && held->second.type == "bigint") return;
    differences.push_back(
        {fmt::format("it lacks column '{}' ({})", name, why),
         fmt::format("ALTER TABLE {} ADD COLUMN {} bigint NOT NULL DEFAULT 0{}", table_, name,
                     index ? fmt::format("; CREATE INDEX ON {} ({})", table_, name) : "")});
  };
  need(kVersionColumn, "guards each row against older changes", false);
  if (schema_.keyless() && first_time()) {
    need(kHashColumn, "finds the rows of a table without a key", true);
  }
}

// Of a table that somebody else made.
void Preparation::CompareWhatIsMore(const TargetDescription& target, Differences& differences) {
  std::set<std::string> known, key;
  for (const Column& column : columns()) {
    known.insert(column.name);
    if (column.key) key.insert(column.name);
  }
  for (const auto& [name, column] : target.columns) {
    if (known.contains(name) || name.starts_with("_tailwater_")) continue;
    if (!column.not_null || column.has_default || column.computed) continue;
    differences.push_back(
        {fmt::format("column '{}' is NOT NULL without a default, and the source has none", name),
         fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL", table_, QuotedName(name))});
  }
  for (const TargetIndex& index : target.indexes) {
    if (!index.immediate || index.columns == key) continue;
    std::string names;
    for (const std::string& name : index.columns) {
      names += (names.empty() ? "" : ", ") + QuotedName(name);
    }
    const std::string name = QuotedName(index.name);
    const std::string schema = QuotedName(request_.target.schema);
    // Rows of a batch are written by kind, and each once: not in the order of the source.
    differences.push_back(
        {fmt::format("unique index '{}' would refuse values that rows swap", index.name),
         index.constraint
             ? fmt::format("ALTER TABLE {0} DROP CONSTRAINT {1}, ADD CONSTRAINT {1} UNIQUE ({2}) "
                           "DEFERRABLE INITIALLY DEFERRED",
                           table_, name, names)
             : fmt::format("DROP INDEX {}.{}", schema, name)});
  }
}

Status Preparation::Compare(const TargetDescription& target) {
  if (!target.is_table) {
    return Refuse(kIncompatible, request_, "it is not a table; choose another name with `table:`");
  }
  Differences differences;
  for (size_t i = 0; i < columns().size(); ++i) CompareColumn(i, target, differences);
  CompareKey(target, differences);
  CompareOurColumns(target, differences);
  if (first_time()) CompareWhatIsMore(target, differences);
  if (!request_.outdated && !first_time() && request_.policy == SchemaChanges::kHalt) {
    std::set<std::string> known;
    for (const Column& column : columns()) known.insert(column.name);
    for (const auto& [name, column] : history_) {
      if (column.dropped || known.contains(name) || !target.columns.contains(name)) continue;
      differences.push_back(
          {fmt::format("column '{}' is gone in the source", name),
           fmt::format("ALTER TABLE {} DROP COLUMN {}", table_, QuotedName(name))});
    }
  }
  if (differences.empty()) return {};
  const bool ours = !first_time() && request_.policy == SchemaChanges::kApply &&
                    std::all_of(differences.begin(), differences.end(),
                                [](const Difference& one) { return one.by_sink; });
  if (!ours) {
    const bool halted = !first_time() && request_.policy == SchemaChanges::kHalt;
    return Refuse(halted ? kHalted : kIncompatible, request_, List(differences, request_),
                  !first_time());
  }
  for (const Difference& difference : differences) {
    TW_TRY(Do(difference.sql));
    logger_.Info("target follows its source",
                 {{"table", request_.change->table}, {"did", difference.sql}});
  }
  for (size_t i = 0; i < columns().size(); ++i) {
    if (fit_.types[i].empty() && !fit_.left_out[i]) fit_.types[i] = wanted_[i];
  }
  return {};
}

// Remembers since when each column is there, and when it went. A column that the source drops
// stays. If one of its name comes back, the rows written before must not show what the old one
// held.
Status Preparation::FollowColumns(const TargetDescription& before) {
  const int64_t version = request_.schema_version;
  std::set<std::string> wanted;
  for (size_t i = 0; i < columns().size(); ++i) {
    const Column& column = columns()[i];
    wanted.insert(column.name);
    if (fit_.left_out[i]) continue;
    const auto known = history_.find(column.name);
    const bool in_target = before.columns.contains(column.name);
    const bool stayed = known != history_.end() && !known->second.dropped && in_target;
    if (stayed && known->second.type == column.type_name) continue;
    if (stayed) {
      logger_.Warn("a column has another type; rows written before keep what they had",
                   {{"table", request_.change->table},
                    {"column", column.name},
                    {"was", known->second.type},
                    {"is", column.type_name},
                    {"to_copy_them_again", CopyAgain(request_)}});
    }
    // With no history there are no rows of the sink's either.
    const int64_t since = stayed ? known->second.since : history_.empty() ? 0 : version;
    if (!stayed && in_target && !column.key && !history_.empty()) {
      TW_TRY(Do(fmt::format("UPDATE {} SET {} = NULL WHERE {} < {}", table_,
                            QuotedName(column.name), kVersionColumn, version)));
    }
    TW_TRY(origins_.PutColumn(origin_, column.name, column.type_name, since, std::nullopt));
  }
  for (const auto& [name, known] : history_) {
    if (known.dropped || wanted.contains(name)) continue;
    logger_.Info("a column is gone in the source; it stays in the target, NULL from now on",
                 {{"table", request_.change->table}, {"column", name}});
    TW_TRY(origins_.PutColumn(origin_, name, known.type, known.since, version));
  }
  return {};
}

Result<TargetFit> Preparation::Run() {
  TW_TRY(CheckNames());
  TW_TRY(ChooseTypes());
  TW_ASSIGN_OR_RETURN(history_, origins_.Columns(origin_));
  TW_ASSIGN_OR_RETURN(auto before, DescribeTarget(session_, request_.target));
  fit_.target = request_.target;
  fit_.left_out.resize(columns().size());
  fit_.types.resize(columns().size());
  if (!before || first_time()) {
    if (!before && request_.outdated) {  // somebody dropped it
      return Refuse(kIncompatible, request_,
                    "the table is not there, and the source has changed it since; copy its rows "
                    "again: " +
                        CopyAgain(request_));
    }
    history_.clear();
  }
  if (!before) {
    TW_TRY(Create());
    fit_.types = wanted_;
    before.emplace();
  } else {
    TW_TRY(Compare(*before));
  }
  // A late change of an older schema must not undo what a newer one did.
  if (!request_.outdated && request_.change->version >= origin_.schema_version) {
    if (history_.empty()) TW_TRY(origins_.ForgetColumns(origin_));
    TW_TRY(FollowColumns(*before));
    origin_.target = request_.target;
    origin_.schema_version = request_.change->version;
    origin_.changed = true;
    TW_ASSIGN_OR_RETURN(history_, origins_.Columns(origin_));
  }
  std::set<std::string> wanted;
  for (const Column& column : columns()) {
    wanted.insert(column.name);
    const auto known = history_.find(column.name);
    fit_.since.push_back(known == history_.end() ? 0 : known->second.since);
    fit_.altered = fit_.altered || fit_.since.back() > 0;
  }
  TW_ASSIGN_OR_RETURN(const auto now, DescribeTarget(session_, request_.target));
  for (const auto& [name, known] : history_) {
    fit_.altered = fit_.altered || known.dropped;
    if (wanted.contains(name) || !now) continue;
    const auto held = now->columns.find(name);
    if (held != now->columns.end() && !held->second.computed) fit_.absent.push_back(name);
  }
  return std::move(fit_);
}

}  // namespace

Result<TargetFit> PrepareTarget(TargetSession& session, TypeCatalog& types, OriginCatalog& origins,
                                Origin& origin, const TargetRequest& request,
                                const Logger& logger) {
  return Preparation(session, types, origins, origin, request, logger).Run();
}

}  // namespace tailwater::postgres
