#include "pipeline/record_selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "config/sink_options.h"
#include "config/yaml.h"
#include "support/matchers.h"
#include "support/memory_topic.h"
#include "support/topic_feeder.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::StartsWith;

constexpr int64_t kNoRewind = std::numeric_limits<int64_t>::min();

class RecordSelectionTest : public ::testing::Test {
 protected:
  std::shared_ptr<const ReadBatch> Batch() {
    const auto reader = topic_.OpenReader();
    EXPECT_OK(reader);
    auto batch = (*reader)->Read(0, 0, 1 << 20, 0ms, {});
    EXPECT_OK(batch);
    return *batch;
  }

  void Append(Operation operation, SnapshotMark snapshot = SnapshotMark::kStreaming,
              std::string_view addressee = {}) {
    const std::vector<Value> row{Value::Int64(1), Value::Text("a")};
    Change change{.operation = operation,
                  .snapshot = snapshot,
                  .schema = orders_.get(),
                  .addressee = addressee};
    if (!IsControl(operation)) change.after = row;
    if (IsControl(operation)) {
      feeder_.Control(change);
    } else {
      feeder_.Append(change);
    }
  }

  // Of the whole topic: which offsets are for the sink "copy".
  std::vector<uint32_t> Select(const DeliveryRules& rules, int64_t replay_below = kNoRewind) {
    RecordSelection selection(rules, "copy");
    selection.set_takes_events(takes_events_);
    batch_ = Batch();
    const auto selected = selection.Select(*batch_, replay_below);
    EXPECT_OK(selected);
    if (!selected) return {};
    EXPECT_FALSE(selected->blocked.has_value());
    EXPECT_EQ(selected->next_offset, batch_->next_offset);
    filtered_ = selected->filtered;
    return {selected->records.begin(), selected->records.end()};
  }
  uint64_t Filtered(FilterReason reason) const { return filtered_[static_cast<size_t>(reason)]; }

  static DeliveryRules Rules(const std::string& section) {
    Problems problems;
    const auto node = ParseYaml(section, "shop.yaml", problems);
    DeliveryRules rules = ParseDeliveryRules(
        *node, TableSelection::Parse(node->Find("tables"), problems), {}, problems);
    for (const Problem& problem : problems.list()) ADD_FAILURE() << problem.ToString();
    return rules;
  }

  static TableSelection Tables(const std::string& pattern) {
    ConfigNode node;
    node.kind = ConfigNode::Kind::kList;
    node.items.push_back({.kind = ConfigNode::Kind::kScalar, .scalar = pattern});
    Problems problems;
    return TableSelection::Parse(&node, problems);
  }

  StubMemoryTopic topic_;
  TopicFeeder feeder_{topic_};
  SchemaPtr orders_ = TestSchema("orders", {"id*:int64", "note:text"});
  SchemaPtr users_ = TestSchema("users", {"id*:int64", "note:text"});
  std::shared_ptr<const ReadBatch> batch_;
  FilterCounts filtered_{};
  bool takes_events_ = false;
};

TEST_F(RecordSelectionTest, TakesItsTablesAndWhatIsForAllOrForIt) {
  feeder_.Insert(users_, {Value::Int64(1), Value::Text("a")});
  feeder_.Insert(orders_, {Value::Int64(1), Value::Text("a")});
  Append(Operation::kRead, SnapshotMark::kSnapshot, "other");
  Append(Operation::kRead, SnapshotMark::kSnapshot, "copy");
  feeder_.Frontier("0/10");
  EXPECT_THAT(Select({.tables = Tables("public.orders")}), ElementsAre(1, 3, 4));
  EXPECT_EQ(Filtered(FilterReason::kTable), 1u);
  EXPECT_EQ(Filtered(FilterReason::kAddressee), 1u);
}

