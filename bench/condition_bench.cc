// Cost of a condition per change: what a `when` that discards nearly everything adds to a sink.
//   cmake --preset bench && cmake --build build/bench --target condition_bench &&
//   build/bench/bench/condition_bench
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "expression/condition.h"

namespace tailwater {
namespace {

constexpr const char* kDowngrade = "op = 'update' AND NEW.plan = 'free' AND OLD.plan <> 'free'";

struct Fixture {
  Fixture(const char* text, Operation operation, const char* before, const char* after) {
    ConfigNode node;
    node.kind = ConfigNode::Kind::kScalar;
    node.path = "when";
    node.scalar = text;
    Problems problems;
    auto condition = Condition::Parse(node, problems);
    if (condition == nullptr) std::abort();
    auto created = ConditionEvaluator::Create(std::move(condition), OnMissing::kHalt);
    if (!created) std::abort();
    evaluator = *std::move(created);
    old_row = {Value::Int64(1), Value::Text(before), Value::Decimal("120.50")};
    new_row = {Value::Int64(1), Value::Text(after), Value::Decimal("99.90")};
    change.operation = operation;
    change.schema = schema.get();
    change.table = schema->table();
    if (operation == Operation::kUpdate) change.before = old_row;
    change.after = new_row;
  }
  SchemaPtr schema = TableSchema::Make({"public", "user_plans"},
                                       {{"id", ValueType::kInt64, "bigint", true, false},
                                        {"plan", ValueType::kText, "text", false, false},
                                        {"total", ValueType::kDecimal, "numeric", false, false}});
  std::unique_ptr<ConditionEvaluator> evaluator;
  std::vector<Value> old_row, new_row;
  Change change;
};

void Run(benchmark::State& state, Fixture& fixture) {
  for (auto _ : state) {
    const Result<bool> matches = fixture.evaluator->Matches(fixture.change);
    if (!matches) state.SkipWithError(matches.error().message.c_str());
    benchmark::DoNotOptimize(*matches);
  }
}

void BM_ReadsBothRows(benchmark::State& state) {
  Fixture fixture(kDowngrade, Operation::kUpdate, "pro", "free");
  Run(state, fixture);
}
BENCHMARK(BM_ReadsBothRows);

void BM_DiscardsByTheNewRow(benchmark::State& state) {
  Fixture fixture(kDowngrade, Operation::kUpdate, "pro", "pro");
  Run(state, fixture);
}
BENCHMARK(BM_DiscardsByTheNewRow);

void BM_DiscardsByTheOperation(benchmark::State& state) {
  Fixture fixture(kDowngrade, Operation::kInsert, "", "free");
  Run(state, fixture);
}
BENCHMARK(BM_DiscardsByTheOperation);

void BM_ComparesDecimals(benchmark::State& state) {
  Fixture fixture("NEW.total < 100 AND OLD.total >= 100.00", Operation::kUpdate, "pro", "pro");
  Run(state, fixture);
}
BENCHMARK(BM_ComparesDecimals);

void BM_MatchesRegexp(benchmark::State& state) {
  Fixture fixture("NEW.plan REGEXP '^(free|trial)$'", Operation::kUpdate, "pro", "free");
  Run(state, fixture);
}
BENCHMARK(BM_MatchesRegexp);

}  // namespace
}  // namespace tailwater
