#include <gtest/gtest.h>

#include <chrono>

#include "condition_testing.h"
#include "expression/condition.h"

namespace tailwater {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Evaluator : public testing::Test {
 protected:
  using Values = std::vector<Value>;
  std::string Insert(const std::string& text, Values after) {
    return Evaluate(text, TestChange(schema_, Operation::kInsert, std::move(after)).change);
  }
  std::string Update(const std::string& text, Values after, Values before = {},
                     OnMissing on_missing = OnMissing::kHalt) {
    return Evaluate(
        text, TestChange(schema_, Operation::kUpdate, std::move(after), std::move(before)).change,
        on_missing);
  }
  std::string Delete(const std::string& text, Values before) {
    return Evaluate(text, TestChange(schema_, Operation::kDelete, {}, std::move(before)).change);
  }
  static Values Row(int64_t id, Value plan, Value note = Value::Null()) {
    return {Value::Int64(id), plan, note};
  }

  const SchemaPtr schema_ = TableSchema::Make({"public", "user_plans"},
                                              {{"id", ValueType::kInt64, "bigint", true, false},
                                               {"plan", ValueType::kText, "text", false, false},
                                               {"note", ValueType::kText, "text", false, false}});
  const std::string kDowngrade = "op = 'update' AND NEW.plan = 'free' AND OLD.plan <> 'free'";
  const Value kFree = Value::Text("free"), kPro = Value::Text("pro");
};

TEST_F(Evaluator, FiresForExactlyTheDowngrade) {
  EXPECT_EQ(Update(kDowngrade, Row(1, kFree), Row(1, kPro)), "true");
  EXPECT_EQ(Update(kDowngrade, Row(1, kFree), Row(1, kFree)), "false");
  EXPECT_EQ(Update(kDowngrade, Row(1, kPro), Row(1, kFree)), "false");
  EXPECT_EQ(Update(kDowngrade, Row(1, kFree), Row(1, Value::Null())), "false");
  EXPECT_EQ(Insert(kDowngrade, Row(1, kFree)), "false");
  EXPECT_EQ(Delete(kDowngrade, Row(1, kFree)), "false");
}

TEST_F(Evaluator, AsksForTheOldRowOnlyIfItDecides) {
  EXPECT_EQ(Update(kDowngrade, Row(1, kPro)), "false");
  EXPECT_EQ(Update(kDowngrade, Row(1, Value::Null())), "false");
  EXPECT_EQ(Update(kDowngrade, Row(1, kFree)), "condition_column_missing");
  EXPECT_EQ(Update(kDowngrade, Row(1, kFree), {}, OnMissing::kSkip), "false");
  EXPECT_EQ(Update("NEW.plan = 'free' OR OLD.plan = 'free'", Row(1, kFree)), "true");
  EXPECT_EQ(Update("NOT (NEW.plan = 'pro' AND OLD.plan = 'free')", Row(1, kFree)), "true");
  EXPECT_EQ(Update("CASE WHEN NEW.plan = 'free' THEN TRUE ELSE OLD.plan = 'x' END", Row(1, kFree)),
            "true");
  EXPECT_EQ(Update("coalesce(NEW.plan, OLD.plan) = 'free'", Row(1, kFree)), "true");
  EXPECT_EQ(Update("iif(NEW.plan = 'free', TRUE, OLD.plan = 'x')", Row(1, kFree)), "true");
  EXPECT_EQ(Update("op = 'delete' AND OLD.plan = 'x'", Row(1, kFree)), "false");
  EXPECT_EQ(Update("OLD.plan = 'x' AND op = 'delete'", Row(1, kFree)), "false");
}

TEST_F(Evaluator, SaysHowToGetAMissingColumn) {
  const auto evaluator = ConditionEvaluator::Create(MustParse(kDowngrade), OnMissing::kHalt);
  ASSERT_OK(evaluator);
  const TestChange change(schema_, Operation::kUpdate, Row(1, kFree));
  const auto result = (*evaluator)->Matches(change.change);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().disposition, Disposition::kNeedsOperator);
  EXPECT_EQ(result.error().message,
            "OLD.plan of public.user_plans is missing: the log "
            "holds no old row; run "
            "ALTER TABLE public.user_plans REPLICA IDENTITY FULL for later changes, or set "
            "on_missing_before: skip");
}

