#include "cli/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tailwater {
namespace {

using ::testing::ElementsAre;

TEST(OutputTest, ShowsWhatCouldHurtATerminal) {
  EXPECT_EQ(Printable("plain → text"), "plain → text");
  EXPECT_EQ(Printable("a\nb\t\x1b[2J\x7f"), "a\\nb\\t\\x1b[2J\\x7f");
  EXPECT_EQ(Printable("\xC2\x9b"
                      "31m"),
            "\\u009b31m");
  EXPECT_EQ(Printable("\xC3\xA9"), "\xC3\xA9");
}

TEST(OutputTest, CountsCharactersNotBytes) {
  EXPECT_EQ(DisplayWidth("\x1b[31mé→x\x1b[0m"), 3u);
  EXPECT_EQ(Shortened("ééééé", 3), "éé…");
  EXPECT_EQ(Shortened("ééé", 3), "ééé");
  EXPECT_EQ(Shortened("anything", 0), "anything");
}

TEST(OutputTest, BreaksBetweenWords) {
  EXPECT_THAT(Wrapped("one two three\nfour", 8), ElementsAre("one two", "three", "four"));
  EXPECT_THAT(Wrapped("unbreakable", 4), ElementsAre("unbreakable"));
}

TEST(OutputTest, NumbersAreReadable) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(50ull << 30), "50 GiB");
  EXPECT_EQ(HumanCount(999), "999");
  EXPECT_EQ(HumanCount(1234567), "1,234,567");
  EXPECT_EQ(HumanSeconds(0), "0 s");
  EXPECT_EQ(HumanSeconds(0.0121), "12 ms");
  EXPECT_EQ(HumanSeconds(3.21), "3.2 s");
  EXPECT_EQ(HumanSeconds(600), "10 min");
  EXPECT_EQ(HumanSeconds(86400 * 3), "3 d");
  EXPECT_EQ(Counted(1, "sink"), "1 sink");
  EXPECT_EQ(Counted(0, "sink"), "0 sinks");
}

TEST(OutputTest, LinesUpColumnsWithColours) {
  TextTable table(2);
  table.Add({"\x1b[31ma\x1b[0m", "b"});
  table.Add({"long", "c"});
  EXPECT_EQ(table.ToString(), "  \x1b[31ma\x1b[0m     b\n  long  c\n");
}

}  // namespace
}  // namespace tailwater
