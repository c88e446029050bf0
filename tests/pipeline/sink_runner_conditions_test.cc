// A sink whose conditions choose among the changes of its tables.
#include "config/sink_options.h"
#include "config/yaml.h"
#include "pipeline/sink_runner_fixture.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class SinkConditionsTest : public SinkRunnerTest {
 protected:
  std::unique_ptr<SinkRunner> RunnerWith(const std::string& section, const SinkTraits& traits = {},
                                         const std::string& name = "copy") {
    SinkRunnerOptions options;
    options.clock = &clock_;
    options.random = [] { return 0.0; };
    Problems problems;
    const auto node = ParseYaml(section, "shop.yaml", problems);
    DeliveryRules rules = ParseDeliveryRules(
        *node, TableSelection::Parse(node->Find("tables"), problems), traits, problems);
    for (const Problem& problem : problems.list()) ADD_FAILURE() << problem.ToString();
    return std::make_unique<SinkRunner>(
        "pipe", name, *topic_,
        [this]() -> Result<std::unique_ptr<Sink>> {
          return std::unique_ptr<Sink>(
              std::make_unique<ScriptedSink>(target_, wants_truncate_events_));
        },
        rules, metrics_, std::move(options));
  }
};

constexpr char kOld[] = "tables: [{match: public.orders, when: op = 'insert' OR OLD.note = 'a'}]";

TEST_F(SinkConditionsTest, DeliversWhatMatchesAndMovesOverTheRest) {
  Open();
  feeder_->Insert(orders_, {Int(1), Text("a")});
  const int64_t mine = feeder_->Insert(orders_, {Int(2), Text("b")});
  feeder_->Insert(orders_, {Int(3), Text("c")});
  auto runner = RunnerWith("tables: [{match: public.orders, when: NEW.note = 'b'}]");
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(mine));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 3)));
  EXPECT_EQ(runner->Status().filtered, 2u);
}

TEST_F(SinkConditionsTest, WaitsInFrontOfAChangeThatItCannotJudge) {
  Open();
  const int64_t first = feeder_->Insert(orders_, {Int(1), Text("a")});
  const int64_t second = feeder_->Update(orders_, {Int(1), Text("b")}, {Int(1), Text("a")});
  feeder_->Update(orders_, {Int(1), Text("c")});  // the log did not bring the old row
  const int64_t last = feeder_->Insert(orders_, {Int(2), Text("a")});
  {
    auto runner = RunnerWith(kOld);
    for (int probe = 0; probe < 3; ++probe) {
      EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
      EXPECT_THAT(target_.Versions(), ElementsAre(first, second));
      EXPECT_THAT(Stored(), ElementsAre(Pair(0, 2)));
      const SinkStatus status = runner->Status();
      EXPECT_EQ(status.state, SinkState::kWaitingOperator);
      EXPECT_EQ(status.code, "condition_column_missing");
      EXPECT_THAT(status.message, HasSubstr("shop.yaml:1:39: tables[0].when (change "));
      EXPECT_EQ(status.applied, 2u);
      EXPECT_EQ(status.filtered, 0u);
      clock_.Advance(10min);
    }
  }
  // What a new configuration decides goes on from there.
  auto runner = RunnerWith(
      "tables: [{match: public.orders, when: op = 'insert' OR OLD.note = 'a', "
      "on_missing_before: skip}]");
  EXPECT_EQ(Settle(*runner), StepResult::kIdle);
  EXPECT_THAT(target_.Versions(), ElementsAre(first, second, last));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 4)));
  EXPECT_EQ(runner->Status().filtered, 1u);
}

TEST_F(SinkConditionsTest, DeliversWhatCameBeforeItThoughTheTargetIsDownAtFirst) {
  Open();
  const int64_t first = feeder_->Insert(orders_, {Int(1), Text("a")});
  feeder_->Update(orders_, {Int(1), Text("c")});
  target_.write_errors = {{Disposition::kRetry, "target_down", "down"}};
  auto runner = RunnerWith(kOld);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(runner->Status().code, "target_down");
  clock_.Advance(10min);
  EXPECT_EQ(Settle(*runner), StepResult::kWaiting);
  EXPECT_EQ(runner->Status().code, "condition_column_missing");
  EXPECT_THAT(target_.Versions(), ElementsAre(first));
  EXPECT_THAT(Stored(), ElementsAre(Pair(0, 1)));
}

TEST_F(SinkConditionsTest, ATriggerLeavesOutSnapshotRowsUnlessAsked) {
  Open();
  const std::vector<Value> row{Int(1), Text("a")};
  const int64_t copied = feeder_->Append({.operation = Operation::kRead,
                                          .snapshot = SnapshotMark::kSnapshot,
                                          .schema = orders_.get(),
                                          .after = row});
  const int64_t changed = feeder_->Insert(orders_, {Int(2), Text("a")});
  const SinkTraits trigger{.default_start = StartAt::kSnapshot, .trigger = true};
  Settle(*RunnerWith("tables: [public.orders]", trigger));
  EXPECT_THAT(target_.Versions(), ElementsAre(changed));
  target_.events.clear();
  Settle(*RunnerWith("{tables: [public.orders], snapshot: true}", trigger, "other"));
  EXPECT_THAT(target_.Versions(), ElementsAre(copied, changed));
}

}  // namespace
}  // namespace tailwater
