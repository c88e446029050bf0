#include "clickhouse/start_check.h"

#include <gtest/gtest.h>

namespace tailwater::clickhouse {
namespace {

class PatternOfTest : public ::testing::Test {
 protected:
  void Template(std::string_view text) {
    std::string problem;
    options_.table = NameTemplate::Parse(text, problem);
    ASSERT_EQ(problem, "");
  }
  TargetPattern Of(std::string source, std::string glob) {
    return PatternOf(config_, options_, {std::move(source), std::move(glob)});
  }
  ClickHouseConfig config_;
  ClickHouseTableOptions options_;
};

TEST_F(PatternOfTest, ANameLeadsToOneTarget) {
  const TargetPattern pattern = Of("", "public.orders");
  EXPECT_TRUE(pattern.named);
  EXPECT_TRUE(pattern.Matches("orders"));
  EXPECT_FALSE(pattern.Matches("orders_2"));
  EXPECT_EQ(Of("", "public.\"two words\"").glob, "two words");
}

TEST_F(PatternOfTest, APatternLeadsToMany) {
  const TargetPattern pattern = Of("", "public.user_*");
  EXPECT_FALSE(pattern.named);
  EXPECT_TRUE(pattern.Matches("user_plans"));
  EXPECT_FALSE(pattern.Matches("orders"));
  EXPECT_TRUE(Of("", "*").Matches("orders"));
  EXPECT_TRUE(Of("", "sho*").Matches("orders")) << "any table of a schema that begins so";
}

TEST_F(PatternOfTest, TheTargetsNameIsMadeAsForRows) {
  Template("{source}_{schema}_{table}");
  EXPECT_TRUE(Of("shop", "public.orders").named);
  EXPECT_EQ(Of("shop", "public.orders").glob, "shop_public_orders");
  const TargetPattern any_source = Of("", "public.orders");
  EXPECT_FALSE(any_source.named) << "each source has a table of its own";
  EXPECT_TRUE(any_source.Matches("west_public_orders"));
  EXPECT_FALSE(any_source.Matches("west_public_users"));
  EXPECT_EQ(Of("shop", "public.*").glob, "shop_public_*");
  Template("everything");
  EXPECT_TRUE(Of("", "public.*").Matches("everything"));
}

}  // namespace
}  // namespace tailwater::clickhouse
