#include "expression/glob.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include <random>
#include <string>

#include "support/matchers.h"
#include "support/sqlite.h"

namespace tailwater::expression {
namespace {

bool Matches(const std::string& text, const std::string& glob) {
  const auto regexp = GlobToRegexp(glob);
  return regexp && RE2::PartialMatch(text, RE2(*regexp, RE2::Quiet));
}

TEST(Glob, AgreesWithSqlite) {
  auto database = sqlite::Database::OpenInMemory();
  ASSERT_OK(database);
  auto statement = database->Prepare("SELECT ? GLOB ?");
  ASSERT_OK(statement);
  std::mt19937 random(20261121);
  const auto any = [&](std::string_view letters, size_t most) {
    std::string out(random() % (most + 1), ' ');
    for (char& c : out) c = letters[random() % letters.size()];
    return out;
  };
  int yes = 0;
  for (int round = 0; round < 50'000; ++round) {
    const std::string text = any("ab-]^.", 5), glob = any("ab*?[]^-.", 7);
    // A range whose end comes before its start is refused; SQLite lets it match nothing.
    if (const auto regexp = GlobToRegexp(glob); regexp && !RE2(*regexp, RE2::Quiet).ok()) continue;
    statement->BindText(1, text).BindText(2, glob);
    const auto row = statement->Step();
    ASSERT_OK(row);
    const bool expected = statement->Int64(0) != 0;
    statement->Reset();
    yes += expected ? 1 : 0;
    ASSERT_EQ(Matches(text, glob), expected) << text << " GLOB " << glob;
  }
  EXPECT_GT(yes, 1000);
}

TEST(Glob, MatchesTheWholeTextByCharacters) {
  EXPECT_TRUE(Matches("größe\nx", "gr??e*"));
  EXPECT_FALSE(Matches("xa", "a"));
  EXPECT_FALSE(Matches("ax\n", "ax"));
  EXPECT_TRUE(Matches("ö", "[ä-ü]"));
  EXPECT_EQ(GlobToRegexp("a[b"), std::nullopt);
  EXPECT_EQ(GlobToRegexp("["), std::nullopt);
  EXPECT_EQ(GlobToRegexp("[]"), std::nullopt);
}

}  // namespace
}  // namespace tailwater::expression
