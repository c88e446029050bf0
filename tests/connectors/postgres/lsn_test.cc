#include "postgres/lsn.h"

#include <gtest/gtest.h>

namespace tailwater::postgres {
namespace {

TEST(Lsn, PrintsAndParsesAsPostgresDoes) {
  for (const char* text : {"16/B374D848", "0/0", "FFFFFFFF/FFFFFFFF", "0/1", "1/0", "AB/C"}) {
    const auto lsn = Lsn::Parse(text);
    ASSERT_TRUE(lsn.has_value()) << text;
    EXPECT_EQ(lsn->ToString(), text);
  }
  EXPECT_EQ(Lsn::Parse("16/B374D848")->value, 0x16B374D848u);
  EXPECT_EQ(Lsn::Parse("0/0a0b")->value, 0xA0Bu);  // as 19 and others may pad it
}

TEST(Lsn, RefusesWhatIsNone) {
  for (const char* text :
       {"", "/", "1", "1/", "/1", "1/2/3", "g/1", "1/100000000", "-1/1", "0x1/1", " 1/1", "1/1 "}) {
    EXPECT_FALSE(Lsn::Parse(text).has_value()) << text;
  }
}

TEST(Lsn, IsOrderedAsANumber) { EXPECT_LT(*Lsn::Parse("9/FFFFFFFF"), *Lsn::Parse("A/0")); }

}  // namespace
}  // namespace tailwater::postgres
