#include "expression/condition.h"

#include <map>

#include "expression/binder.h"
#include "expression/parsed_condition.h"
#include "expression/parser.h"
#include "expression/sql_connection.h"
#include "expression/static_checks.h"
#include "expression/text_place.h"

namespace tailwater {
namespace {

using expression::Expression;
using expression::ExpressionKind;

void CollectColumns(const Expression& node, bool changed,
                    std::map<std::string, ExpressionColumn>& columns) {
  if (node.kind == ExpressionKind::kColumn) {
    ExpressionColumn& column = columns[node.text];
    column.name = node.text;
    column.before |= changed || node.before;
    column.after |= changed || !node.before;
  }
  const bool is_changed = node.kind == ExpressionKind::kCall && node.text == "changed";
  for (const auto& operand : node.operands) CollectColumns(*operand, is_changed, columns);
}

}  // namespace

std::shared_ptr<const Condition> Condition::Parse(const ConfigNode& node, Problems& problems) {
  if (node.kind != ConfigNode::Kind::kScalar) {
    problems.Add(node.location, node.path + ": must be an expression, for example op = 'update'");
    return nullptr;
  }
  auto parsed = std::make_unique<Parsed>();
  parsed->text = node.scalar;
  parsed->node = node;
  std::vector<expression::TextProblem> found;
  parsed->tree = expression::ParseExpression(parsed->text, found);
  if (parsed->tree != nullptr) expression::CheckStatically(*parsed->tree, found);
  const int column = found.empty() ? 0 : expression::FindScalarColumn(node);
  for (expression::TextProblem& problem : found) {
    Location location = node.location;
    if (column > 0) location.column = column + static_cast<int>(problem.offset);
    problems.Add(location, node.path + ": " + std::move(problem.message));
  }
  if (!found.empty()) return nullptr;
  std::map<std::string, ExpressionColumn> columns;
  CollectColumns(*parsed->tree, false, columns);
  for (auto& [name, column] : columns) parsed->columns.push_back(std::move(column));
  return std::shared_ptr<const Condition>(new Condition(std::move(parsed)));
}

Condition::Condition(std::unique_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
Condition::~Condition() = default;
const std::string& Condition::text() const { return parsed_->text; }
const ConfigNode& Condition::node() const { return parsed_->node; }
const std::vector<ExpressionColumn>& Condition::columns() const { return parsed_->columns; }

std::vector<std::string> Condition::Check(const TableSchema& schema) const {
  using expression::BindCondition;
  using expression::BoundCondition;
  using expression::Truth;
  BoundCondition whole = BindCondition(*parsed_->tree, parsed_->text, &schema, std::nullopt);
  if (!whole.problems.empty()) return std::move(whole.problems);
  expression::RowContext context;
  Result<sqlite::Database> database = expression::OpenSqlConnection(context);
  if (!database) return {database.error().message};
  bool may_be_true = false;
  for (const Operation operation : {Operation::kInsert, Operation::kUpdate, Operation::kDelete,
                                    Operation::kRead, Operation::kTruncate}) {
    const BoundCondition bound = BindCondition(*parsed_->tree, parsed_->text, &schema, operation);
    if (!bound.problems.empty()) return bound.problems;
    may_be_true |= bound.truth == Truth::kOpen || bound.truth == Truth::kTrue;
    // Its parser nests less deeply than ours.
    if (bound.truth == Truth::kOpen && !expression::PrepareCondition(*database, bound.sql)) {
      return {"it is nested too deeply for SQLite; take some parentheses, CASEs or calls out"};
    }
  }
  if (may_be_true) return {};
  return {schema.table() +
          ": it is never true (OLD is NULL on insert and read, NEW on delete, both on truncate)"};
}

}  // namespace tailwater
