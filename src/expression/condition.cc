#include "expression/condition.h"

namespace tailwater {

struct Condition::Parsed {
  std::string text;
  ConfigNode node;
  std::vector<ExpressionColumn> columns;
};
struct ConditionEvaluator::State {};

std::shared_ptr<const Condition> Condition::Parse(const ConfigNode& node, Problems& problems) {
  problems.Add(node.location, node.path + ": expressions come with the next commit");
  return nullptr;
}
Condition::Condition(std::unique_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
Condition::~Condition() = default;
const std::string& Condition::text() const { return parsed_->text; }
const ConfigNode& Condition::node() const { return parsed_->node; }
const std::vector<ExpressionColumn>& Condition::columns() const { return parsed_->columns; }
std::vector<std::string> Condition::Check(const TableSchema&) const { return {}; }

ConditionEvaluator::ConditionEvaluator(std::unique_ptr<State> state) : state_(std::move(state)) {}
ConditionEvaluator::~ConditionEvaluator() = default;
Result<std::unique_ptr<ConditionEvaluator>> ConditionEvaluator::Create(
    std::shared_ptr<const Condition>, OnMissing) {
  return std::unique_ptr<ConditionEvaluator>(new ConditionEvaluator(nullptr));
}
Result<bool> ConditionEvaluator::Matches(const Change&) { return true; }

}  // namespace tailwater
