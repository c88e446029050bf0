// Conditions at work: one connection without a database, one statement per schema and operation.
#include <re2/re2.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>

#include "expression/binder.h"
#include "expression/condition.h"
#include "expression/parsed_condition.h"
#include "expression/row_functions.h"
#include "expression/sql_connection.h"
#include "support/sqlite.h"
#include "support/text.h"

namespace tailwater {
namespace {

using namespace expression;

constexpr int kStepsPerCheck = 1000;
constexpr int kMaxChecks = 2000;  // times the above: about 100 ms, and the same at each replay
constexpr size_t kMaxSchemas = 64;
constexpr size_t kOperations = 10;

// Quoted as SQL needs it, so that the line can be pasted.
std::string SqlName(std::string_view name) {
  bool plain = !name.empty() && !(name[0] >= '0' && name[0] <= '9');
  for (const char c : name) {
    plain &= (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  }
  if (plain) return std::string(name);
  std::string out = "\"";
  for (const char c : name) {
    out += c;
    if (c == '"') out += c;
  }
  return out += '"';
}

// The caller knows which condition and which change it is.
Error LimitError(std::string_view reason) {
  return {Disposition::kNeedsOperator, "condition_limit",
          fmt::format("the condition cannot be evaluated for this row: {}", reason)};
}

Error MissingError(const Change& change, const MissingValue& missing, std::string_view name) {
  const bool gone = !missing.before && missing.state == ColumnState::kOmitted;
  const std::string_view why = gone ? "the row was gone before the value could be read back"
                               : missing.before
                                   ? "the log holds no old row"
                                   : "it did not change, and the log does not repeat such a value";
  std::string table(change.table);
  if (change.schema != nullptr) {
    const TableName& parts = change.schema->name();
    table = parts.schema.empty() ? SqlName(parts.name)
                                 : SqlName(parts.schema) + "." + SqlName(parts.name);
  }
  const std::string fix =
      gone ? "set on_missing_before: skip to leave such changes out"
           : fmt::format(
                 "run ALTER TABLE {} REPLICA IDENTITY FULL for later changes, or set "
                 "on_missing_before: skip",
                 table);
  return {Disposition::kNeedsOperator, "condition_column_missing",
          fmt::format("{}.{} of {} is missing: {}; {}", missing.before ? "OLD" : "NEW", name,
                      change.table, why, fix)};
}

// What an operation of one schema needs.
struct Plan {
  bool ready = false;
  Truth truth = Truth::kOpen;
  std::vector<std::shared_ptr<const re2::RE2>> patterns;
  sqlite::Statement statement;
};

struct SchemaPlans {
  uint64_t fingerprint = 0;
  uint64_t last_use = 0;
  std::string problem;  // Check()'s, if the condition does not fit
  std::vector<RowColumn> columns;
  std::array<Plan, kOperations> by_operation;
};

}  // namespace

struct ConditionEvaluator::State {
  std::shared_ptr<const Condition> condition;
  OnMissing on_missing = OnMissing::kHalt;
  RowContext context;
  int checks = 0;
  sqlite::Database database;
  std::vector<std::unique_ptr<SchemaPlans>> schemas;
  SchemaPlans* last = nullptr;
  uint64_t uses = 0;

