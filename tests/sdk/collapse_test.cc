#include "tailwater/collapse.h"

#include <gmock/gmock.h>

#include "support/delivery_batch.h"
#include "support/short_values.h"
#include "support/topic_feeder.h"

namespace tailwater {
namespace {

using ::testing::ElementsAre;

class CollapserTest : public ::testing::Test {
 protected:
  std::span<const CollapsedChange> Collapse() { return collapser_.Collapse(batch_.Build()); }

  DeliveryBatchBuilder batch_;
  Collapser collapser_;
  SchemaPtr orders_ = TestSchema("orders", {"id*:int64", "a:text", "b:text"});
};

TEST_F(CollapserTest, KeepsTheLastChangePerKeyInOrderOfFirstAppearance) {
  batch_.Insert(orders_, 1, {Int(2), Text("x"), Text("y")})
      .Insert(orders_, 2, {Int(1), Text("x"), Text("y")})
      .Update(orders_, 3, {Int(2), Text("z"), Text("y")});
  const auto items = Collapse();
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].last->change->version, 3);
  EXPECT_EQ(items[1].last->change->version, 2);
  EXPECT_THAT(collapser_.item_of(), ElementsAre(0, 1, 0));
}

TEST_F(CollapserTest, LaysWhatWasSentOverWhatIsUnchanged) {
  batch_.Insert(orders_, 1, {Int(1), Text("a1"), Text("b1")})
      .Update(orders_, 2, {Int(1), Text("a2"), Value::Unchanged()})
      .Update(orders_, 3, {Int(1), Value::Unchanged(), Value::Null()});
  const auto items = Collapse();
  ASSERT_EQ(items.size(), 1u);
  EXPECT_THAT(items[0].after, ElementsAre(Int(1), Text("a2"), Value::Null()));
  EXPECT_TRUE(items[0].whole);
  EXPECT_FALSE(items[0].base_gone);
}

TEST_F(CollapserTest, LeavesUnchangedWhatNobodySent) {
  batch_.Update(orders_, 1, {Int(1), Text("a1"), Value::Unchanged()})
      .Update(orders_, 2, {Int(1), Text("a2"), Value::Unchanged()});
  const auto items = Collapse();
  EXPECT_FALSE(items[0].whole);
  EXPECT_TRUE(items[0].after[2].is_unchanged());
}

TEST_F(CollapserTest, NeverReachesAcrossADelete) {
  batch_.Insert(orders_, 1, {Int(1), Text("a1"), Text("b1")})
      .Delete(orders_, 2, {Int(1), Value::Omitted(), Value::Omitted()})
      .Update(orders_, 3, {Int(1), Text("a2"), Value::Unchanged()})
      .Update(orders_, 4, {Int(1), Text("a3"), Value::Unchanged()});
  const auto items = Collapse();
  ASSERT_EQ(items.size(), 1u);
  EXPECT_TRUE(items[0].base_gone);
  EXPECT_FALSE(items[0].whole);
  EXPECT_EQ(items[0].after[1], Text("a3"));
  EXPECT_TRUE(items[0].after[2].is_unchanged());
}

TEST_F(CollapserTest, EndsInTheDeleteIfThatCameLast) {
  batch_.Insert(orders_, 1, {Int(1), Text("a1"), Text("b1")})
      .Delete(orders_, 2, {Int(1), Value::Omitted(), Value::Omitted()});
  const auto items = Collapse();
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].last->change->operation, Operation::kDelete);
  EXPECT_TRUE(items[0].after.empty());
}

TEST_F(CollapserTest, FindsColumnsByNameWhenTheSchemaChangedMeanwhile) {
  const SchemaPtr moved = TestSchema("orders", {"id*:int64", "b:text", "c:text"});
  batch_.Insert(orders_, 1, {Int(1), Text("a1"), Text("b1")})
      .Update(moved, 2, {Int(1), Value::Unchanged(), Value::Unchanged()});
  const auto items = Collapse();
  EXPECT_EQ(items[0].after[1], Text("b1"));
  EXPECT_TRUE(items[0].after[2].is_unchanged());
}

TEST_F(CollapserTest, LeavesOutWhatIsOlderThanWhatItHas) {
  batch_.Insert(orders_, 5, {Int(1), Text("new"), Text("b")})
      .Insert(orders_, 3, {Int(1), Text("old"), Text("b")});
  const auto items = Collapse();
  EXPECT_EQ(items[0].after[1], Text("new"));
  EXPECT_THAT(collapser_.item_of(), ElementsAre(0, Collapser::kSuperseded));
  const Verdict verdict = Verdict::Applied();
  const auto verdicts = collapser_.Expand({&verdict, 1});
  EXPECT_EQ(verdicts[0].kind, Verdict::Kind::kApplied);
  EXPECT_EQ(verdicts[1].kind, Verdict::Kind::kSuperseded);
}

TEST_F(CollapserTest, KeepsKeylessRowsAndControlRecordsApart) {
  const SchemaPtr log = TestSchema("log", {"a:int64"});
  batch_.Insert(log, 1, {Int(1)})
      .Insert(log, 2, {Int(1)})
      .Add({.operation = Operation::kSchema, .schema = orders_.get(), .version = 3})
      .Add({.operation = Operation::kFrontier, .version = 4, .frontier = "0/1", .log_id = "l"});
  EXPECT_EQ(Collapse().size(), 4u);
}

TEST_F(CollapserTest, GivesTheSameAnswerForTheSameBatch) {
  batch_.Insert(orders_, 1, {Int(1), Text("a1"), Text("b1")})
      .Update(orders_, 2, {Int(1), Value::Unchanged(), Text("b2")});
  for (int i = 0; i < 3; ++i) {
    const auto items = Collapse();
    ASSERT_EQ(items.size(), 1u);
    EXPECT_THAT(items[0].after, ElementsAre(Int(1), Text("a1"), Text("b2")));
  }
}

}  // namespace
}  // namespace tailwater
