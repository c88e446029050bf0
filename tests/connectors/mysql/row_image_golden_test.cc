// Changes of one row in every image, and of parts of documents: after each, the row is what the
// server answers.
#include "captured_rows.h"
#include "mysql/row_event.h"
#include "mysql/table_map.h"
#include "support/matchers.h"

namespace tailwater::mysql {
namespace {

using Row = std::vector<Value>;

class ChangesOf : public testing::TestWithParam<std::string> {
 protected:
  Captured captured_ = ReadCaptured("changes_" + GetParam());
  const LogFormat format_ = {.flavour =
                                 GetParam() == "mysql" ? Flavour::kMysql : Flavour::kMariadb};
};
INSTANTIATE_TEST_SUITE_P(Servers, ChangesOf, testing::Values("mariadb", "mysql"),
                         [](const auto& info) { return info.param; });

TEST_P(ChangesOf, ImagesHoldTheRow) {
  for (const CapturedTable& captured : captured_.tables) {
    auto map = TableMap::Parse({.type = EventType::kTableMap, .body = captured.map}, format_);
    ASSERT_OK(map);
    const auto table = MappedTable::Make(*std::move(map), captured_, {});
    ASSERT_OK(table);
    EXPECT_EQ((*table)->schema->key_columns(), std::vector<uint32_t>{0});
    ASSERT_EQ(captured.events.size(), captured.selected.size());
    const bool whole = captured.name == "image_full" || captured.name == "partial";
    ChangeBatch batch;
    Row before;
    for (size_t step = 0; step < captured.events.size(); ++step) {
      SCOPED_TRACE(captured.name + ", step " + std::to_string(step));
      Row after;
      for (size_t i = 0; i < captured.selected[step].size(); ++i) {
        const auto& selected = captured.selected[step][i];
        const auto read = selected ? (*table)->readers[i].ReadText(*selected, batch)
                                   : Result<Value>(Value::Null());
        ASSERT_OK(read);
        after.push_back(*read);
      }
      const auto& [type, body] = captured.events[step];
      const auto head =
          RowsHead::Parse({.type = static_cast<EventType>(type), .body = body}, format_);
      ASSERT_OK(head);
      EXPECT_TRUE(head->statement_end);
      EXPECT_EQ(head->kind, before.empty()  ? RowKind::kInsert
                            : after.empty() ? RowKind::kDelete
                                            : RowKind::kUpdate);
      RowReader reader(*head, **table), skipping(*head, **table);
      const auto images = reader.Next(batch);
      ASSERT_OK(images);
      EXPECT_TRUE(reader.done());
      ASSERT_OK(skipping.Skip());
      EXPECT_TRUE(skipping.done());
      ASSERT_EQ(images->before.size(), before.size());
      ASSERT_EQ(images->after.size(), after.size());
      for (size_t i = 0; i < before.size(); ++i) {
        if (whole || !images->before[i].is_omitted()) {
          EXPECT_EQ(images->before[i], before[i]) << "before, column " << i;
        }
      }
      for (size_t i = 0; i < after.size(); ++i) {
        SCOPED_TRACE("after, column " + std::to_string(i));
        if (images->after[i].is_unchanged()) {
          EXPECT_FALSE(whole);
          EXPECT_EQ(before[i], after[i]);
        } else if (images->after[i].is_omitted()) {
          EXPECT_FALSE(whole);
          EXPECT_EQ(head->kind, RowKind::kInsert);
        } else {
          EXPECT_EQ(images->after[i], after[i])
              << images->after[i].bytes() << " for " << after[i].bytes();
        }
      }
      before = after;
    }
  }
}

TEST(PartialUpdate, ADiffWithoutItsDocumentIsRefused) {
  Captured catalog;
  TableMap map{.name = {"shop", "orders"}, .full_metadata = true};
  map.columns = {{.name = "id", .type = FieldType::kTiny},
                 {.name = "doc", .type = FieldType::kJson, .meta = 4}};
  const auto table = MappedTable::Make(std::move(map), catalog, {});
  ASSERT_OK(table);
  // Table id, flags, extra; two columns, before: id, after: doc; 7; one diff: remove $.a.
  const std::string body(
      "\1\0\0\0\0\0"
      "\1\0"
      "\2\0"
      "\2"
      "\1"
      "\2"
      "\0\7"
      "\1\1\0"
      "\5\0\0\0"
      "\2\3$.a",
      27);
  const auto head = RowsHead::Parse({.type = EventType::kPartialUpdateRows, .body = body}, {});
  ASSERT_OK(head);
  RowReader reader(*head, **table);
  ChangeBatch batch;
  EXPECT_THAT(reader.Next(batch), IsErrorWith("mysql_partial_json"));
  RowReader skipping(*head, **table);
  EXPECT_OK(skipping.Skip());
  EXPECT_TRUE(skipping.done());
}

TEST(PartialUpdate, RowsBehindADiffAreSkippedToo) {
  Captured catalog;
  TableMap map{.name = {"shop", "orders"}, .full_metadata = true};
  map.columns = {{.name = "id", .type = FieldType::kTiny},
                 {.name = "doc", .type = FieldType::kJson, .meta = 4}};
  const auto table = MappedTable::Make(std::move(map), catalog, {});
  ASSERT_OK(table);
  // Both images whole: 7 and {}, then 7 and a diff that puts $.a = true.
  const std::string row(
      "\0\7\5\0\0\0\0\0\0\4\0"
      "\1\1\0\7\x08\0\0\0\1\3$.a\2\4\1",
      27);
  const std::string body = std::string(
                               "\1\0\0\0\0\0"
                               "\1\0"
                               "\2\0"
                               "\2"
                               "\3"
                               "\3",
                               13) +
                           row + row;
  const auto head = RowsHead::Parse({.type = EventType::kPartialUpdateRows, .body = body}, {});
  ASSERT_OK(head);
  RowReader skipping(*head, **table), reader(*head, **table);
  ChangeBatch batch;
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(skipping.done());
    EXPECT_OK(skipping.Skip());
    const auto images = reader.Next(batch);
    ASSERT_OK(images);
    EXPECT_EQ(images->before[1], Value::Json("{}"));
    EXPECT_EQ(images->after[1], Value::Json("{\"a\": true}"));
  }
  EXPECT_TRUE(skipping.done());
  EXPECT_TRUE(reader.done());
}

TEST(RowReader, AnEventWithoutAByteOfRowsHasOneRow) {
  Captured catalog;
  TableMap map{.name = {"shop", "orders"}, .full_metadata = true};
  map.columns = {{.name = "id", .type = FieldType::kTiny}};
  const auto table = MappedTable::Make(std::move(map), catalog, {});
  ASSERT_OK(table);
  const std::string body(
      "\1\0\0\0\0\0"
      "\1\0"
      "\2\0"
      "\1"
      "\0",
      12);
  const auto head = RowsHead::Parse({.type = EventType::kWriteRowsV2, .body = body}, {});
  ASSERT_OK(head);
  RowReader reader(*head, **table);
  ChangeBatch batch;
  EXPECT_FALSE(reader.done());
  const auto images = reader.Next(batch);
  ASSERT_OK(images);
  EXPECT_TRUE(images->after[0].is_omitted());
  EXPECT_TRUE(reader.done());
}

TEST(RowReader, AnotherNumberOfColumnsIsAnotherTable) {
  Captured catalog;
  TableMap map{.name = {"shop", "orders"}, .full_metadata = true};
  map.columns = {{.name = "id", .type = FieldType::kTiny}};
  const auto table = MappedTable::Make(std::move(map), catalog, {});
  ASSERT_OK(table);
  const std::string body(
      "\1\0\0\0\0\0"
      "\1\0"
      "\2\0"
      "\2"
      "\3"
      "\0\1\1",
      15);
  const auto head = RowsHead::Parse({.type = EventType::kWriteRowsV2, .body = body}, {});
  ASSERT_OK(head);
  RowReader reader(*head, **table);
  ChangeBatch batch;
  EXPECT_THAT(reader.Next(batch), IsErrorWith("mysql_table_mismatch"));
}

}  // namespace
}  // namespace tailwater::mysql
