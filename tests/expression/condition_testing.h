// Conditions in one line each: parse, check, evaluate.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "expression/condition.h"
#include "support/matchers.h"

namespace tailwater {

inline ConfigNode WhenNode(std::string text) {
  ConfigNode node;
  node.kind = ConfigNode::Kind::kScalar;
  node.location = {"", 3, 11};
  node.path = "when";
  node.scalar = std::move(text);
  return node;
}

inline std::vector<std::string> ParseProblems(const std::string& text) {
  Problems problems;
  const auto condition = Condition::Parse(WhenNode(text), problems);
  EXPECT_EQ(condition == nullptr, !problems.empty()) << text;
  std::vector<std::string> out;
  for (const Problem& problem : problems.list()) out.push_back(problem.message);
  return out;
}

inline std::shared_ptr<const Condition> MustParse(const std::string& text) {
  Problems problems;
  auto condition = Condition::Parse(WhenNode(text), problems);
  for (const Problem& problem : problems.list()) {
    ADD_FAILURE() << text.substr(0, 200) << "\n" << problem.ToString();
  }
  return condition;
}

inline std::vector<std::string> CheckProblems(const std::string& text, const SchemaPtr& schema) {
  const auto condition = MustParse(text);
  if (condition == nullptr) return {"does not parse"};
  return condition->Check(*schema);
}

// A change with its rows.
struct TestChange {
  using Values = std::vector<Value>;
  TestChange(const SchemaPtr& schema, Operation operation, Values after, Values before = {})
      : schema(schema), after(std::move(after)), before(std::move(before)) {
    change.operation = operation;
    change.source = "shop";
    change.table = schema->table();
    change.schema = schema.get();
    change.epoch = 7;
    change.position = "0/16B3748";
    change.after = this->after;
    change.before = this->before;
  }
  TestChange(const TestChange&) = delete;
  TestChange& operator=(const TestChange&) = delete;
  SchemaPtr schema;
  Values after, before;
  Change change;
};

// "true", "false", or the code of the error.
inline std::string Evaluate(const std::string& text, const Change& change,
                            OnMissing on_missing = OnMissing::kHalt) {
  const auto condition = MustParse(text);
  if (condition == nullptr) return "does not parse";
  auto evaluator = ConditionEvaluator::Create(condition, on_missing);
  if (!evaluator) return DescribeResult(evaluator);
  const Result<bool> result = (*evaluator)->Matches(change);
  if (!result) return std::string(result.error().code);
  return *result ? "true" : "false";
}

// One column `c` of a type, beside a key.
class OneColumn {
 public:
  explicit OneColumn(ValueType type, std::string type_name = "")
      : schema_(TableSchema::Make({"public", "t"},
                                  {{"id", ValueType::kInt64, "bigint", true, false},
                                   {"c", type, std::move(type_name), false, false}})) {}

  const SchemaPtr& schema() const { return schema_; }
  std::string Insert(const std::string& text, const Value& value) const {
    return Evaluate(text, TestChange(schema_, Operation::kInsert, {Value::Int64(1), value}).change);
  }
  std::string Update(const std::string& text, const Value& before, const Value& after) const {
    return Evaluate(text, TestChange(schema_, Operation::kUpdate, {Value::Int64(1), after},
                                     {Value::Int64(1), before})
                              .change);
  }
  std::vector<std::string> Check(const std::string& text) const {
    return CheckProblems(text, schema_);
  }

 private:
  SchemaPtr schema_;
};

}  // namespace tailwater