TEST_F(RecordSelectionTest, LeavesOutSnapshotRowsAndTheSweepBehindThem) {
  Append(Operation::kInsert);
  Append(Operation::kRead, SnapshotMark::kSnapshot);
  Append(Operation::kRead, SnapshotMark::kLastOfTable);
  Append(Operation::kSweep);
  Append(Operation::kSchema);
  feeder_.Truncate(orders_);
  EXPECT_THAT(Select({.tables = Tables("*")}), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(Select({.tables = Tables("*"), .snapshot = false}), ElementsAre(0, 4, 5));
  EXPECT_EQ(Filtered(FilterReason::kSnapshot), 3u);
}

TEST_F(RecordSelectionTest, LeavesOutWhatLiesBelowTheMarkOfTheLastRewind) {
  Append(Operation::kInsert);
  feeder_.Frontier("0/10");
  Append(Operation::kSchema);
  feeder_.Truncate(orders_);
  Append(Operation::kUpdate);
  Append(Operation::kUpdate);
  EXPECT_THAT(Select({.tables = Tables("*")}, 5), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(Select({.tables = Tables("*"), .replay = false}, 5), ElementsAre(1, 2, 5));
  EXPECT_EQ(Filtered(FilterReason::kReplay), 3u);
  EXPECT_THAT(Select({.tables = Tables("*"), .replay = false}), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST_F(RecordSelectionTest, KeepsSweepsFromSinksThatTakeEvents) {
  takes_events_ = true;
  Append(Operation::kSweep);
  feeder_.Truncate(orders_);
  EXPECT_THAT(Select({.tables = Tables("*")}), ElementsAre(1));
  EXPECT_EQ(Filtered(FilterReason::kControl), 1u);
}

TEST_F(RecordSelectionTest, TakesWhatTheConditionOfItsEntryMatches) {
  feeder_.Insert(orders_, {Value::Int64(1), Value::Text("a")});
  feeder_.Insert(orders_, {Value::Int64(2), Value::Text("b")});
  feeder_.Insert(users_, {Value::Int64(1), Value::Text("b")});
  Append(Operation::kSchema);
  feeder_.Frontier("0/10");
  EXPECT_THAT(Select(Rules("tables: [{match: public.*, when: NEW.note = 'b'}]")),
              ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(Filtered(FilterReason::kWhen), 1u);
  EXPECT_THAT(Select(Rules("tables: [{match: public.*, when: NEW.note = 'b'}, public.users]")),
              ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Select(Rules("tables: [public.*, {match: public.users, when: NEW.id > 1}]")),
              ElementsAre(0, 1, 3, 4));
  EXPECT_EQ(Filtered(FilterReason::kWhen), 1u);
}

TEST_F(RecordSelectionTest, AsksAConditionAboutATruncateOnlyWhereItIsAnEvent) {
  feeder_.Truncate(orders_);
  feeder_.Truncate(users_);
  const DeliveryRules rules = Rules(
      "tables: [{match: public.users, when: op = 'truncate'}, "
      "{match: public.orders, when: op = 'insert'}]");
  EXPECT_THAT(Select(rules), ElementsAre(0, 1));
  takes_events_ = true;
  EXPECT_THAT(Select(rules), ElementsAre(1));
  EXPECT_EQ(Filtered(FilterReason::kWhen), 1u);
}

TEST_F(RecordSelectionTest, StopsInFrontOfAChangeThatItCannotJudge) {
  const std::vector<Value> row{Value::Int64(1), Value::Text("a")};
  const std::vector<Value> other{Value::Int64(1), Value::Text("b")};
  feeder_.Insert(users_, row);
  feeder_.Update(orders_, row, other);
  feeder_.Insert(orders_, row);
  feeder_.Update(orders_, row);  // the log did not bring the old row
  feeder_.Insert(users_, row);
  feeder_.Update(orders_, row, other);
  batch_ = Batch();
  const std::string entry = "{match: public.orders, when: OLD.note = 'b'";
  RecordSelection halting(Rules("tables: [" + entry + "}]"), "copy");
  for (int probe = 0; probe < 2; ++probe) {
    const auto selected = halting.Select(*batch_, kNoRewind);
    ASSERT_OK(selected);
    EXPECT_THAT(selected->records, ElementsAre(1));
    EXPECT_EQ(selected->next_offset, 3);
    ASSERT_TRUE(selected->blocked.has_value());
    EXPECT_EQ(selected->blocked->code, "condition_column_missing");
    EXPECT_EQ(selected->blocked->disposition, Disposition::kNeedsOperator);
    EXPECT_THAT(selected->blocked->message,
                StartsWith("shop.yaml:1:39: tables[0].when (change shop:1:0/1000:3:0): "));
    EXPECT_EQ(selected->filtered[static_cast<size_t>(FilterReason::kTable)], 1u);
    EXPECT_EQ(selected->filtered[static_cast<size_t>(FilterReason::kWhen)], 1u);
  }
  EXPECT_THAT(Select(Rules("tables: [" + entry + ", on_missing_before: skip}]")),
              ElementsAre(1, 5));
  EXPECT_EQ(Filtered(FilterReason::kTable), 2u);
  EXPECT_EQ(Filtered(FilterReason::kWhen), 2u);
}

TEST_F(RecordSelectionTest, RefusesARecordThatItCannotRead) {
  RecordSelection selection({.tables = Tables("*")}, "copy");
  ReadBatch batch;
  batch.records.push_back({.offset = 7, .value = "garbage"});
  batch.next_offset = 8;
  EXPECT_THAT(selection.Select(batch, kNoRewind), IsErrorWith("record_malformed"));
}

}  // namespace
}  // namespace tailwater
