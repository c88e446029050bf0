#include "clickhouse/row_writer.h"

#include <gmock/gmock.h>

#include "support/stub_metrics.h"
#include "support/topic_feeder.h"
#include "tailwater/array.h"

namespace tailwater::clickhouse {
namespace {

using ::testing::HasSubstr;

class RowWriterTest : public ::testing::Test {
 protected:
  // What is said of a row whose second column has the type and gets the value.
  std::string Refusal(const std::string& type, const Value& value) {
    TablePlan plan;
    plan.qualified = "`d`.`orders`";
    plan.columns.push_back({0, "id", true, ParseType("Int64"), 0});
    plan.columns.push_back({1, "note", false, ParseType(type), 0});
    plan.key = {0};
    Change change;
    change.schema = schema_.get();
    const std::vector<Value> row = {Value::Int64(1), value};
    std::string out;
    const Status written = writer_.AppendRow(plan, change, row, nullptr, out);
    EXPECT_EQ(out, "");
    return written ? "" : written.error().message;
  }
  const SchemaPtr schema_ = TestSchema("orders", {"id*:int64", "note:text"});
  ClickHouseConfig config_;
  StubMetrics metrics_;
  RowWriter writer_{config_, metrics_};
};

TEST_F(RowWriterTest, AColumnThatTakesNoNullIsRepairedByWhatTheServerTakes) {
  const std::string alter = "ALTER TABLE `d`.`orders` MODIFY COLUMN `note` ";
  EXPECT_THAT(Refusal("String", Value::Null()), HasSubstr(alter + "Nullable(String)"));
  EXPECT_THAT(Refusal("LowCardinality(String)", Value::Null()),
              HasSubstr(alter + "LowCardinality(Nullable(String))"));
  EXPECT_THAT(Refusal("Array(String)", Value::Null()),
              HasSubstr("ALTER TABLE `d`.`orders` ADD COLUMN `_null_arrays` Array(String)"));
  std::string wire;
  ArrayWriter array(wire);
  array.AddDimension({1, 1});
  array.AddElement(Value::Null());
  EXPECT_THAT(Refusal("Array(LowCardinality(String))", Value::Array(wire)),
              HasSubstr(alter + "Array(LowCardinality(Nullable(String)))"));
}

}  // namespace
}  // namespace tailwater::clickhouse
