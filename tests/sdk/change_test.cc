#include "tailwater/change.h"

#include <gtest/gtest.h>

#include "tailwater/schema.h"

namespace tailwater {
namespace {

TEST(TableName, QuotesOnlyWhatItMust) {
  EXPECT_EQ((TableName{"public", "orders"}).ToString(), "public.orders");
  EXPECT_EQ((TableName{"public", "a.b"}).ToString(), "public.\"a.b\"");
  EXPECT_EQ((TableName{"my schema", "say \"hi\""}).ToString(), "\"my schema\".\"say \"\"hi\"\"\"");
  EXPECT_EQ((TableName{"public", "Größe"}).ToString(), "public.Größe");
  EXPECT_EQ((TableName{"", "t"}).ToString(), "t");
}

TEST(TableSchema, KnowsItsKeyInColumnOrder) {
  const SchemaPtr schema = TableSchema::Make(
      {"public", "t"},
      {{"a", ValueType::kText, "text", true}, {"b"}, {"c", ValueType::kInt64, "", true}});
  EXPECT_EQ(schema->key_columns(), (std::vector<uint32_t>{0, 2}));
  EXPECT_FALSE(schema->keyless());
  EXPECT_TRUE(TableSchema::Make({"public", "t"}, {{"a"}})->keyless());
}

TEST(TableSchema, FingerprintTellsEveryDifference) {
  const auto fingerprint = [](Column column) {
    return TableSchema::Make({"public", "t"}, {std::move(column)})->fingerprint();
  };
  const Column column{"a", ValueType::kText, "text", false, false};
  EXPECT_EQ(fingerprint(column), fingerprint(column));
  EXPECT_NE(fingerprint(column), fingerprint({"b", ValueType::kText, "text", false, false}));
  EXPECT_NE(fingerprint(column), fingerprint({"a", ValueType::kJson, "text", false, false}));
  EXPECT_NE(fingerprint(column), fingerprint({"a", ValueType::kText, "citext", false, false}));
  EXPECT_NE(fingerprint(column), fingerprint({"a", ValueType::kText, "text", true, false}));
  EXPECT_NE(fingerprint(column), fingerprint({"a", ValueType::kText, "text", false, true}));
}

TEST(Change, IdIsSourceEpochPositionOrdinalPart) {
  Change change;
  change.source = "shop";
  change.epoch = 25920000;
  change.position = "16/B374D848";
  change.ordinal = 12;
  change.part = 1;
  EXPECT_EQ(Id(change), "shop:25920000:16/B374D848:12:1");
  std::string out = "id=";
  AppendId(change, out);
  EXPECT_EQ(out, "id=shop:25920000:16/B374D848:12:1");
}

TEST(Change, OnlyControlRecordsAreCopiedToEveryPartition) {
  for (int number = 1; number <= 9; ++number) {
    const auto operation = static_cast<Operation>(number);
    EXPECT_NE(OperationName(operation), "unknown");
    EXPECT_EQ(IsControl(operation),
              operation == Operation::kTruncate || operation == Operation::kSchema ||
                  operation == Operation::kFrontier || operation == Operation::kSweep);
  }
}

TEST(Arena, AlignsAndNeverOverlaps) {
  Arena arena;
  std::vector<std::pair<char*, size_t>> blocks;
  for (size_t i = 0; i < 2000; ++i) {
    const size_t bytes = i * 37 % 900;
    const size_t alignment = size_t{1} << (i % 5);
    char* data = arena.Allocate(bytes, alignment);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % alignment, 0u);
    std::fill_n(data, bytes, static_cast<char>(i));
    blocks.emplace_back(data, bytes);
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    for (size_t at = 0; at < blocks[i].second; ++at) {
      ASSERT_EQ(blocks[i].first[at], static_cast<char>(i));
    }
  }
}

TEST(Arena, KeepsALittleMemoryOverClearAndGivesTheRestBack) {
  Arena arena;
  arena.Allocate(100);
  arena.Allocate(10 << 20);
  EXPECT_GE(arena.capacity_bytes(), size_t{10} << 20);
  arena.Clear();
  EXPECT_LE(arena.capacity_bytes(), size_t{1} << 20);
  EXPECT_GT(arena.capacity_bytes(), 0u);
  const size_t kept = arena.capacity_bytes();
  for (int i = 0; i < 100; ++i) {
    arena.Clear();
    arena.Allocate(1000);
  }
  EXPECT_EQ(arena.capacity_bytes(), kept);
}

TEST(Arena, MayBeUsedAfterItWasMovedFrom) {
  Arena first;
  char* data = first.Allocate(8, 1);
  std::copy_n("12345678", 8, data);
  Arena second = std::move(first);
  std::fill_n(first.Allocate(8, 1), 8, 'x');
  EXPECT_EQ(std::string(data, 8), "12345678");
  second = Arena();
  EXPECT_EQ(second.capacity_bytes(), 0u);
}

TEST(ChangeBatch, KeepsAnOwnerOnce) {
  auto owner = std::make_shared<int>(1);
  ChangeBatch batch;
  for (int i = 0; i < 10; ++i) batch.Keep(owner);
  EXPECT_EQ(owner.use_count(), 2);
  batch.Clear();
  EXPECT_EQ(owner.use_count(), 1);
}

TEST(ChangeBatch, NewRowsAreOmitted) {
  ChangeBatch batch;
  for (const Value& value : batch.NewRow(5)) EXPECT_TRUE(value.is_omitted());
  EXPECT_TRUE(batch.NewRow(0).empty());
}

}  // namespace
}  // namespace tailwater
