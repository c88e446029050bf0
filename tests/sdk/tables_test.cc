#include "tailwater/tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/yaml.h"

namespace tailwater {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TableSelection Select(const std::string& yaml, std::vector<std::string>* messages = nullptr) {
  Problems problems;
  const auto root = ParseYaml("tables: " + yaml, "t.yaml", problems);
  EXPECT_TRUE(root.has_value());
  TableSelection selection = TableSelection::Parse(root->Find("tables"), problems);
  for (const Problem& problem : problems.list()) {
    if (messages != nullptr) {
      messages->push_back(problem.ToString());
    } else {
      ADD_FAILURE() << problem.ToString();
    }
  }
  return selection;
}

TEST(TableSelectionTest, WithoutTheKeySelectsEveryTable) {
  Problems problems;
  const TableSelection selection = TableSelection::Parse(nullptr, problems);
  EXPECT_TRUE(selection.Selects("shop", "public.orders"));
  EXPECT_TRUE(problems.empty());
}

TEST(TableSelectionTest, MatchesNamesAndGlobsCaseSensitively) {
  const TableSelection selection = Select("[public.orders, 'audit.log_2?2?', 'app*.user*']");
  EXPECT_TRUE(selection.Selects("shop", "public.orders"));
  EXPECT_FALSE(selection.Selects("shop", "public.Orders"));
  EXPECT_FALSE(selection.Selects("shop", "public.orders2"));
  EXPECT_TRUE(selection.Selects("shop", "audit.log_2026"));
  EXPECT_FALSE(selection.Selects("shop", "audit.log_202"));
  EXPECT_TRUE(selection.Selects("shop", "app_1.users"));
  EXPECT_TRUE(selection.Selects("shop", "app.user"));
}

TEST(TableSelectionTest, LastMatchingEntryWins) {
  const TableSelection selection = Select(
      "['public.*', {match: public.orders, index: orders}, {match: public.o*, exclude: "
      "[public.orders]}]");
  EXPECT_EQ(selection.Find("shop", "public.users"), 0u);
  EXPECT_EQ(selection.Find("shop", "public.orders"), 1u);
  EXPECT_EQ(selection.Find("shop", "public.offers"), 2u);
  EXPECT_EQ(selection.Find("shop", "other.offers"), std::nullopt);
}

TEST(TableSelectionTest, AnExcludedTableMayStillMatchAnEarlierEntry) {
  const TableSelection selection = Select("[{match: public.*, exclude: [public.secrets]}]");
  EXPECT_FALSE(selection.Selects("shop", "public.secrets"));
  EXPECT_TRUE(selection.Selects("shop", "public.orders"));
}

TEST(TableSelectionTest, ASourceMayStandBeforeTheName) {
  const TableSelection selection = Select("['shop:public.orders', 'public.a:b']");
  EXPECT_TRUE(selection.Selects("shop", "public.orders"));
  EXPECT_FALSE(selection.Selects("mart", "public.orders"));
  EXPECT_TRUE(selection.Selects("mart", "public.a:b"));
  EXPECT_EQ(selection.entries()[0].match.ToString(), "shop:public.orders");
}

TEST(TableSelectionTest, ReportsEveryBadEntry) {
  std::vector<std::string> messages;
  Select("[{exclude: [a.b]}, '', {match: a.*, exclude: a.b}, 'shop:']", &messages);
  EXPECT_THAT(
      messages,
      ElementsAre("t.yaml:1:10: tables[0]: needs 'match', for example {match: public.*}",
                  "t.yaml:1:28: tables[1]: is empty; write a table's name or a pattern, for "
                  "example public.*",
                  "t.yaml:1:54: tables[2].exclude: must be a list, for example [public.secrets]",
                  "t.yaml:1:60: tables[3]: is empty; write a table's name or a pattern, for "
                  "example public.*"));
  messages.clear();
  Select("public.orders", &messages);
  EXPECT_THAT(messages,
              ElementsAre("t.yaml:1:9: tables: must be a list, for example [public.orders, {match: "
                          "public.user_*}]"));
  messages.clear();
  Select("", &messages);
  EXPECT_THAT(messages, ElementsAre("t.yaml:1:1: tables: has no value; list tables, or remove the "
                                    "line to select every table"));
}

}  // namespace
}  // namespace tailwater
