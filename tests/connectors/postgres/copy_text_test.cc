#include "postgres/sink/copy_text.h"

#include <gmock/gmock.h>

#include "support/matchers.h"
#include "tailwater/array.h"

namespace tailwater::postgres {
namespace {

std::string Text(const Value& value, char separator = ',') {
  std::string out;
  EXPECT_OK(AppendCopyValue(value, separator, out));
  return out;
}

TEST(CopyText, EscapesWhatCopyWouldTakeForItsOwn) {
  EXPECT_EQ(Text(Value::Text("a\tb\nc\rd\\e")), "a\\tb\\nc\\rd\\\\e");
  EXPECT_EQ(Text(Value::Text("\\N")), "\\\\N");
  EXPECT_EQ(Text(Value::Text("")), "");
  EXPECT_EQ(Text(Value::Null()), "\\N");
  EXPECT_EQ(Text(Value::Omitted()), "\\N");
  EXPECT_EQ(Text(Value::Blob(std::string_view("\0\\", 2))), "\\\\x005c");
}

TEST(CopyText, QuotesEveryElementOfAnArray) {
  std::string wire;
  ArrayWriter writer(wire);
  writer.AddDimension({.length = 2, .lower_bound = 0});
  writer.AddDimension({.length = 2});
  writer.AddElement(Value::Int64(1));
  writer.AddElement(Value::Null());
  writer.AddElement(Value::Text("NULL"));
  writer.AddElement(Value::Text("a\"\\"));
  EXPECT_EQ(Text(Value::Array(wire)), R"([0:1][1:2]={{"1",NULL},{"NULL","a\\"\\\\"}})");
  std::string boxes;
  ArrayWriter of_boxes(boxes);
  of_boxes.AddDimension({.length = 2});
  of_boxes.AddElement(Value::Other("(2,2),(1,1)"));
  of_boxes.AddElement(Value::Other("(4,4),(3,3)"));
  EXPECT_EQ(Text(Value::Array(boxes), ElementSeparator("box[]")),
            R"-({"(2,2),(1,1)";"(4,4),(3,3)"})-");
  EXPECT_EQ(Text(Value::Array("")), "{}");
}

TEST(CopyText, RefusesWhatNoTextOfPostgresHolds) {
  std::string out;
  EXPECT_THAT(AppendCopyValue(Value::Text(std::string_view("a\0b", 3)), ',', out),
              IsErrorWith("pg_value_unreadable"));
  EXPECT_THAT(AppendCopyValue(Value::Array("\xff\xff garbage"), ',', out),
              IsErrorWith("record_malformed"));
}

TEST(CopyText, AColumnMoreLeavesTheHashOfOlderRowsAlone) {
  const std::vector<Column> narrow = {{"a", ValueType::kInt64}, {"b", ValueType::kText}};
  const std::vector<Column> wide = {
      {"b", ValueType::kText}, {"c", ValueType::kText}, {"a", ValueType::kInt64}};
  const std::vector<Value> row = {Value::Int64(1), Value::Text("x")};
  const std::vector<Value> same = {Value::Text("x"), Value::Null(), Value::Int64(1)};
  const std::vector<Value> other = {Value::Text("x"), Value::Text(""), Value::Int64(1)};
  EXPECT_EQ(HashRow(narrow, row), HashRow(wide, same));
  EXPECT_NE(HashRow(narrow, row), HashRow(wide, other));
}

}  // namespace
}  // namespace tailwater::postgres
