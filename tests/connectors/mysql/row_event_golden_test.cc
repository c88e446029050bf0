// Every type of both servers: what the reader makes of the log's bytes is what it makes of the
// SELECT of a copy.
#include "captured_rows.h"
#include "mysql/row_event.h"
#include "mysql/table_map.h"
#include "support/matchers.h"

namespace tailwater::mysql {
namespace {

std::string Readable(const Value& value) {
  std::string text;
  AppendReadable(value, text);
  if (value.has_value()) text = std::string(ValueTypeName(value.type())) + " " + text;
  return text.size() > 300 ? text.substr(0, 300) + "…" : text;
}

class RowsOf : public testing::TestWithParam<std::string> {
 protected:
  Captured captured_ = ReadCaptured(GetParam());
  const LogFormat format_ = {.flavour =
                                 GetParam() == "mysql" ? Flavour::kMysql : Flavour::kMariadb};

  Result<std::shared_ptr<const MappedTable>> Map(const CapturedTable& table,
                                                 const ValueOptions& options = {}) {
    TW_ASSIGN_OR_RETURN(
        TableMap map, TableMap::Parse({.type = EventType::kTableMap, .body = table.map}, format_));
    return MappedTable::Make(std::move(map), captured_, options);
  }
};
INSTANTIATE_TEST_SUITE_P(Servers, RowsOf, testing::Values("mariadb", "mysql"),
                         [](const auto& info) { return info.param; });

TEST_P(RowsOf, StreamAndCopyAgree) {
  size_t values = 0;
  for (const CapturedTable& captured : captured_.tables) {
    SCOPED_TRACE(captured.name);
    const auto table = Map(captured);
    ASSERT_OK(table);
    size_t row = 0;
    for (const auto& [type, body] : captured.events) {
      const Event event{.type = static_cast<EventType>(type), .body = body};
      const auto head = RowsHead::Parse(event, format_);
      ASSERT_OK(head);
      ASSERT_EQ(head->kind, RowKind::kInsert);
      RowReader reader(*head, **table), skipping(*head, **table);
      while (!reader.done()) {
        ChangeBatch batch;
        const auto images = reader.Next(batch);
        ASSERT_OK(images);
        ASSERT_OK(skipping.Skip());
        ASSERT_LT(row, captured.selected.size());
        ASSERT_EQ(images->after.size(), captured.selected[row].size());
        for (size_t i = 0; i < images->after.size(); ++i) {
          const ValueReader& column = (*table)->readers[i];
          SCOPED_TRACE("row " + std::to_string(row) + " column " + std::to_string(i) + " " +
                       column.type_name());
          EXPECT_EQ(column.SelectExpression("`" + (*table)->map.columns[i].name + "`"),
                    captured.select[i]);
          const auto& selected = captured.selected[row][i];
          Value copied = Value::Null();
          if (selected) {
            const auto read = column.ReadText(*selected, batch);
            ASSERT_OK(read);
            copied = *read;
          }
          EXPECT_EQ(images->after[i], copied)
              << Readable(images->after[i]) << " streamed, copied " << Readable(copied);
          ++values;
        }
        ++row;
      }
      EXPECT_TRUE(skipping.done());
    }
    EXPECT_EQ(row, captured.selected.size());
  }
  EXPECT_GT(values, 2000U);
}

TEST_P(RowsOf, TextIsWhatTheServerMakesOfIt) {
  size_t compared = 0;
  for (const CapturedTable& captured : captured_.tables) {
    if (captured.converted.empty()) continue;
    const auto table = Map(captured);
    ASSERT_OK(table);
    for (size_t row = 0; row < captured.selected.size(); ++row) {
      for (size_t i = 0; i < captured.converted[row].size(); ++i) {
        ChangeBatch batch;
        const auto read =
            (*table)->readers[i + 1].ReadText(captured.selected[row][i + 1].value(), batch);
        ASSERT_OK(read);
        EXPECT_EQ(read->bytes(), captured.converted[row][i]) << "row " << row << ", column " << i;
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 400U);
}

TEST_P(RowsOf, CutBytesAreRefusedAtEveryLength) {
  for (const CapturedTable& captured : captured_.tables) {
    SCOPED_TRACE(captured.name);
    const auto table = Map(captured);
    ASSERT_OK(table);
    for (size_t size = 0; size < captured.map.size(); ++size) {
      const std::string cut =
          captured.map.substr(0, size);  // its end is where the sanitizers watch
      const auto map = TableMap::Parse({.type = EventType::kTableMap, .body = cut}, format_);
      // Optional fields may end after any of them.
      if (!map) {
        EXPECT_EQ(map.error().code, "mysql_event_malformed");
      }
    }
    for (const auto& [type, body] : captured.events) {
      const size_t step = body.size() < 500 ? 1 : 97;
      for (size_t size = 0; size < body.size(); size += step) {
        const std::string cut = body.substr(0, size);
        const auto head =
            RowsHead::Parse({.type = static_cast<EventType>(type), .body = cut}, format_);
        if (!head) continue;
        ChangeBatch batch;
        RowReader reader(*head, **table);
        EXPECT_FALSE(reader.Next(batch)) << size;
      }
    }
  }
}

TEST_P(RowsOf, GarbledBytesNeverCrash) {
  for (const CapturedTable& captured : captured_.tables) {
    const auto table = Map(captured);
    ASSERT_OK(table);
    for (const auto& [type, body] : captured.events) {
      std::string garbled = body;
      for (size_t at = 0; at < std::min<size_t>(body.size(), 150); ++at) {
        for (const unsigned flip : {0x01U, 0x80U, 0xFFU}) {
          garbled[at] = static_cast<char>(static_cast<uint8_t>(body[at]) ^ flip);
          const auto head =
              RowsHead::Parse({.type = static_cast<EventType>(type), .body = garbled}, format_);
          if (head) {
            ChangeBatch batch;
            RowReader reader(*head, **table);
            while (!reader.done() && reader.Next(batch)) {
            }
          }
          garbled[at] = body[at];
        }
      }
    }
  }
}

}  // namespace
}  // namespace tailwater::mysql
