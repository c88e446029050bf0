#include "mysql/gtid.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace tailwater::mysql {
namespace {

constexpr char kA[] = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
constexpr char kB[] = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

MysqlGtid Gtid(std::string_view text) { return *MysqlGtid::Parse(text); }
MysqlGtidSet Set(std::string_view text) {
  const auto set = MysqlGtidSet::Parse(text);
  EXPECT_TRUE(set.has_value()) << text;
  return set.value_or(MysqlGtidSet());
}
std::string A(std::string_view numbers) { return std::string(kA).append(numbers); }
std::string B(std::string_view numbers) { return std::string(kB).append(numbers); }

std::string Bytes(std::string_view hex) {
  std::string bytes;
  std::string digits;
  for (const char c : hex) {
    if (c == ' ') continue;
    digits += c;
    if (digits.size() == 2) bytes += static_cast<char>(std::stoi(digits, nullptr, 16)), digits = "";
  }
  return bytes;
}

TEST(Uuid, PrintsInLowerCaseWhatItParsesInAny) {
  const auto uuid = Uuid::Parse("3E11FA47-71CA-11e1-9E33-C80AA9429562");
  ASSERT_TRUE(uuid.has_value());
  EXPECT_EQ(uuid->ToString(), kA);
  for (const char* text :
       {"", "3e11fa47", "3e11fa4771ca11e19e33c80aa9429562", "3e11fa47-71ca-11e1-9e33-c80aa942956",
        "3e11fa47-71ca-11e1-9e33-c80aa942956g", "3e11fa47+71ca-11e1-9e33-c80aa9429562"}) {
    EXPECT_FALSE(Uuid::Parse(text).has_value()) << text;
  }
}

TEST(MysqlGtid, HasATagOrNone) {
  EXPECT_EQ(Gtid(A(":17")).ToString(), A(":17"));
  EXPECT_EQ(Gtid(A(":tag_1:17")).tag, "tag_1");
  EXPECT_EQ(Gtid(A(":tag_1:17")).ToString(), A(":tag_1:17"));
  for (const std::string& text : {A(""), A(":"), A(":0"), A(":-1"), A(":1-2"), A(":tag:"), A(":1x"),
                                  A(":9223372036854775807"), A(":1tag:1"), std::string(":1")}) {
    EXPECT_FALSE(MysqlGtid::Parse(text).has_value()) << text;
  }
}

TEST(MysqlGtidSet, PrintsSortedAndMerged) {
  const struct {
    std::string text, printed;
  } kCases[] = {
      {"", ""},
      {"  \n", ""},
      {A(":1"), A(":1")},
      {A(":1-5"), A(":1-5")},
      {A(":5:1-3"), A(":1-3:5")},
      {A(":1-3:4-5"), A(":1-5")},
      {A(":1-9:3-4"), A(":1-9")},
      {A(":1,\n") + B(":2-3"), A(":1,") + B(":2-3")},  // as SQL results have it
      {B(":2-3,") + A(" : 1 - 7 : 9 "), A(":1-7:9,") + B(":2-3")},
      {A(":1-2:tag:7-8"), A(":1-2:tag:7-8")},
      {A(":tag:7-8"), A(":tag:7-8")},
      {A(":TAG:7,") + A(":1"), A(":1:tag:7")},
      {A(":a:1:b:2-3,") + B(":4"), A(":a:1:b:2-3,") + B(":4")},
      {A(":1-9223372036854775806"), A(":1-9223372036854775806")},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Set(c.text).ToString(), c.printed) << c.text;
    EXPECT_EQ(Set(c.printed), Set(c.text));
    EXPECT_EQ(MysqlGtidSet::Decode(Set(c.text).Encode()), Set(c.text)) << c.text;
  }
}

TEST(MysqlGtidSet, RefusesWhatIsNone) {
  for (const std::string& text :
       {A(""), A(":"), A(":1:"), A(":1-"), A(":-1"), A(":0"), A(":0-1"), A(":2-1"), A(":1,"),
        A(":1,,") + B(":1"), A(":tag"), A(":tag:"), A(":tag:tag:1"), A(":9223372036854775807"),
        A(":99999999999999999999"), A(":1 2"), A(":this_tag_has_more_than_32_letters:1"),
        std::string("0-1-100"), std::string(",")}) {
    EXPECT_FALSE(MysqlGtidSet::Parse(text).has_value()) << text;
  }
}

