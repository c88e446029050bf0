#include "postgres/change_decoder.h"

#include <gtest/gtest.h>

#include <map>

#include "connectors/postgres/pgoutput_bytes.h"
#include "support/matchers.h"

namespace tailwater::postgres {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class FakeCatalog : public CatalogFacts {
 public:
  Result<RelationFacts> Relation(uint32_t oid) override {
    if (fail) return Error{Disposition::kRetry, "pg_connection_lost", "try again"};
    ++relation_calls;
    return relations[oid];
  }
  Result<TypeFacts> Type(uint32_t oid, int32_t) override {
    ++type_calls;
    return types[oid];
  }
  std::map<uint32_t, RelationFacts> relations;
  std::map<uint32_t, TypeFacts> types;
  bool fail = false;
  int relation_calls = 0, type_calls = 0;
};

class FakeReadBack : public ReadBack {
 public:
  Result<ReadBackAnswer> Read(const ReadBackRequest& request) override {
    xid = request.xid;
    key.clear();
    for (const KeyField& field : request.key) key.emplace_back(field.bytes);
    columns.assign(request.columns.begin(), request.columns.end());
    return answer;
  }
  ReadBackAnswer answer;
  uint32_t xid = 0;
  std::vector<std::string> key;
  std::vector<uint32_t> columns;
};

constexpr uint32_t kOrders = 1001, kHidden = 1002;

class ChangeDecoderTest : public testing::Test {
 protected:
  // orders(id bigint key, total numeric(12,2), note text)
  std::string Orders(char identity = 'd') {
    const bool full = identity == 'f';
    return RelationBytes(kOrders, "public", "orders", identity,
                         {{true, "id", 20}, {full, "total", 1700, 786438}, {full, "note", 25}});
  }
  Result<DecodedEvent> Decode(std::string bytes) {
    bytes_ = std::move(bytes);
    batch_.Clear();
    return decoder_.Decode(bytes_, batch_);
  }
  void Start(const std::string& relation) {
    ASSERT_OK(Decode(BeginBytes(0x100, 42)));
    ASSERT_OK(Decode(relation));
  }
  const Change& change(size_t i = 0) { return batch_.changes()[i]; }

