// Any text as a condition: problems, or a tree whose SQL fits every table that Check() accepts;
// then SQLite takes it, and a row only ever gives an answer or a named error.
//   cmake --preset fuzz && cmake --build build/fuzz --target condition_fuzz &&
//   build/fuzz/tests/fuzz/condition_fuzz -max_total_time=60 -max_len=400
//   /tmp/corpus
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "expression/condition.h"

namespace tailwater {
namespace {

// One column of each type, named as the letters that a fuzzer finds soon.
struct Table {
  SchemaPtr schema = TableSchema::Make({"public", "t"},
                                       {{"k", ValueType::kInt64, "bigint", true, false},
                                        {"b", ValueType::kBool, "boolean", false, false},
                                        {"i", ValueType::kInt64, "bigint", false, false},
                                        {"r", ValueType::kFloat64, "real", false, false},
                                        {"d", ValueType::kDecimal, "numeric", false, false},
                                        {"s", ValueType::kText, "text", false, false},
                                        {"x", ValueType::kBytes, "bytea", false, false},
                                        {"t", ValueType::kTimestampTz, "timestamptz", false, false},
                                        {"u", ValueType::kUuid, "uuid", false, false},
                                        {"j", ValueType::kJson, "jsonb", false, false},
                                        {"e", ValueType::kEnum, "mood", false, false}});
  std::vector<Value> row = {Value::Int64(1),
                            Value::Bool(true),
                            Value::Int64(-7),
                            Value::Float64(0.5),
                            Value::Decimal("12345678901234567890.10"),
                            Value::Text("Größe"),
                            Value::Blob("\x01\xff"),
                            Value::TimestampTz(1'790'000'000'000'000),
                            Value::Uuid("0123456789abcdef"),
                            Value::Json("{\"a\":[1,\"b\"]}"),
                            Value::Enum("sad")};
};

void TryOne(std::string text) {
  static const Table kTable;
  ConfigNode node;
  node.kind = ConfigNode::Kind::kScalar;
  node.path = "when";
  node.scalar = std::move(text);
  Problems problems;
  const auto condition = Condition::Parse(node, problems);
  if ((condition == nullptr) == problems.empty()) std::abort();
  if (condition == nullptr || !condition->Check(*kTable.schema).empty()) return;
  auto evaluator = ConditionEvaluator::Create(condition, OnMissing::kHalt);
  if (!evaluator) std::abort();
  Change change;
  change.schema = kTable.schema.get();
  change.table = kTable.schema->table();
  for (const Operation operation : {Operation::kInsert, Operation::kUpdate, Operation::kDelete}) {
    change.operation = operation;
    change.after = operation == Operation::kDelete ? Row() : Row(kTable.row);
    change.before = operation == Operation::kDelete ? Row(kTable.row) : Row();
    const Result<bool> matches = (*evaluator)->Matches(change);
    // SQL that SQLite refuses to prepare would be an error of ours.
    if (!matches && matches.error().message.find("syntax error") != std::string::npos) std::abort();
    if (!matches && matches.error().message.find("no such") != std::string::npos) std::abort();
    if (!matches && matches.error().message.find("wrong number") != std::string::npos) std::abort();
    if (!matches && matches.error().message.find("not authorized") != std::string::npos)
      std::abort();
  }
}

}  // namespace
}  // namespace tailwater

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tailwater::TryOne({reinterpret_cast<const char*>(data), size});
  return 0;
}