  Status Open();
  SchemaPlans& PlansOf(const TableSchema* schema);
  Status Prepare(const TableSchema* schema, const Change& change, Plan& plan);
  Result<bool> Run(const Change& change, const SchemaPlans& plans, Plan& plan);
};

Status ConditionEvaluator::State::Open() {
  TW_ASSIGN_OR_RETURN(database, OpenSqlConnection(context));
  sqlite3_progress_handler(
      database.handle(), kStepsPerCheck,
      [](void* state) { return ++static_cast<State*>(state)->checks > kMaxChecks ? 1 : 0; }, this);
  return {};
}

SchemaPlans& ConditionEvaluator::State::PlansOf(const TableSchema* schema) {
  const uint64_t fingerprint = schema == nullptr ? 0 : schema->fingerprint();
  ++uses;
  if (last != nullptr && last->fingerprint == fingerprint) {
    last->last_use = uses;
    return *last;
  }
  const auto found = std::find_if(schemas.begin(), schemas.end(), [&](const auto& plans) {
    return plans->fingerprint == fingerprint;
  });
  if (found != schemas.end()) {
    last = found->get();
  } else {
    if (schemas.size() == kMaxSchemas) {
      schemas.erase(
          std::min_element(schemas.begin(), schemas.end(),
                           [](const auto& a, const auto& b) { return a->last_use < b->last_use; }));
    }
    last = schemas.emplace_back(std::make_unique<SchemaPlans>()).get();
    last->fingerprint = fingerprint;
    if (schema != nullptr) {
      for (const std::string& problem : condition->Check(*schema)) {
        last->problem += (last->problem.empty() ? "" : "; ") + problem;
      }
      for (const Column& column : schema->columns()) {
        last->columns.push_back({column.name, column.type, column.key, IgnoresBlanksAtEnd(column)});
      }
    }
  }
  last->last_use = uses;
  return *last;
}

Status ConditionEvaluator::State::Prepare(const TableSchema* schema, const Change& change,
                                          Plan& plan) {
  const Condition::Parsed& parsed = *condition->parsed_;
  BoundCondition bound = BindCondition(*parsed.tree, parsed.text, schema, change.operation);
  if (!bound.problems.empty()) {
    return Error{Disposition::kNeedsOperator, "condition_does_not_fit", bound.problems[0]};
  }
  plan.truth = bound.truth;
  plan.patterns = std::move(bound.patterns);
  if (plan.truth == Truth::kOpen) {
    Result<sqlite::Statement> statement = PrepareCondition(database, bound.sql);
    if (!statement) return LimitError(sqlite3_errmsg(database.handle()));
    plan.statement = *std::move(statement);
  }
  plan.ready = true;
  return {};
}

Result<bool> ConditionEvaluator::State::Run(const Change& change, const SchemaPlans& plans,
                                            Plan& plan) {
  context.change = &change;
  context.columns = plans.columns;
  context.patterns = plan.patterns;
  context.missing.reset();
  context.unreadable.reset();
  checks = 0;
  sqlite3_stmt* const statement = plan.statement.handle();
  const int code = sqlite3_step(statement);
  if (code == SQLITE_ROW) {
    const bool matches = sqlite3_column_int(statement, 0) != 0;
    sqlite3_reset(statement);
    return matches;
  }
  const std::string reason =
      code == SQLITE_INTERRUPT ? "it takes too long" : sqlite3_errmsg(database.handle());
  sqlite3_reset(statement);
  if (context.missing) {
    if (on_missing == OnMissing::kSkip) return false;
    return MissingError(change, *context.missing, plans.columns[context.missing->column].name);
  }
  if (context.unreadable) {
    const RowColumn& column = plans.columns[*context.unreadable];
    return Error{
        Disposition::kNeedsOperator, "condition_does_not_fit",
        fmt::format("{}.{} holds a value that is no {}; leave the column out of the condition",
                    change.table, column.name, ValueTypeName(column.type))};
  }
  return LimitError(reason);
}

ConditionEvaluator::ConditionEvaluator(std::unique_ptr<State> state) : state_(std::move(state)) {}
ConditionEvaluator::~ConditionEvaluator() = default;

Result<std::unique_ptr<ConditionEvaluator>> ConditionEvaluator::Create(
    std::shared_ptr<const Condition> condition, OnMissing on_missing) {
  auto state = std::make_unique<State>();
  state->condition = std::move(condition);
  state->on_missing = on_missing;
  TW_TRY(state->Open());
  return std::unique_ptr<ConditionEvaluator>(new ConditionEvaluator(std::move(state)));
}

Result<bool> ConditionEvaluator::Matches(const Change& change) {
  SchemaPlans& plans = state_->PlansOf(change.schema);
  if (!plans.problem.empty()) {
    return Error{Disposition::kNeedsOperator, "condition_does_not_fit", plans.problem};
  }
  const auto operation = static_cast<size_t>(change.operation);
  if (operation >= kOperations) {
    return Error{Disposition::kFatal, "condition_limit", "an operation that is not known"};
  }
  Plan& plan = plans.by_operation[operation];
  if (!plan.ready) TW_TRY(state_->Prepare(change.schema, change, plan));
  if (plan.truth != Truth::kOpen) return plan.truth == Truth::kTrue;
  return state_->Run(change, plans, plan);
}

}  // namespace tailwater