TEST(MysqlGtidSet, KeepsHolesAndFillsThem) {
  MysqlGtidSet set = Set(A(":1-5"));
  const struct {
    int64_t number;
    const char* printed;
  } kSteps[] = {{6, ":1-6"},      {9, ":1-6:9"},        {10, ":1-6:9-10"},
                {8, ":1-6:8-10"}, {20, ":1-6:8-10:20"}, {3, ":1-6:8-10:20"},
                {7, ":1-10:20"},  {19, ":1-10:19-20"},  {15, ":1-10:15:19-20"}};
  for (const auto& step : kSteps) {
    set.Add({.uuid = *Uuid::Parse(kA), .number = step.number});
    EXPECT_EQ(set.ToString(), A(step.printed));
  }
  EXPECT_EQ(set.count(), 13u);
  EXPECT_EQ(set.intervals(), 3u);
  EXPECT_TRUE(set.Contains(Gtid(A(":15"))));
  EXPECT_FALSE(set.Contains(Gtid(A(":11"))));
  EXPECT_FALSE(set.Contains(Gtid(A(":21"))));
  EXPECT_FALSE(set.Contains(Gtid(A(":t:1"))));
  EXPECT_FALSE(set.Contains(Gtid(B(":1"))));
}

TEST(MysqlGtidSet, ATagHasNumbersOfItsOwn) {
  MysqlGtidSet set = Set(A(":1-5"));
  EXPECT_FALSE(set.Contains(Set(A(":tag:1"))));
  set.Add(Gtid(A(":tag:1")));
  EXPECT_EQ(set.ToString(), A(":1-5:tag:1"));
  EXPECT_TRUE(set.Contains(Set(A(":tag:1"))));
  set.Remove(Set(A(":1-5")));
  EXPECT_EQ(set.ToString(), A(":tag:1"));
}

TEST(MysqlGtidSet, SubtractsAndAdds) {
  const struct {
    const char *from, *what, *left;
  } kCases[] = {{":1-10", ":3-4", ":1-2:5-10"},
                {":1-10", ":1", ":2-10"},
                {":1-10", ":10", ":1-9"},
                {":1-10", ":1-10", ""},
                {":1-10", ":1-20", ""},
                {":5-6:9", ":1-5:9-12", ":6"},
                {":5-6", ":1-4:7-9", ":5-6"},
                {":1-3:5-7:9", ":2-6", ":1:7:9"},
                {":1-10", ":2:4:6:8", ":1:3:5:7:9-10"}};
  for (const auto& c : kCases) {
    MysqlGtidSet set = Set(A(c.from));
    set.Remove(Set(A(c.what)));
    EXPECT_EQ(set.ToString(), *c.left == 0 ? "" : A(c.left)) << c.from << " without " << c.what;
    EXPECT_EQ(set.empty(), *c.left == 0);
    set.Add(Set(A(c.from)));
    EXPECT_EQ(set, Set(A(c.from)));
  }
}

// Text and intervals are kept side by side: whatever comes in whatever order, they agree.
TEST(MysqlGtidSet, IsWhatAPlainSetOfNumbersIs) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    MysqlGtidSet set;
    std::set<int64_t> numbers;
    for (int step = 0; step < 60; ++step) {
      const auto number = static_cast<int64_t>(random() % 40 + 1);
      if (random() % 4 == 0) {
        set.Remove(Set(A(":" + std::to_string(number))));
        numbers.erase(number);
      } else {
        set.Add({.uuid = *Uuid::Parse(kA), .number = number});
        numbers.insert(number);
      }
      ASSERT_EQ(set.count(), numbers.size());
      ASSERT_EQ(Set(set.ToString()), set);
      ASSERT_EQ(Set(set.ToString()).ToString(), set.ToString());
      for (int64_t n = 1; n <= 41; ++n) {
        ASSERT_EQ(set.Contains({.uuid = *Uuid::Parse(kA), .number = n}), numbers.contains(n));
      }
    }
  }
}

