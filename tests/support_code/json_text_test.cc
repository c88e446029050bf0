#include "support/json_text.h"

#include <gtest/gtest.h>

#include <string>

namespace tailwater {
namespace {

TEST(JsonText, IsOneValueOfAnySize) {
  for (const std::string_view good :
       {"1", "-0.5e-3", "0", "1e400", "-1E+99999", "\"\"", "\"a\\n\\u00e9\\ud83d\\ude00\"", "true",
        "false", "null", "[]", "{}", " [ 1 , [ ] , { } ] ",
        "{\"a\": 1, \"a\": 1e400, \"b\": [null, {\"c\": []}]}", "\t\n\r {\"a\":\"b\"}"}) {
    EXPECT_TRUE(IsJsonText(good)) << good;
  }
  EXPECT_TRUE(IsJsonText(std::string(2000, '9')));
  EXPECT_TRUE(IsJsonText(std::string(200'000, '[') + std::string(200'000, ']')));
}

TEST(JsonText, IsNothingElse) {
  for (const std::string_view bad : {"",
                                     " ",
                                     "-",
                                     "01",
                                     "1.",
                                     ".5",
                                     "1e",
                                     "+1",
                                     "NaN",
                                     "Infinity",
                                     "tru",
                                     "nullx",
                                     "\"",
                                     "\"a",
                                     "\"\\x\"",
                                     "\"\\u12g4\"",
                                     "\"\\ud83d\"",
                                     "\"\\ude00\"",
                                     "\"\\ud83d\\u0041\"",
                                     "\"a\nb\"",
                                     "[",
                                     "[1",
                                     "[1,]",
                                     "[,1]",
                                     "[1 2]",
                                     "{",
                                     "{\"a\"}",
                                     "{\"a\":}",
                                     "{\"a\":1,}",
                                     "{a:1}",
                                     "{\"a\":1]",
                                     "[1}",
                                     "1 2",
                                     "{}}",
                                     "\"\xff\"",
                                     "\"\xe2\x82\"",
                                     "\"\xc0\x80\""}) {
    EXPECT_FALSE(IsJsonText(bad)) << bad;
  }
}

}  // namespace
}  // namespace tailwater
