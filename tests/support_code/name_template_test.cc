#include "support/name_template.h"

#include <gmock/gmock.h>

namespace tailwater {
namespace {

using ::testing::HasSubstr;

TEST(NameTemplateTest, PlaceholdersAreReplaced) {
  std::string problem;
  const auto name = NameTemplate::Parse("x_{source}.{schema}-{table}", problem);
  ASSERT_TRUE(name) << problem;
  EXPECT_EQ(name->Of("shop", {"public", "Or.ders"}), "x_shop.public-Or.ders");
}

TEST(NameTemplateTest, WhatIsNoPlaceholderIsNamed) {
  std::string problem;
  EXPECT_FALSE(NameTemplate::Parse("", problem));
  EXPECT_FALSE(NameTemplate::Parse("a{tabel}", problem));
  EXPECT_THAT(problem, HasSubstr("{tabel}"));
  EXPECT_FALSE(NameTemplate::Parse("a{table", problem));
}

}  // namespace
}  // namespace tailwater