TEST(MysqlGtidSet, EncodesAsCommandAndEventHaveIt) {
  EXPECT_EQ(MysqlGtidSet().Encode(), std::string(8, '\0'));
  EXPECT_EQ(Set(A(":1-5:9")).Encode(),
            Bytes("0100000000000000 3e11fa4771ca11e19e33c80aa9429562 0200000000000000"
                  "0100000000000000 0600000000000000 0900000000000000 0A00000000000000"));
  EXPECT_EQ(Set(A(":1:tt:2")).Encode(),
            Bytes("0102000000000001 3e11fa4771ca11e19e33c80aa9429562 00 0100000000000000 "
                  "0100000000000000 0200000000000000"
                  "3e11fa4771ca11e19e33c80aa9429562 04 7474 0100000000000000 0200000000000000 "
                  "0300000000000000"));
  // A server that once saw a tag writes an empty set so.
  EXPECT_EQ(MysqlGtidSet::Decode(Bytes("0100000000000001")), MysqlGtidSet());
}

TEST(MysqlGtidSet, DecodesNothingHalf) {
  const std::string whole = Set(A(":1-5:9:tt:2")).Encode();
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(MysqlGtidSet::Decode(std::string_view(whole).substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(MysqlGtidSet::Decode(whole + '\0').has_value());
  for (const char* hex :
       {"FFFFFFFFFFFFFF00",                                                    // 2^56 - 1 servers
        "0100000000000000 3e11fa4771ca11e19e33c80aa9429562 FFFFFFFFFFFFFFFF",  // intervals
        "0100000000000000 3e11fa4771ca11e19e33c80aa9429562 0100000000000000 0000000000000000 "
        "0100000000000000",
        "0100000000000000 3e11fa4771ca11e19e33c80aa9429562 0100000000000000 0200000000000000 "
        "0200000000000000",
        "0100000000000000 3e11fa4771ca11e19e33c80aa9429562 0100000000000000 0200000000000000 "
        "FFFFFFFFFFFFFFFF",
        "0200000000000001"}) {
    EXPECT_FALSE(MysqlGtidSet::Decode(Bytes(hex)).has_value()) << hex;
  }
}

TEST(MariadbGtid, ParsesWhatItPrints) {
  EXPECT_EQ(MariadbGtid::Parse("0-1-100")->ToString(), "0-1-100");
  EXPECT_EQ(MariadbGtid::Parse("4294967295-4294967295-18446744073709551615")->sequence,
            ~uint64_t{0});
  for (const char* text :
       {"", "0-1", "0-1-", "0--1", "-0-1", "0-1-2-3", "4294967296-1-1", "a-1-1", "0-1-1 "}) {
    EXPECT_FALSE(MariadbGtid::Parse(text).has_value()) << text;
  }
}

TEST(MariadbGtidState, IsTheLastOfEachDomain) {
  auto state = *MariadbGtidState::Parse("5-1-7,\n0-1-100");
  EXPECT_EQ(state.ToString(), "0-1-100,5-1-7");
  state.Set({.domain = 0, .server = 2, .sequence = 101});
  EXPECT_EQ(state.ToString(), "0-2-101,5-1-7");
  EXPECT_TRUE(state.Contains({.domain = 0, .server = 1, .sequence = 100}));
  EXPECT_FALSE(state.Contains({.domain = 0, .server = 1, .sequence = 102}));
  EXPECT_FALSE(state.Contains({.domain = 1, .server = 1, .sequence = 1}));
  EXPECT_TRUE(state.Contains(*MariadbGtidState::Parse("0-9-50")));
  EXPECT_FALSE(state.Contains(*MariadbGtidState::Parse("0-9-50,1-1-1")));
  EXPECT_TRUE(MariadbGtidState::Parse("")->empty());
  for (const char* text : {"0-1-1,0-1-2", "0-1-1,", ",0-1-1", "0-1", "0-1-1;1-1-1"}) {
    EXPECT_FALSE(MariadbGtidState::Parse(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace tailwater::mysql