  FakeCatalog catalog_;
  FakeReadBack read_back_;
  ChangeBatch batch_;
  std::string bytes_;
  ChangeDecoder decoder_{
      {.selects_table = [](const TableName& table) { return table.name != "hidden"; },
       .selects_message =
           [](std::string_view prefix) {
             return prefix == "app" || prefix == "tailwater.watermark";
           },
       .mark_table = {"public", "marks"}},
      catalog_,
      read_back_};
};

TEST_F(ChangeDecoderTest, ReportsTransactionBoundaries) {
  auto event = Decode(BeginBytes(0x16B374D848, 42));
  ASSERT_OK(event);
  EXPECT_EQ(event->kind, DecodedEvent::Kind::kBegin);
  EXPECT_EQ(event->begin.final_lsn.ToString(), "16/B374D848");
  EXPECT_TRUE(decoder_.in_transaction());
  event = Decode(CommitBytes(0x16B374D848, 0x16B374D900));
  ASSERT_OK(event);
  EXPECT_EQ(event->kind, DecodedEvent::Kind::kCommit);
  EXPECT_EQ(event->commit.end_lsn.ToString(), "16/B374D900");
  EXPECT_FALSE(decoder_.in_transaction());
}

TEST_F(ChangeDecoderTest, RefusesMessagesOutOfPlace) {
  const std::string row = InsertBytes(kOrders, {"1", "1", "x"});
  for (const std::string& bytes :
       {row, CommitBytes(1, 2), TruncateBytes(0, {kOrders}), LogicalBytes(true, 1, "app", "x"),
        std::string(Bytes().Char('O').Int<uint64_t>(3).CString("far"))}) {
    EXPECT_THAT(Decode(bytes), IsErrorWith("pg_message_out_of_place")) << bytes[0];
  }
  ASSERT_OK(Decode(BeginBytes(1, 2)));
  EXPECT_THAT(Decode(BeginBytes(3, 4)), IsErrorWith("pg_message_out_of_place"));
  EXPECT_THAT(Decode(LogicalBytes(false, 1, "app", "x")), IsErrorWith("pg_message_out_of_place"));
}

TEST_F(ChangeDecoderTest, StopsAtARelationThatWasNeverDescribed) {
  ASSERT_OK(Decode(BeginBytes(1, 2)));
  EXPECT_THAT(Decode(InsertBytes(5, {"1"})), IsErrorWith("pg_relation_unknown"));
  EXPECT_THAT(Decode(TruncateBytes(0, {5})), IsErrorWith("pg_relation_unknown"));
}

TEST_F(ChangeDecoderTest, StopsAtARowOfAnotherWidth) {
  Start(Orders());
  EXPECT_THAT(Decode(InsertBytes(kOrders, {"1", "1"})), IsErrorWith("pg_tuple_mismatch"));
  EXPECT_THAT(Decode(DeleteBytes(kOrders, 'K', {"1"})), IsErrorWith("pg_tuple_mismatch"));
  EXPECT_THAT(Decode(UpdateBytes(kOrders, 'K', {"1"}, {"1", "1", "x"})),
              IsErrorWith("pg_tuple_mismatch"));
}

TEST_F(ChangeDecoderTest, NamesThePlaceOfAMalformedValueButNeverTheValue) {
  Start(Orders());
  ASSERT_OK(Decode(InsertBytes(kOrders, {"1", "5.00", "x"})));
  const auto event = Decode(InsertBytes(kOrders, {"1", "s3cret", "x"}));
  ASSERT_THAT(event, IsErrorWith("pg_value_malformed"));
  EXPECT_THAT(event.error().message,
              AllOf(HasSubstr("public.orders.total"), HasSubstr("numeric(12,2)"),
                    HasSubstr("transaction 0/100 (xid 42), event 1"), Not(HasSubstr("s3cret"))));
}

TEST_F(ChangeDecoderTest, CountsEveryEventBeforeAnyFilter) {
  Start(Orders());
  ASSERT_OK(Decode(RelationBytes(kHidden, "public", "hidden", 'd', {{true, "id", 20}})));
  auto event = Decode(InsertBytes(kHidden, {"1"}));
  ASSERT_OK(event);
  EXPECT_EQ(event->kind, DecodedEvent::Kind::kNothing);
  ASSERT_OK(Decode(LogicalBytes(true, 1, "nobody", "x")));
  EXPECT_TRUE(batch_.changes().empty());
  ASSERT_OK(Decode(InsertBytes(kOrders, {"1", "1", "x"})));
  EXPECT_EQ(change().ordinal, 2u);
  ASSERT_OK(Decode(LogicalBytes(true, 1, "app", "hello")));
  EXPECT_EQ(change().ordinal, 3u);
  EXPECT_EQ(change().message_content, "hello");
  ASSERT_OK(Decode(TruncateBytes(0, {kHidden, kOrders})));
  EXPECT_EQ(change().ordinal, 4u);
  EXPECT_EQ(change().part, 1u);  // its place in the server's list
  ASSERT_OK(Decode(CommitBytes(0x100, 0x101)));
  Start(Orders());
  ASSERT_OK(Decode(InsertBytes(kOrders, {"1", "1", "x"})));
  EXPECT_EQ(change().ordinal, 0u);
}

TEST_F(ChangeDecoderTest, AsksNothingAboutTablesThatNobodySelected) {
  ASSERT_OK(Decode(RelationBytes(kHidden, "public", "hidden", 'd', {{true, "id", 99999}})));
  EXPECT_EQ(catalog_.relation_calls + catalog_.type_calls, 0);
}

TEST_F(ChangeDecoderTest, GivesMessagesOutsideOfTransactionsAloneWithTheirFrontier) {
  auto event = Decode(LogicalBytes(false, 0x500, "app", "hello"));
  ASSERT_OK(event);
  EXPECT_EQ(event->kind, DecodedEvent::Kind::kAlone);
  EXPECT_EQ(event->message_lsn.value, 0x500u);
  ASSERT_EQ(batch_.changes().size(), 1u);
  EXPECT_EQ(change().operation, Operation::kMessage);
  event = Decode(LogicalBytes(false, 0x600, "nobody", "hello"));
  ASSERT_OK(event);
  EXPECT_EQ(event->message_lsn.value, 0x600u);
  EXPECT_TRUE(batch_.changes().empty());
}

TEST_F(ChangeDecoderTest, ShowsItsOwnMarksAndNeverPublishesThem) {
  constexpr uint32_t kMarks = 1003;
  const std::string prefix = "tailwater.watermark";
  ASSERT_OK(Decode(BeginBytes(1, 2)));
  auto event = Decode(LogicalBytes(true, 1, prefix, "f00d/1/low"));
  ASSERT_OK(event);
  EXPECT_EQ(event->kind, DecodedEvent::Kind::kMark);
  EXPECT_EQ(event->mark, "f00d/1/low");
  EXPECT_TRUE(batch_.changes().empty());

  ASSERT_OK(Decode(
      RelationBytes(kMarks, "public", "marks", 'd', {{true, "reader", 23}, {false, "mark", 25}})));
  for (const std::string& row : {InsertBytes(kMarks, {"7", "f00d/2/low"}),
                                 UpdateBytes(kMarks, 'K', {"7", {}}, {"7", "f00d/2/low"})}) {
    event = Decode(row);
    ASSERT_OK(event);
    EXPECT_EQ(event->kind, DecodedEvent::Kind::kMark);
    EXPECT_EQ(event->mark, "f00d/2/low");
    EXPECT_TRUE(batch_.changes().empty());
  }
  event = Decode(DeleteBytes(kMarks, 'K', {"7", {}}));
  ASSERT_OK(event);
  EXPECT_EQ(event->kind, DecodedEvent::Kind::kNothing);
  EXPECT_EQ(decoder_.next_ordinal(), 4u);
  ASSERT_OK(Decode(CommitBytes(1, 2)));

  event = Decode(LogicalBytes(false, 0x500, prefix, "f00d/1/low"));
  ASSERT_OK(event);
  EXPECT_EQ(event->kind, DecodedEvent::Kind::kAlone);
  EXPECT_TRUE(batch_.changes().empty());

  ASSERT_OK(Decode(BeginBytes(3, 4)));
  decoder_.SkipTransaction();
  event = Decode(LogicalBytes(true, 1, prefix, "f00d/1/high"));
  ASSERT_OK(event);
  EXPECT_EQ(event->kind, DecodedEvent::Kind::kNothing);
}

TEST_F(ChangeDecoderTest, ASkippedTransactionStillTeachesSchemas) {
  ASSERT_OK(Decode(BeginBytes(1, 2)));
  decoder_.SkipTransaction();
  ASSERT_OK(Decode(Orders()));
  auto event = Decode(InsertBytes(kOrders, {"1", "not a number", "x"}));
  ASSERT_OK(event);
  EXPECT_EQ(event->kind, DecodedEvent::Kind::kNothing);
  event = Decode(CommitBytes(1, 2));
  ASSERT_OK(event);
  EXPECT_EQ(event->kind, DecodedEvent::Kind::kCommit);
  ASSERT_OK(Decode(BeginBytes(3, 4)));
  ASSERT_OK(Decode(InsertBytes(kOrders, {"1", "1", "x"})));
  EXPECT_EQ(batch_.changes().size(), 1u);
}

TEST_F(ChangeDecoderTest, AResetForgetsRelationsAndTheOpenTransaction) {
  Start(Orders());
  decoder_.Reset();
  EXPECT_FALSE(decoder_.in_transaction());
  ASSERT_OK(Decode(BeginBytes(1, 2)));
  EXPECT_THAT(Decode(InsertBytes(kOrders, {"1", "1", "x"})), IsErrorWith("pg_relation_unknown"));
}

TEST_F(ChangeDecoderTest, AnUnchangedRelationKeepsItsSchemaAndAChangedOneGetsANewOne) {
  Start(Orders());
  ASSERT_OK(Decode(InsertBytes(kOrders, {"1", "1", "x"})));
  const TableSchema* const first = change().schema;
  ASSERT_OK(Decode(Orders()));
  ASSERT_OK(Decode(InsertBytes(kOrders, {"1", "1", "x"})));
  EXPECT_EQ(change().schema, first);
  ASSERT_OK(Decode(RelationBytes(kOrders, "public", "orders", 'd', {{true, "id", 20}})));
  ASSERT_OK(Decode(InsertBytes(kOrders, {"1"})));
  EXPECT_NE(change().schema, first);
  EXPECT_EQ(change().schema->columns().size(), 1u);
}

TEST_F(ChangeDecoderTest, AChangeInTheBatchOutlivesItsReplacedSchema) {
  Start(Orders());
  const std::string row = InsertBytes(kOrders, {"1", "1", "x"});
  batch_.Clear();
  ASSERT_OK(decoder_.Decode(row, batch_));
  ASSERT_OK(decoder_.Decode(RelationBytes(kOrders, "s", "t", 'd', {{true, "id", 20}}), batch_));
  EXPECT_EQ(batch_.changes()[0].schema->table(), "public.orders");
}

TEST_F(ChangeDecoderTest, ReadsBackWhatAKeyChangeLeftOut) {
  Start(Orders());
  read_back_.answer.found = true;
  read_back_.answer.values = {std::nullopt, "from the table"};
  ASSERT_OK(Decode(UpdateBytes(kOrders, 'K', {"1", std::nullopt, std::nullopt},
                               {"2", kUnchangedColumn, kUnchangedColumn})));
  EXPECT_EQ(read_back_.xid, 42u);
  EXPECT_EQ(read_back_.key, std::vector<std::string>{"2"});
  EXPECT_EQ(read_back_.columns, (std::vector<uint32_t>{1, 2}));
  ASSERT_EQ(batch_.changes().size(), 2u);
  EXPECT_EQ(change(0).operation, Operation::kDelete);
  EXPECT_EQ(change(0).part, 0u);
  EXPECT_EQ(change(1).operation, Operation::kInsert);
  EXPECT_EQ(change(1).part, 1u);
  EXPECT_TRUE(change(1).after[1].is_null());
  EXPECT_EQ(change(1).after[2], Value::Text("from the table"));
}

TEST_F(ChangeDecoderTest, WhatIsGoneAtReadBackIsOmitted) {
  Start(Orders());
  const std::string bytes = UpdateBytes(kOrders, 'K', {"1", std::nullopt, std::nullopt},
                                        {"2", kUnchangedColumn, kUnchangedColumn});
  ASSERT_OK(Decode(bytes));  // the row
  EXPECT_TRUE(change(1).after[1].is_omitted());
  EXPECT_TRUE(change(1).after[2].is_omitted());
  read_back_.answer = {true, {std::nullopt, "kept"}, {true, false}};
  ASSERT_OK(Decode(bytes));  // a column
  EXPECT_TRUE(change(1).after[1].is_omitted());
  EXPECT_EQ(change(1).after[2], Value::Text("kept"));
  read_back_.answer = {true, {"text by now", "kept"}, {}};
  ASSERT_OK(Decode(bytes));  // its type
  EXPECT_TRUE(change(1).after[1].is_omitted());
}

TEST_F(ChangeDecoderTest, APlainUpdateLeavesUnchangedColumnsUnchanged) {
  Start(Orders());
  ASSERT_OK(Decode(UpdateBytes(kOrders, 0, {}, {"1", "2.00", kUnchangedColumn})));
  ASSERT_EQ(batch_.changes().size(), 1u);
  EXPECT_TRUE(change().after[2].is_unchanged());
  EXPECT_TRUE(change().before.empty());
}

TEST_F(ChangeDecoderTest, AnOldKeyThatIsTheSameIsAPlainUpdate) {
  Start(Orders());  // a toasted key, or a partition with another identity
  ASSERT_OK(Decode(UpdateBytes(kOrders, 'K', {"1", std::nullopt, std::nullopt},
                               {kUnchangedColumn, "2.00", kUnchangedColumn})));
  ASSERT_EQ(batch_.changes().size(), 1u);
  EXPECT_EQ(change().operation, Operation::kUpdate);
  EXPECT_EQ(change().after[0], Value::Int64(1));
  EXPECT_TRUE(change().after[2].is_unchanged());
  EXPECT_TRUE(change().before.empty());
}

TEST_F(ChangeDecoderTest, StopsAtADeleteWithoutKey) {
  Start(Orders());
  EXPECT_THAT(Decode(DeleteBytes(kOrders, 'K', {std::nullopt, "1", "x"})),
              IsErrorWith("pg_key_missing"));
  ASSERT_OK(Decode(RelationBytes(kOrders, "public", "orders", 'i', {{false, "id", 20}})));
  EXPECT_THAT(Decode(DeleteBytes(kOrders, 'K', {"1"})), IsErrorWith("pg_key_missing"));
}

TEST_F(ChangeDecoderTest, UnderFullTheCatalogTellsTheKeyAndARenamedOneIsNone) {
  catalog_.relations[kOrders] = {.found = true, .primary_key = {"id"}};
  Start(Orders('f'));
  ASSERT_OK(Decode(InsertBytes(kOrders, {"1", "1", "x"})));
  EXPECT_EQ(change().schema->key_columns(), std::vector<uint32_t>{0});
  catalog_.relations[kOrders] = {.found = true, .primary_key = {"id", "renamed"}};
  ASSERT_OK(Decode(Orders('f')));
  ASSERT_OK(Decode(InsertBytes(kOrders, {"1", "1", "x"})));
  EXPECT_TRUE(change().schema->keyless());
}

TEST_F(ChangeDecoderTest, MarksGeneratedColumns) {
  catalog_.relations[kOrders] = {.found = true, .generated_columns = {"total"}};
  Start(Orders());
  ASSERT_OK(Decode(InsertBytes(kOrders, {"1", "1", "x"})));
  EXPECT_TRUE(change().schema->columns()[1].generated);
  EXPECT_FALSE(change().schema->columns()[0].generated);
}

TEST_F(ChangeDecoderTest, ACatalogErrorIsReturnedAsItIs) {
  catalog_.fail = true;
  ASSERT_OK(Decode(BeginBytes(1, 2)));
  const auto event = Decode(Orders());
  ASSERT_THAT(event, IsErrorWith("pg_connection_lost"));
  EXPECT_EQ(event.error().disposition, Disposition::kRetry);
  // Nothing of it is remembered: the row is refused until the relation comes again.
  EXPECT_THAT(Decode(InsertBytes(kOrders, {"1", "1", "x"})), IsErrorWith("pg_relation_unknown"));
}

TEST_F(ChangeDecoderTest, ATypeThatIsGoneStaysTextUnderItsStreamedName) {
  ASSERT_OK(Decode(Bytes().Char('Y').Int<uint32_t>(50000).CString("Odd").CString("mood")));
  Start(RelationBytes(kOrders, "public", "orders", 'd', {{true, "id", 20}, {false, "m", 50000}}));
  ASSERT_OK(Decode(InsertBytes(kOrders, {"1", "sad"})));
  EXPECT_EQ(change().after[1], Value::Other("sad"));
  EXPECT_EQ(change().schema->columns()[1].type_name, "\"Odd\".mood");
}

TEST_F(ChangeDecoderTest, ATypeMessageRenewsWhatIsKnownOfTheType) {
  const std::string type = Bytes().Char('Y').Int<uint32_t>(50000).CString("public").CString("mood");
  const std::string relation =
      RelationBytes(kOrders, "public", "orders", 'd', {{true, "id", 20}, {false, "m", 50000}});
  catalog_.types[50000] = {.found = true, .kind = TypeFacts::Kind::kEnum, .name = "public.mood"};
  ASSERT_OK(Decode(type));
  Start(relation);
  ASSERT_OK(Decode(relation));
  EXPECT_EQ(catalog_.type_calls, 1);
  catalog_.types[50000].name = "public.temper";
  ASSERT_OK(Decode(type));
  ASSERT_OK(Decode(relation));
  ASSERT_OK(Decode(InsertBytes(kOrders, {"1", "sad"})));
  EXPECT_EQ(change().schema->columns()[1].type_name, "public.temper");
  EXPECT_EQ(change().after[1], Value::Enum("sad"));
}

}  // namespace
}  // namespace tailwater::postgres
