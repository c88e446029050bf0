#include "mysql/key_order.h"

#include <gmock/gmock.h>

namespace tailwater::mysql {
namespace {

using ::testing::ElementsAre;

TEST(MysqlKeyOrder, ComparesColumnByColumnAsBothServersUseAnIndex) {
  const KeyOrder order("PRIMARY", {{.name = "a", .data_type = "int"},
                                   {.name = "b",
                                    .data_type = "varchar",
                                    .charset = "utf8mb4",
                                    .collation = "utf8mb4_general_ci"},
                                   {.name = "c", .data_type = "datetime"}});
  EXPECT_EQ(order.Behind({"1", "61", "2024-01-01"}),
            "(`a` > 1 OR (`a` = 1 AND (`b` > _utf8mb4 X'61' COLLATE utf8mb4_general_ci OR (`b` = "
            "_utf8mb4 X'61' COLLATE utf8mb4_general_ci AND `c` > '2024-01-01'))))");
  EXPECT_EQ(order.UpTo({"1", "61", "2024-01-01"}),
            "(`a` < 1 OR (`a` = 1 AND (`b` < _utf8mb4 X'61' COLLATE utf8mb4_general_ci OR (`b` = "
            "_utf8mb4 X'61' COLLATE utf8mb4_general_ci AND `c` <= '2024-01-01'))))");
  EXPECT_EQ(order.OrderBy(), "`a`, `b`, `c`");
  EXPECT_THAT(order.Select(), ElementsAre("`a`", "HEX(`b`)", "`c`"));
}

TEST(MysqlKeyOrder, FollowsTheDirectionsOfTheIndex) {
  const KeyOrder order("u", {{.name = "a", .data_type = "int", .descending = true},
                             {.name = "b", .data_type = "int"}});
  EXPECT_EQ(order.Behind({"1", "2"}), "(`a` < 1 OR (`a` = 1 AND `b` > 2))");
  EXPECT_EQ(order.UpTo({"1", "2"}), "(`a` > 1 OR (`a` = 1 AND `b` <= 2))");
  EXPECT_EQ(order.OrderBy(), "`a` DESC, `b`");
  EXPECT_EQ(order.ForceIndex(), "FORCE INDEX (`u`)");
}

TEST(MysqlKeyOrder, ListsTheNumbersOfAnEnum) {
  const KeyOrder order("PRIMARY", {{.name = "e", .data_type = "enum", .labels = 3}});
  EXPECT_EQ(order.Behind({"1"}), "`e` IN (2, 3)");
  EXPECT_EQ(order.Behind({"3"}), "`e` IN (NULL)");
  EXPECT_EQ(order.UpTo({"1"}), "(`e` IN (0) OR `e` = 1)");
}

TEST(MysqlKeyOrder, TellsEqualValuesOfDifferentPrefixesApart) {
  const KeyOrder order("PRIMARY", {{.name = "t",
                                    .data_type = "text",
                                    .charset = "latin1",
                                    .collation = "latin1_german1_ci",
                                    .prefix = 2}});
  EXPECT_FALSE(order.sorted_by_index());
  EXPECT_EQ(order.OrderBy(), "`t`, LEFT(`t`, 2)");
  EXPECT_EQ(order.Behind({"DF"}),
            "(`t` > _latin1 X'DF' COLLATE latin1_german1_ci OR (`t` = _latin1 X'DF' COLLATE "
            "latin1_german1_ci AND LEFT(`t`, 2) > LEFT(_latin1 X'DF' COLLATE latin1_german1_ci, "
            "2)))");
}

TEST(MysqlKeyOrder, KnowsPlacesOfItsOwnKeyAloneAndNothingButValues) {
  const KeyOrder numbers("PRIMARY", {{.name = "a", .data_type = "int"}});
  const KeyOrder texts("PRIMARY", {{.name = "a",
                                    .data_type = "varchar",
                                    .charset = "latin1",
                                    .collation = "latin1_swedish_ci"}});
  const KeyOrder dates("PRIMARY", {{.name = "a", .data_type = "date"}});
  EXPECT_THAT(*numbers.Unpack(numbers.Pack({"-17"})), ElementsAre("-17"));
  EXPECT_FALSE(texts.Unpack(numbers.Pack({"17"})));
  EXPECT_FALSE(numbers.Unpack(numbers.Pack({"1 OR 1"})));
  EXPECT_FALSE(numbers.Unpack(numbers.Pack({""})));
  EXPECT_FALSE(texts.Unpack(texts.Pack({"'"})));
  EXPECT_FALSE(dates.Unpack(dates.Pack({"\\'"})));
  EXPECT_EQ(dates.Behind({"2024'01"}), "`a` > '2024''01'");
}

TEST(MysqlKeyOrder, GivesDoublesAnExponentAndBytesInHex) {
  const KeyOrder doubles("PRIMARY", {{.name = "d", .data_type = "double"}});
  EXPECT_EQ(doubles.Behind({"0.1"}), "`d` > 0.1e0");
  EXPECT_EQ(doubles.Behind({"1e30"}), "`d` > 1e30");
  EXPECT_EQ(KeyOrder::Hex(std::string_view("a\0\xff", 3)), "6100FF");
}

}  // namespace
}  // namespace tailwater::mysql
