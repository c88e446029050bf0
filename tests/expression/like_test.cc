#include "expression/like.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tailwater::expression {
namespace {

// The definition, without any cleverness.
bool MatchesByDefinition(std::string_view text, std::string_view pattern) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '%') {
    for (size_t skip = 0; skip <= text.size(); ++skip) {
      if (MatchesByDefinition(text.substr(skip), pattern.substr(1))) return true;
    }
    return false;
  }
  if (text.empty() || (pattern[0] != '_' && pattern[0] != text[0])) return false;
  return MatchesByDefinition(text.substr(1), pattern.substr(1));
}

TEST(Like, AgreesWithItsDefinition) {
  std::mt19937 random(20261121);
  const auto any = [&](std::string_view letters, size_t most) {
    std::string out(random() % (most + 1), ' ');
    for (char& c : out) c = letters[random() % letters.size()];
    return out;
  };
  int yes = 0;
  for (int round = 0; round < 50'000; ++round) {
    const std::string text = any("ab", 8), pattern = any("ab%_", 6);
    const bool expected = MatchesByDefinition(text, pattern);
    yes += expected ? 1 : 0;
    ASSERT_EQ(Like(text, pattern, ""), expected ? LikeResult::kYes : LikeResult::kNo)
        << text << " LIKE " << pattern;
  }
  EXPECT_GT(yes, 1000);
}

TEST(Like, CountsCharactersAndKnowsEscapes) {
  EXPECT_EQ(Like("größe", "gr__e", ""), LikeResult::kYes);
  EXPECT_EQ(Like("größe", "gr___e", ""), LikeResult::kNo);
  EXPECT_EQ(Like("😀", "_", ""), LikeResult::kYes);
  EXPECT_EQ(Like("100%", "100!%", "!"), LikeResult::kYes);
  EXPECT_EQ(Like("100x", "100!%", "!"), LikeResult::kNo);
  EXPECT_EQ(Like("a!b", "a!!b", "!"), LikeResult::kYes);
  EXPECT_EQ(Like("a_b", "aé_b", "é"), LikeResult::kYes);
  EXPECT_EQ(Like("a", "a!", "!"), LikeResult::kBadPattern);
}

TEST(Like, GivesUpOnTextsMadeToTakeLong) {
  const std::string text(1'000'000, 'a');
  EXPECT_EQ(Like(text, "%" + std::string(1000, 'a') + "b", ""), LikeResult::kTooLong);
  EXPECT_EQ(Like(text, "%a%a%a%a%a%b", ""), LikeResult::kNo);
}

}  // namespace
}  // namespace tailwater::expression
