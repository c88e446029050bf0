#include "postgres/types.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "postgres/datetime_text.h"
#include "support/matchers.h"
#include "tailwater/array.h"

namespace tailwater::postgres {
namespace {

// What extremes of each type become stands in tests/golden/postgres/types*.txt, from a real server.

TEST(FormatBuiltinType, NamesTypesAsTheServerPrintsThem) {
  struct Case {
    uint32_t oid;
    int32_t typmod;
    const char* name;
  };
  const Case cases[] = {
      {1700, -1, "numeric"},
      {1700, 786438, "numeric(12,2)"},
      {1700, 4, "numeric(0,0)"},
      {1700, 329730, "numeric(5,-2)"},
      {1043, -1, "character varying"},
      {1043, 24, "character varying(20)"},
      {1042, -1, "bpchar"},
      {1042, 9, "character(5)"},
      {1560, -1, "\"bit\""},
      {1560, 5, "bit(5)"},
      {1562, -1, "bit varying"},
      {1562, 7, "bit varying(7)"},
      {1083, -1, "time without time zone"},
      {1083, 3, "time(3) without time zone"},
      {1266, 0, "time(0) with time zone"},
      {1114, 6, "timestamp(6) without time zone"},
      {1184, -1, "timestamp with time zone"},
      {1184, 3, "timestamp(3) with time zone"},
      {1186, -1, "interval"},
      {1186, 2147418115, "interval(3)"},
      {1186, 458751, "interval year to month"},
      {1186, 327679, "interval year"},
      {1186, 196607, "interval month"},
      {1186, 589823, "interval day"},
      {1186, 67174399, "interval hour"},
      {1186, 134283263, "interval minute"},
      {1186, 268435459, "interval second(3)"},
      {1186, 67698687, "interval day to hour"},
      {1186, 201916415, "interval day to minute"},
      {1186, 470286338, "interval day to second(2)"},
      {1186, 201392127, "interval hour to minute"},
      {1186, 469762048, "interval hour to second(0)"},
      {1186, 402718719, "interval minute to second"},
      {1231, 786438, "numeric(12,2)[]"},
      {1185, 3, "timestamp(3) with time zone[]"},
      {1014, 9, "character(5)[]"},
      {1014, -1, "bpchar[]"},
      {1015, -1, "character varying[]"},
      {1561, 3, "bit(3)[]"},
      {1187, 2147418115, "interval(3)[]"},
      {18, -1, "\"char\""},
      {1002, -1, "\"char\"[]"},
      {16, -1, "boolean"},
      {21, -1, "smallint"},
      {701, -1, "double precision"},
      {1020, -1, "box[]"},
      {22, -1, "int2vector"},
      {4451, -1, "int4multirange"},
      {6150, -1, "int4multirange[]"},
      {271, -1, "xid8[]"},
  };
  for (const Case& c : cases) {
    const BuiltinType* type = FindBuiltinType(c.oid);
    ASSERT_NE(type, nullptr) << c.oid;
    EXPECT_EQ(FormatBuiltinType(*type, c.typmod), c.name);
  }
  EXPECT_EQ(FindBuiltinType(16384), nullptr);
  EXPECT_EQ(FindBuiltinType(0), nullptr);
}

bool Parses(uint32_t oid, std::string_view text) {
  ChangeBatch batch;
  Value value;
  const std::string copy(text);  // of its own size, so that overruns show
  return (*FindBuiltinType(oid)->parser)(copy, batch, value);
}

TEST(Parsers, RefuseWhatIsNoValueOfTheType) {
  const std::pair<uint32_t, std::vector<std::string_view>> cases[] = {
      {16, {"", "true", "T", "x"}},
      {20,
       {"", "-", "+1", "1.0", " 1", "1 ", "9223372036854775808", "-9223372036854775809", "0x1",
        "99999999999999999999"}},
      {5069, {"", "-1", "18446744073709551616", "1a"}},
      {701, {"", "nan", "inf", "infinity", "0x1p3", "1,5", "1.5x", "-", "e5", "--1"}},
      {700, {"", "nan", "1e", "Inf"}},
      {1700, {"", "-", ".5", "5.", "1.2.3", "1e5", "nan", "--1", "-NaN", "1 "}},
      {17, {"", "\\", "\\x0", "\\x0g", "abc", "\\001"}},
      {2950,
       {"", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", "a0eebc999c0b-4ef8-bb6d-6bb9bd380a11a",
        "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1}"}},
      {1082,
       {"", "2024-13-01", "2024-00-01", "2024-01-32", "2023-02-29", "1900-02-29", "2024-2-1",
        "01/02/2024", "2024-01-01 ", "2024-01-01 AD", "0000-01-01", "Infinity", "-"}},
      {1083,
       {"", "24:00:01", "12:60:00", "12:00:61", "12:00", "12:00:00.", "12:00:00.1234567",
        "12:00:00+00"}},
      {1114,
       {"", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01 00:00:00+00", "2024-01-01 25:00:00",
        "inf", "2024-01-01 00:00:00 AD", "2023-02-29 00:00:00"}},
      {1184,
       {"", "2024-01-01 00:00:00", "2024-01-01 00:00:00Z", "2024-01-01 00:00:00+0",
        "2024-01-01 00:00:00+00:"}},
      {1186,
       {"", " ", "1", "1 day ", "1 year 1 year", "1 day 1 year", "1 week", "@ 1 day", "P1D",
        "1:00:00x", "00:61:00", "1 day -", "99999999999 days"}},
      {1007, {"",          "{",
              "}",         "{1",
              "1}",        "{1,}",
              "{,1}",      "{1}{2}",
              "{1}x",      "{{1},{2,3}}",
              "{1,{2}}",   "{{1},2}",
              "[1:2]={1}", "[1:2={1,2}",
              "[2:1]={}",  "[1:1][1:1]={1}",
              "{a}",       "{\"1}",
              "{1\"}",     "{\"1\"2}",
              "{{}}",      "{{{{{{{1}}}}}}}",
              "{1;2}",     "[1:1]={\"1\\",
              "[x:1]={1}", "[1:999999999999]={1}",
              "{\\1}"}},
      {1020, {"{(1,2),(3,4),(5,6),(7,8)}x", "{"}},
  };
  for (const auto& [oid, texts] : cases) {
    for (const std::string_view text : texts) EXPECT_FALSE(Parses(oid, text)) << oid << " " << text;
  }
}

TEST(Parsers, TakeEveryPrefixOfAnArrayWithoutOverrun) {
  const std::string_view whole = "[0:1][2:3]={{\"a\\\"b\",NULL},{x,\"{y}\"}}";
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(Parses(1009, whole.substr(0, size))) << whole.substr(0, size);
  }
  EXPECT_TRUE(Parses(1009, whole));
}

TEST(Parsers, ReadOffsetsOfAnySession) {
  const std::pair<std::string_view, int64_t> cases[] = {
      {"1970-01-01 00:00:00+00", 0},
      {"1970-01-01 05:30:00+05:30", 0},
      {"1969-12-31 16:00:00-08", 0},
      {"1970-01-01 05:53:28.000001+05:53:28", 1},
  };
  for (const auto& [text, expected] : cases) {
    int64_t micros = -1;
    EXPECT_EQ(ParseTimestampTzText(text, micros), TimeParse::kOk) << text;
    EXPECT_EQ(micros, expected) << text;
  }
}

TEST(Parsers, TakeEveryDayOfFourCenturies) {
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int64_t expected = 0;
  for (int year = 1970; year < 2370; ++year) {
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    for (int month = 1; month <= 12; ++month) {
      const int days = kDays[month - 1] + (month == 2 && leap ? 1 : 0);
      for (int day = 1; day <= 32; ++day) {
        char text[64];
        std::snprintf(text, sizeof text, "%04d-%02d-%02d 00:00:01.5", year, month, day);
        int64_t micros = 0, date = 0;
        const TimeParse wanted = day <= days ? TimeParse::kOk : TimeParse::kMalformed;
        ASSERT_EQ(ParseTimestampText(text, micros), wanted) << text;
        ASSERT_EQ(ParseDateText(std::string_view(text, 10), date), wanted) << text;
        if (day > days) continue;
        ASSERT_EQ(micros, expected * 86'400'000'000 + 1'500'000) << text;
        ASSERT_EQ(date, expected++) << text;
      }
    }
  }
}

TEST(Parsers, AFloat4StaysShortAndRoundsBackToTheSameSingle) {
  ChangeBatch batch;
  Value value;
  ASSERT_TRUE((*FindBuiltinType(700)->parser)("0.1", batch, value));
  EXPECT_EQ(value.as_float64(), 0.1);
  EXPECT_EQ(static_cast<float>(value.as_float64()), 0.1f);
}

TEST(Parsers, AnIntervalOfInfinityStaysText) {
  ChangeBatch batch;
  Value value;
  for (const std::string_view text : {"infinity", "-infinity"}) {
    ASSERT_TRUE((*FindBuiltinType(1186)->parser)(text, batch, value));
    EXPECT_EQ(value, Value::Other(text));
  }
}

TEST(Parsers, DaysCountFromTheEpochInBothDirections) {
  EXPECT_EQ(DaysFromCivil(1970, 1, 1), 0);
  EXPECT_EQ(DaysFromCivil(2000, 3, 1), 11017);
  EXPECT_EQ(DaysFromCivil(1, 1, 1), -719162);
  EXPECT_EQ(DaysFromCivil(1969, 12, 31), -1);
}

}  // namespace
}  // namespace tailwater::postgres