TEST_F(Evaluator, TakesAbsentRowsForNull) {
  EXPECT_EQ(Insert("OLD.plan IS NULL AND OLD.id IS NULL", Row(1, kFree)), "true");
  EXPECT_EQ(Insert("OLD.plan = 'x' OR NEW.plan = 'free'", Row(1, kFree)), "true");
  EXPECT_EQ(Delete("NEW.plan IS NULL AND OLD.plan = 'free'", Row(1, kFree)), "true");
  const TestChange read(schema_, Operation::kRead, Row(1, kFree));
  EXPECT_EQ(Evaluate("op = 'read' AND NEW.plan = 'free' AND OLD.plan IS NULL", read.change),
            "true");
  const TestChange truncate(schema_, Operation::kTruncate, {});
  EXPECT_EQ(Evaluate("op = 'truncate'", truncate.change), "true");
  EXPECT_EQ(
      Evaluate("NEW.plan IS NULL AND OLD.plan IS NULL AND NOT changed(plan)", truncate.change),
      "true");
  Change message;
  message.operation = Operation::kMessage;
  message.message_prefix = "p";
  EXPECT_EQ(Evaluate("op = 'message'", message), "true");
  EXPECT_EQ(Evaluate("op = 'message' AND NEW.x + 1 > 2", message), "false");
}

TEST_F(Evaluator, KnowsTheOldKeyWithoutTheOldRow) {
  EXPECT_EQ(Update("OLD.id = 1", Row(1, kFree)), "true");
  EXPECT_EQ(Update("changed(id)", Row(1, kFree)), "false");
  EXPECT_EQ(Delete("OLD.id = 1", Row(1, Value::Omitted(), Value::Omitted())), "true");
  EXPECT_EQ(Delete("OLD.plan = 'x'", Row(1, Value::Omitted())), "condition_column_missing");
}

TEST_F(Evaluator, TakesTheOldValueForAnUnchangedOne) {
  const Value unchanged = Value::Unchanged();
  EXPECT_EQ(Update("NEW.note = 'n'", Row(1, kFree, unchanged), Row(1, kFree, Value::Text("n"))),
            "true");
  EXPECT_EQ(Update("NEW.note = 'n'", Row(1, kFree, unchanged)), "condition_column_missing");
  EXPECT_EQ(Update("NEW.note IS NULL", Row(1, kFree, unchanged)), "condition_column_missing");
  EXPECT_EQ(Update("changed(note)", Row(1, kFree, unchanged)), "false");
  EXPECT_EQ(Update("NEW.note = 'n'", Row(1, kFree, Value::Omitted())), "condition_column_missing");
}

TEST_F(Evaluator, SeesWhetherAValueChanged) {
  EXPECT_EQ(Update("changed(plan)", Row(1, kFree), Row(1, kPro)), "true");
  EXPECT_EQ(Update("changed(plan)", Row(1, kFree), Row(1, kFree)), "false");
  EXPECT_EQ(Update("changed(plan)", Row(1, kFree), Row(1, Value::Null())), "true");
  EXPECT_EQ(Update("changed(plan)", Row(1, Value::Null()), Row(1, Value::Null())), "false");
  EXPECT_EQ(Update("changed(plan)", Row(1, kFree)), "condition_column_missing");
  EXPECT_EQ(Insert("changed(plan)", Row(1, kFree)), "true");
  EXPECT_EQ(Insert("changed(plan)", Row(1, Value::Null())), "false");
  EXPECT_EQ(Delete("changed(plan)", Row(1, kFree)), "true");
  const OneColumn decimal(ValueType::kDecimal, "numeric");
  EXPECT_EQ(decimal.Update("changed(c)", Value::Decimal("1.5"), Value::Decimal("1.50")), "false");
  EXPECT_EQ(decimal.Update("changed(c)", Value::Decimal("1.5"), Value::Decimal("1.51")), "true");
  const OneColumn json(ValueType::kJson, "jsonb");
  EXPECT_EQ(json.Update("changed(c)", Value::Json("{}"), Value::Json("[]")), "true");
  const OneColumn real(ValueType::kFloat64, "real");
  EXPECT_EQ(real.Update("changed(c)", Value::Float64(0.0), Value::Float64(-0.0)), "false");
}

TEST_F(Evaluator, FollowsTheSchema) {
  const auto evaluator =
      ConditionEvaluator::Create(MustParse("NEW.plan = 'free'"), OnMissing::kHalt);
  ASSERT_OK(evaluator);
  const TestChange first(schema_, Operation::kInsert, Row(1, kFree));
  EXPECT_TRUE(*(*evaluator)->Matches(first.change));
  const SchemaPtr swapped =
      TableSchema::Make({"public", "user_plans"}, {{"plan", ValueType::kEnum, "plan", false, false},
                                                   {"id", ValueType::kInt64, "int8", true, false}});
  const TestChange second(swapped, Operation::kInsert, {Value::Enum("free"), Value::Int64(1)});
  EXPECT_TRUE(*(*evaluator)->Matches(second.change));
  const SchemaPtr renamed = TableSchema::Make({"public", "user_plans"},
                                              {{"plans", ValueType::kText, "text", false, false}});
  const TestChange third(renamed, Operation::kInsert, {kFree});
  const auto refused = (*evaluator)->Matches(third.change);
  ASSERT_THAT(refused, IsErrorWith("condition_does_not_fit"));
  EXPECT_THAT(refused.error().message,
              AllOf(HasSubstr("public.user_plans has no column 'plan' (did you mean 'plans'?)"),
                    HasSubstr("public.user_plans")));
  EXPECT_TRUE(*(*evaluator)->Matches(first.change));
}

