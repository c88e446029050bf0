#include "postgres/watermarks.h"

#include <gtest/gtest.h>

namespace tailwater::postgres {
namespace {

TEST(WatermarksTest, AMarkNamesItsChunkAndItsSide) {
  const std::string text = MarkText("f00d/12", "low");
  const auto low = ParseMark(text);
  ASSERT_TRUE(low);
  EXPECT_EQ(low->chunk_id, "f00d/12");
  EXPECT_EQ(low->kind, Watermark::Kind::kLow);
  const auto high = ParseMark("f00d/12/high");
  ASSERT_TRUE(high);
  EXPECT_EQ(high->kind, Watermark::Kind::kHigh);
  for (const char* wrong : {"", "low", "f00d/12/held", "f00d/12/"}) {
    EXPECT_FALSE(ParseMark(wrong));
  }
}

TEST(WatermarksTest, ReadsTableNamesAsTheyArePrinted) {
  for (const TableName& name :
       {TableName{"public", "orders"}, TableName{"Odd.Schema", "a \"b\""}, TableName{"ü", "x-y"},
        TableName{"a", ".."}, TableName{"\"", "\n"}}) {
    const auto parsed = ParseTableName(name.ToString());
    ASSERT_TRUE(parsed) << name.ToString();
    EXPECT_EQ(*parsed, name);
  }
  for (const char* text : {"", "a", "a.", ".a", "a.b.c", "\"a.b", "\"a\"b.c", "a.\"b\"c", "\"\".a"})
    EXPECT_FALSE(ParseTableName(text)) << text;
}

}  // namespace
}  // namespace tailwater::postgres
