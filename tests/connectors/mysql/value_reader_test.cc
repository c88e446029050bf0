// What options make of a value, what documents may not be, and what a table map has to say.
#include "mysql/value_reader.h"

#include "captured_rows.h"
#include "mysql/charset.h"
#include "mysql/json_binary.h"
#include "mysql/json_diff.h"
#include "mysql/packed_decimal.h"
#include "mysql/row_event.h"
#include "mysql/table_map.h"
#include "support/matchers.h"

namespace tailwater::mysql {
namespace {

using std::string_literals::operator""s;

Result<Value> Read(const MapColumn& column, std::string_view charset, const ValueOptions& options,
                   std::string_view bytes, ChangeBatch& batch) {
  TW_ASSIGN_OR_RETURN(const ValueReader reader,
                      ValueReader::Make(column, nullptr, charset, options));
  return reader.Read(bytes, batch);
}

TEST(ZeroDates, AreWhatTheOptionSays) {
  const MapColumn date{.type = FieldType::kDate};
  const std::string bytes("\0\0\0", 3);
  ChangeBatch batch;
  const auto text = Read(date, "", {.zero_dates = ZeroDates::kText}, bytes, batch);
  ASSERT_OK(text);
  EXPECT_EQ(*text, Value::Other("0000-00-00"));
  const auto null = Read(date, "", {.zero_dates = ZeroDates::kNull}, bytes, batch);
  ASSERT_OK(null);
  EXPECT_TRUE(null->is_null());
  EXPECT_THAT(Read(date, "", {.zero_dates = ZeroDates::kHalt}, bytes, batch),
              IsErrorWith("mysql_date_invalid"));
}

TEST(InvalidText, IsWhatTheOptionSays) {
  const MapColumn text{.type = FieldType::kVarchar, .meta = 20, .collation = 45};
  const std::string bytes = "\4a\xFF\xC3z"s;
  ChangeBatch batch;
  EXPECT_THAT(Read(text, "utf8mb4", {}, bytes, batch), IsErrorWith("mysql_text_invalid"));
  const auto raw = Read(text, "utf8mb4", {.invalid_text = InvalidText::kBytes}, bytes, batch);
  ASSERT_OK(raw);
  EXPECT_EQ(*raw, Value::Blob("a\xFF\xC3z"));
  const auto replaced =
      Read(text, "utf8mb4", {.invalid_text = InvalidText::kReplace}, bytes, batch);
  ASSERT_OK(replaced);
  EXPECT_EQ(*replaced, Value::Text("a\uFFFD\uFFFDz"));
}

TEST(Charsets, AllOfBothServersAreKnown) {
  for (const char* const name :
       {"armscii8", "ascii",    "big5",  "cp1250",  "cp1251",  "cp1256",  "cp1257",
        "cp850",    "cp852",    "cp866", "cp932",   "dec8",    "eucjpms", "euckr",
        "gb18030",  "gb2312",   "gbk",   "geostd8", "greek",   "hebrew",  "hp8",
        "keybcs2",  "koi8r",    "koi8u", "latin1",  "latin2",  "latin5",  "latin7",
        "macce",    "macroman", "sjis",  "swe7",    "tis620",  "ucs2",    "ujis",
        "utf16",    "utf16le",  "utf32", "utf8",    "utf8mb3", "utf8mb4"}) {
    EXPECT_NE(Charset::Find(name), nullptr) << name;
  }
  EXPECT_EQ(Charset::Find("klingon"), nullptr);
}

TEST(Charsets, ConvertAndSayWhereTheyCannot) {
  const struct {
    const char* charset;
    std::string bytes;
    std::string text;
    size_t converted;
  } kCases[] = {
      {"latin1", "\x80\x81\xE9"s, "€\u0081é", 3},
      {"gb18030", "\x81\x30\x81\x30\x94\x39\xFC\x36\xA6\xD9"s, "\u0080\U0001F600\uE78D", 10},
      {"gbk", "a\x81\x40\xFF"s, "a丂", 3},
      {"sjis", "\x5C\x81\x5F\xB1\x88\x9F"s, "\\\\ｱ亜", 6},
      {"ujis", "\x8E\xB1\x8F\xB0\xA1\xA1\xC1"s, "ｱ丂〜", 7},
      {"big5", "\xA1\x45\xC6\xF8"s, "•ァ", 4},
      {"utf16", "\xD8\x3D\xDE\x00\xD8\x00"s, "😀", 4},
      {"utf16le", "\x3D\xD8\x00\xDE"s, "😀", 4},
      {"ucs2", "\x00\x61\x00"s, "a", 2},
      {"utf32", "\x00\x01\xF6\x00\x00\x11\x00\x00"s, "😀", 4},
      {"hebrew", "\xE0\xBF"s, "א", 1},
      {"swe7", "@}"s, "Éå", 2}};
  for (const auto& each : kCases) {
    std::string out;
    EXPECT_EQ(Charset::Find(each.charset)->Convert(each.bytes, out), each.converted)
        << each.charset;
    EXPECT_EQ(out, each.text) << each.charset;
  }
}

TEST(PackedDecimal, RefusesWhatNoServerWrites) {
  char text[kMostDecimalText];
  EXPECT_EQ(UnpackDecimal("", 10, 2, text), 0U);
  EXPECT_EQ(UnpackDecimal("\xFF\xFF\xFF\xFF\xFF", 10, 2, text), 0U);  // digits above nine
  EXPECT_EQ(PackedDecimalSize(66, 0), 0U);
  EXPECT_EQ(PackedDecimalSize(5, 6), 0U);
  EXPECT_EQ(PackedDecimalSize(65, 30), 30U);
}

std::string Json(std::string_view document) {
  std::string text;
  return AppendJsonText(document, text) ? text : "malformed";
}

TEST(BinaryJson, IsTheServersText) {
  EXPECT_EQ(Json(""), "null");
  EXPECT_EQ(Json("\x00\x00\x00\x04\x00"s), "{}");
  EXPECT_EQ(Json("\x05\x00\x80"s), "-32768");
  EXPECT_EQ(Json("\x07\xFF\xFF\x00\x00"s), "65535");
  EXPECT_EQ(Json("\x0F\xF6\x06\x06\x03\x80\x7B\x01\xC2"s), "123.450");
  EXPECT_EQ(Json("\x0F\x0A\x08\x00\x00\x00\x00\x00\xBA\xB2\x19"s), "\"2024-02-29\"");
  EXPECT_EQ(Json("\x00\x01\x00\x0C\x00\x0B\x00\x01\x00\x05\x02\x00\x61"s), "{\"a\": 2}");
}

TEST(BinaryJson, BadOffsetsAndDepthsAreRefused) {
  EXPECT_EQ(Json("\x00\xFF\xFF\x04\x00"s), "malformed");              // more members than bytes
  EXPECT_EQ(Json("\x02\x01\x00\x07\x00\x02\x00\x00"s), "malformed");  // an array that holds itself
  EXPECT_EQ(Json("\x02\x01\x00\x07\x00\x0C\xF0\x00"s), "malformed");  // a string behind the end
  EXPECT_EQ(Json("\x0C\xFF\xFF\xFF\xFF\xFF"s), "malformed");          // a length without an end
  EXPECT_EQ(Json("\x0D"s), "malformed");                              // no such type
  EXPECT_EQ(Json("\x0B\x00\x00\x00\x00\x00\x00\xF0\x7F"s), "malformed");  // infinity
  // Members that share their bytes: work is bounded by the document's length.
  std::string array = "\x02\x64\x00\x00\x04"s;
  for (int i = 0; i < 100; ++i) array += "\x0C\x30\x01"s;
  array += "\x7F" + std::string(719, 'x');
  EXPECT_EQ(Json(array.substr(0, 1025)), "malformed");
}

TEST(JsonDiffs, ThatDoNotFitAreRefused) {
  const std::string document = "\x00\x01\x00\x0C\x00\x0B\x00\x01\x00\x05\x02\x00\x61"s;
  const auto apply = [&](std::string_view diffs) {
    std::string out;
    return ApplyJsonDiffs(document, diffs, out) ? out : "malformed";
  };
  EXPECT_EQ(apply("\x00\x03$.a\x03\x05\x07\x00"s), "{\"a\": 7}");
  EXPECT_EQ(apply("\x01\x03$.b\x02\x04\x01"s), "{\"a\": 2, \"b\": true}");
  EXPECT_EQ(apply("\x01\x05$.\"\"\"\x02\x04\x01"s), "malformed");
  EXPECT_EQ(apply("\x02\x03$.a"s), "{}");
  EXPECT_EQ(apply("\x02\x03$.b"s), "malformed");
  EXPECT_EQ(apply("\x00\x03$.b\x02\x04\x00"s), "malformed");
  EXPECT_EQ(apply("\x01\x03$.a\x02\x04\x00"s), "malformed");
  EXPECT_EQ(apply("\x00\x04$[0]\x02\x04\x00"s), "malformed");
  EXPECT_EQ(apply("\x03\x03$.a"s), "malformed");
  EXPECT_EQ(apply("\x00\x7F"s), "malformed");
}

TEST(TableMap, WithoutNamesIsNothingToGuessFrom) {
  Captured catalog;
  TableMap map{.name = {"shop", "orders"}};
  map.columns = {{.type = FieldType::kTiny}};
  EXPECT_THAT(MappedTable::Make(map, catalog, {}), IsErrorWith("mysql_metadata_missing"));
}

TEST(TableMap, TheCacheKeepsOneObjectPerDescription) {
  Captured captured = ReadCaptured("changes_mysql");
  TableCache cache({}, captured);
  std::string body = captured.tables[0].map;
  const auto find = [&] { return cache.Find({.type = EventType::kTableMap, .body = body}, {}); };
  const auto first = find();
  ASSERT_OK(first);
  body[0] = 99;  // another table id
  EXPECT_EQ(*find(), *first);
  const auto head = TableMapHead::Parse({.type = EventType::kTableMap, .body = body}, {});
  ASSERT_OK(head);
  EXPECT_EQ(head->table_id, 99U);
  EXPECT_EQ(head->table, captured.tables[0].name);
  cache.Reset();
  EXPECT_NE(*find(), *first);
}

TEST(SystemVersioned, HistoryIsToldFromTheCurrentRow) {
  EXPECT_TRUE(IsCurrentRow(Value::TimestampTz(2'147'483'647'999'999)));
  EXPECT_TRUE(IsCurrentRow(Value::TimestampTz(4'294'967'295'999'999)));
  EXPECT_FALSE(IsCurrentRow(Value::TimestampTz(1'700'000'000'000'000)));
  EXPECT_TRUE(IsCurrentRow(Value::Uint64(UINT64_MAX)));
  EXPECT_FALSE(IsCurrentRow(Value::Uint64(5)));
}

}  // namespace
}  // namespace tailwater::mysql
