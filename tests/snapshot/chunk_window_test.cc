#include "snapshot/chunk_window.h"

#include <gmock/gmock.h>

#include "codec/codec.h"

namespace tailwater {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ChunkWindowTest : public ::testing::Test {
 protected:
  static SchemaPtr Orders(std::string_view note_type = "text") {
    return TableSchema::Make({"public", "orders"},
                             {{"id", ValueType::kInt64, "int8", true},
                              {"note", ValueType::kText, std::string(note_type)},
                              {"age", ValueType::kInterval, "interval"}});
  }
  std::string Key(int64_t id) {
    const Value row[] = {Value::Int64(id), Value::Null(), Value::Null()};
    std::string key;
    encoder_.EncodeKey("shop", *schema_, row, key);
    return key;
  }
  void Note(Operation operation, int64_t id, Value note = Value::Null(), Value age = Value::Null(),
            const SchemaPtr& schema = nullptr) {
    const Value row[] = {Value::Int64(id), note, age};
    Change change;
    change.operation = operation;
    change.source = "shop";
    change.table = "public.orders";
    change.schema = schema == nullptr ? schema_.get() : schema.get();
    (operation == Operation::kDelete ? change.before : change.after) = row;
    window_.Note(change, Key(id));
  }
  // "id,note,age" of the row that is published for the one that was read; "dropped".
  std::string Resolve(int64_t id, std::string_view note = "read") {
    const Interval age{0, 1, 0};
    const Value row[] = {Value::Int64(id), Value::Text(note), Value::OfInterval(&age)};
    const std::optional<Row> resolved = window_.Resolve(Key(id), row);
    if (!resolved) return "dropped";
    std::string text;
    for (const Value& value : *resolved) {
      if (!text.empty()) text += ",";
      AppendReadable(value, text);
    }
    return text;
  }

  Encoder encoder_;
  const SchemaPtr schema_ = Orders();
  ChunkWindow window_{"run/1", "public.orders"};
};

TEST_F(ChunkWindowTest, KeepsARowThatDidNotChange) {
  Note(Operation::kInsert, 2);
  EXPECT_EQ(Resolve(1), "1,read,1 day");
  EXPECT_THAT(window_.WhyNot(*schema_), IsEmpty());
}

TEST_F(ChunkWindowTest, DropsARowThatChanged) {
  Note(Operation::kInsert, 1, Value::Text("a"));
  Note(Operation::kUpdate, 2, Value::Text("a"));
  Note(Operation::kDelete, 3);
  EXPECT_EQ(Resolve(1), "dropped");
  EXPECT_EQ(Resolve(2), "dropped");
  EXPECT_EQ(Resolve(3), "dropped");
}

TEST_F(ChunkWindowTest, LaysPartialChangesOverTheRow) {
  const Interval month{1, 0, 0};
  Note(Operation::kUpdate, 1, Value::Unchanged(), Value::OfInterval(&month));
  EXPECT_EQ(Resolve(1), "1,read,1 mon");
  Note(Operation::kUpdate, 1, Value::Text("later"), Value::Unchanged());
  EXPECT_EQ(Resolve(1), "1,later,1 mon");
  Note(Operation::kUpdate, 1, Value::Unchanged(), Value::Null());
  EXPECT_EQ(Resolve(1), "1,later,NULL");
}

TEST_F(ChunkWindowTest, KeepsWhatItLaysOverAfterTheSourceReusedItsBuffer) {
  std::string buffer = "from the stream";
  Note(Operation::kUpdate, 1, Value::Text(buffer), Value::Unchanged());
  buffer.assign(buffer.size(), '#');
  EXPECT_EQ(Resolve(1), "1,from the stream,1 day");
}

TEST_F(ChunkWindowTest, DropsARowThatBecameWholeAmongPartialChanges) {
  Note(Operation::kUpdate, 1, Value::Unchanged(), Value::Null());
  Note(Operation::kUpdate, 1, Value::Text("whole"), Value::Null());
  EXPECT_EQ(Resolve(1), "dropped");
  Note(Operation::kUpdate, 1, Value::Unchanged(), Value::Null());
  EXPECT_EQ(Resolve(1), "dropped");
  Note(Operation::kUpdate, 2, Value::Unchanged(), Value::Null());
  Note(Operation::kDelete, 2);
  EXPECT_EQ(Resolve(2), "dropped");
}

TEST_F(ChunkWindowTest, OtherTablesDoNotMatter) {
  Change change;
  change.operation = Operation::kTruncate;
  change.table = "public.other";
  window_.Note(change, "whatever");
  EXPECT_THAT(window_.WhyNot(*schema_), IsEmpty());
}

TEST_F(ChunkWindowTest, ATruncateSpoilsTheChunk) {
  Note(Operation::kTruncate, 1);
  EXPECT_THAT(window_.WhyNot(*schema_), HasSubstr("truncated"));
}

TEST_F(ChunkWindowTest, AnotherSchemaSpoilsTheChunk) {
  Note(Operation::kInsert, 1);
  EXPECT_THAT(window_.WhyNot(*Orders("varchar")), HasSubstr("columns"));
  EXPECT_THAT(window_.WhyNot(*schema_), IsEmpty());
  Note(Operation::kInsert, 2, Value::Null(), Value::Null(), Orders("varchar"));
  EXPECT_THAT(window_.WhyNot(*schema_), HasSubstr("columns"));
  EXPECT_THAT(window_.WhyNot(*Orders("varchar")), HasSubstr("columns"));
}

TEST_F(ChunkWindowTest, AChunkWithoutChangesMayHaveAnySchemaOfItsTable) {
  EXPECT_THAT(window_.WhyNot(*Orders("varchar")), IsEmpty());
  const SchemaPtr other =
      TableSchema::Make({"public", "other"}, {{"id", ValueType::kInt64, "int8", true}});
  EXPECT_THAT(window_.WhyNot(*other), HasSubstr("public.other"));
}

TEST_F(ChunkWindowTest, KeepsNoMoreThanItsLimit) {
  ChunkWindow small("run/2", "public.orders", 4096);
  Change change;
  change.operation = Operation::kInsert;
  change.table = "public.orders";
  change.schema = schema_.get();
  for (int64_t i = 0; i < 20; ++i) small.Note(change, Key(i));
  EXPECT_THAT(small.WhyNot(*schema_), IsEmpty());
  for (int64_t i = 0; i < 1000; ++i) small.Note(change, Key(i));
  EXPECT_THAT(small.WhyNot(*schema_), HasSubstr("too much"));
}

}  // namespace
}  // namespace tailwater