TEST_F(Evaluator, ForgetsTheSchemasThatItUsedLongestAgo) {
  const auto evaluator =
      ConditionEvaluator::Create(MustParse("NEW.plan = 'free'"), OnMissing::kHalt);
  ASSERT_OK(evaluator);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 100; ++i) {
      const SchemaPtr schema = TableSchema::Make(
          {"public", "t" + std::to_string(i)}, {{"plan", ValueType::kText, "text", false, false}});
      const TestChange change(schema, Operation::kInsert, {i % 2 == 0 ? kFree : kPro});
      const auto result = (*evaluator)->Matches(change.change);
      ASSERT_OK(result);
      EXPECT_EQ(*result, i % 2 == 0);
    }
  }
}

TEST_F(Evaluator, StopsWhatTakesTooLong) {
  const std::string a(1'000'000, 'a');
  EXPECT_EQ(Insert("NEW.plan REGEXP '(a*)*(a|aa)+b$'", Row(1, Value::Text(a))), "false");
  std::string pattern = "'%";
  for (int i = 0; i < 500; ++i) pattern += "a";
  pattern += "b%'";
  EXPECT_EQ(Insert("NEW.plan LIKE " + pattern, Row(1, Value::Text(a))), "condition_limit");
  EXPECT_EQ(Insert("NEW.plan LIKE '%a%a%a%a%a%a%a%a%b'", Row(1, Value::Text(a))), "false");
}

TEST_F(Evaluator, BoundsItsMemory) {
  const std::string big(9'000'000, 'x');
  EXPECT_EQ(Insert("length(NEW.plan || NEW.plan) > 1", Row(1, Value::Text(big))),
            "condition_limit");
  EXPECT_EQ(Insert("length(replace(NEW.plan, 'x', 'yyyy')) > 1", Row(1, Value::Text(big))),
            "condition_limit");
  const std::string bigger(17'000'000, 'x');
  EXPECT_EQ(Insert("NEW.plan = 'x'", Row(1, Value::Text(bigger))), "condition_limit");
  EXPECT_EQ(Insert("NEW.plan = 'x' OR NEW.id = 1", Row(1, kFree, Value::Text(bigger))), "true");
}

TEST_F(Evaluator, TakesManyTermsAndLongLists) {
  std::string terms = "NEW.id = 0", list = "-1";
  for (int i = 1; i < 1100; ++i) terms += " OR NEW.id=" + std::to_string(i);
  for (int i = 0; i < 2000; ++i) list += "," + std::to_string(i);
  EXPECT_EQ(Insert(terms, Row(1099, kFree)), "true");
  EXPECT_EQ(Insert(terms, Row(1100, kFree)), "false");
  EXPECT_EQ(Insert("NEW.id IN (" + list + ")", Row(1999, kFree)), "true");
  EXPECT_EQ(Insert("NEW.id IN (" + list + ")", Row(2000, kFree)), "false");
}

TEST_F(Evaluator, RefusesWhatGrowsTooLarge) {
  std::string nested = "NEW.plan";
  for (int i = 0; i < 40; ++i) nested = "json_type(" + nested + ")";
  EXPECT_THAT(CheckProblems(nested + " = 'x'", schema_),
              testing::ElementsAre("it is too large; split it over several entries of `tables`"));
}

TEST_F(Evaluator, RefusesAtLoadWhatSqliteCannotNest) {
  const auto nested = [](int depth) {
    std::string text = "NEW.id";
    for (int i = 0; i < depth; ++i) text = "1 + (" + text + ")";
    return text + " > 5";
  };
  EXPECT_THAT(CheckProblems(nested(20), schema_), testing::IsEmpty());
  EXPECT_EQ(Insert(nested(20), Row(1, kFree)), "true");
  EXPECT_THAT(CheckProblems(nested(98), schema_),
              testing::ElementsAre("it is nested too deeply for SQLite; take some parentheses, "
                                   "CASEs or calls out"));
}

TEST_F(Evaluator, HasNoWayToTablesOrFiles) {
  for (const char* text :
       {"load_extension('x') = 1", "readfile('/etc/passwd') = 'x'", "sqlite_version() = 'x'",
        "new_value(0) = 1", "zeroblob(1000000000) = x'00'", "printf('%1000000000d', 1) = 'x'"}) {
    EXPECT_EQ(ParseProblems(text).size(), 1u) << text;
  }
}

}  // namespace
}  // namespace tailwater
