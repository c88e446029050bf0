#include "pipeline/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "monitor/status.h"
#include "pipeline/catch_up.h"
#include "support/matchers.h"
#include "support/memory_topic.h"
#include "support/scripted_sink.h"
#include "support/scripted_source.h"
#include "support/temporary_folder.h"
#include "support/topic_feeder.h"

namespace tailwater {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

// Looks at the scripted server: its end of log is what the test says.
class ScriptedTools final : public SourceTools {
 public:
  ScriptedTools(const Position& end, const Result<std::vector<TableDescription>>& tables)
      : end_(end), tables_(tables) {}
  Result<std::vector<TableDescription>> DescribeTables() override { return tables_; }
  Result<LogHealth> Watch() override {
    LogHealth health;
    health.state = "reserved";
    health.server_end = end_;
    return health;
  }
  Result<Position> LogEnd() override { return end_; }
  Result<bool> HasReached(const Position& frontier, const Position& target) override {
    return Number(frontier) >= Number(target);
  }
  Result<std::vector<Finding>> Check() override { return std::vector<Finding>(); }
  Result<std::vector<OwnedObject>> ListOwned() override { return std::vector<OwnedObject>(); }
  Status Drop(const OwnedObject&) override { return {}; }

 private:
  static int Number(const Position& position) {
    return std::stoi(position.text.substr(position.text.find('/') + 1));
  }
  const Position end_;
  const Result<std::vector<TableDescription>> tables_;
};

struct NoConfig {};

class PipelineTest : public ::testing::Test {
 protected:
  PipelineTest() {
    registry_.AddSource<NoConfig>(
        {.type = "scripted",
         .summary = "A scripted source.",
         .options = {},
         .validate = {},
         .create = [this](const NoConfig&, SourceContext) -> Result<std::unique_ptr<Source>> {
           return server_.Connect();
         },
         .tools = [this](const NoConfig&, SourceContext) -> Result<std::unique_ptr<SourceTools>> {
           return std::unique_ptr<SourceTools>(std::make_unique<ScriptedTools>(log_end_, tables_));
         }});
    AddSinkType("good", good_);
    AddSinkType("bad", bad_);
    config_.name = "shop";
    config_.topic.path = folder_ / "topic";
    config_.sources.push_back(
        {"shop", registry_.FindSource("scripted"), std::make_shared<NoConfig>(), AllTables(),
         SnapshotOptions{.mode = SnapshotMode::kNever}, GapPolicy::kHalt, Location()});
    AddSink("copy", "good");
    options_.capture.backoff = {
        .initial = milliseconds(1), .max = milliseconds(10), .operator_probe = milliseconds(20)};
    options_.capture.idle_advance_interval = milliseconds(5);
    options_.sinks.backoff = options_.capture.backoff;
  }

  void AddSinkType(const std::string& type, ScriptedTarget& target,
                   const std::vector<ColumnUse>& uses = {}) {
    registry_.AddSink<NoConfig, NoTableOptions>(
        {.type = type,
         .summary = "A scripted sink.",
         .options = {},
         .table_options = {},
         .validate = {},
         .column_uses = [uses](const NoConfig&, const TableRules<NoTableOptions>&) { return uses; },
         .create = [&target](const NoConfig&, TableRules<NoTableOptions>,
                             SinkContext) -> Result<std::unique_ptr<Sink>> {
           return std::unique_ptr<Sink>(std::make_unique<ScriptedSink>(target));
         }});
  }
  void AddSink(const std::string& name, const std::string& type) {
    Problems problems;
    const SinkType* found = registry_.FindSink(type);
    ConfigNode section;
    section.kind = ConfigNode::Kind::kMap;
    config_.sinks.push_back({name, found, found->parse(section, problems),
                             DeliveryRules{.tables = AllTables()}, Location()});
    ASSERT_TRUE(problems.empty());
  }

  std::unique_ptr<Pipeline> Make() {
    auto topic = std::make_unique<StubMemoryTopic>(
        StubMemoryTopic::Options{.completion = StubMemoryTopic::Completion::kThread});
    topic_ = topic.get();
    return std::make_unique<Pipeline>(config_, options_, std::move(topic), metrics_, clock_);
  }

  // What CatchUp says in the end.
  Status CatchUpWith(Pipeline& pipeline) {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Status> outcome;
    CatchUp catch_up(pipeline, {.poll_interval = milliseconds(1)});
    catch_up.Start([&](Status status) {
      const std::lock_guard lock(mutex);
      outcome = std::move(status);
      changed.notify_all();
    });
    std::unique_lock lock(mutex);
    if (!changed.wait_for(lock, seconds(30), [&] { return outcome.has_value(); }))
      return Error{Disposition::kFatal, "test_timeout", "still waiting"};
    return *outcome;
  }

  static TableSelection AllTables() {
    Problems problems;
    return TableSelection::Parse(nullptr, problems);
  }
  template <class Condition>
  static bool WaitFor(Condition holds) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(30);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }
  SinkStatus SinkOf(Pipeline& pipeline, size_t index) {
    return pipeline.GetStatus().sinks[index].status;
  }
  static bool Ready(Pipeline& pipeline) { return IsReady(CheckReadiness(pipeline.GetStatus())); }

  TemporaryFolder folder_;
  SystemClock clock_;
  MetricsRegistry metrics_;
  Registry registry_;
  ScriptedServer server_;
  Position log_end_{"0/1"};
  Result<std::vector<TableDescription>> tables_ = std::vector<TableDescription>();
  ScriptedTarget good_;
  ScriptedTarget bad_;
  PipelineConfig config_;
  PipelineOptions options_;
  StubMemoryTopic* topic_ = nullptr;
};

TEST_F(PipelineTest, CarriesEveryChangeFromSourceToSink) {
  server_.CommitIds(0, 3);
  const auto pipeline = Make();
  pipeline->Start();
  EXPECT_OK(CatchUpWith(*pipeline));
  pipeline->Stop(seconds(10));
  EXPECT_EQ(good_.events.size(), 4u);  // the schema and three rows
}

TEST_F(PipelineTest, CatchesUpAgainWithoutAnotherChange) {
  server_.CommitIds(0, 3);
  const auto pipeline = Make();
  pipeline->Start();
  ASSERT_OK(CatchUpWith(*pipeline));
  EXPECT_OK(CatchUpWith(*pipeline));
}

TEST_F(PipelineTest, AHaltedSinkStopsNoOtherOne) {
  AddSink("broken", "bad");
  bad_.throws = true;
  server_.CommitIds(0, 3);
  const auto pipeline = Make();
  pipeline->Start();
  const Status outcome = CatchUpWith(*pipeline);
  EXPECT_THAT(outcome, IsErrorWith("component_halted"));
  EXPECT_THAT(outcome.error().message, HasSubstr("sink broken"));
  server_.CommitIds(3, 1);
  ASSERT_TRUE(WaitFor([&] { return SinkOf(*pipeline, 0).frontiers["shop"].position == "0/2"; }));
  EXPECT_EQ(SinkOf(*pipeline, 1).state, SinkState::kHalted);
  pipeline->Stop(seconds(10));
  EXPECT_EQ(good_.events.size(), 5u);
}

TEST_F(PipelineTest, CatchingUpEndsWithWhatTheSourceNeeds) {
  server_.Refuse(Error{Disposition::kNeedsOperator, "login_failed", "wrong password"});
  const auto pipeline = Make();
  pipeline->Start();
  const Status outcome = CatchUpWith(*pipeline);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().disposition, Disposition::kNeedsOperator);
  EXPECT_THAT(outcome.error().message, HasSubstr("login_failed: wrong password"));
}

TEST_F(PipelineTest, CatchingUpEndsWithAGap) {
  server_.Refuse(Error{Disposition::kGap, "slot_missing", "the slot is gone"});
  const auto pipeline = Make();
  pipeline->Start();
  const Status outcome = CatchUpWith(*pipeline);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().disposition, Disposition::kGap);
}

TEST_F(PipelineTest, CatchingUpOutlastsAnUnreachableServer) {
  server_.CommitIds(0, 1);
  server_.Refuse(Error{Disposition::kRetry, "connection_refused", "no server there"});
  const auto pipeline = Make();
  pipeline->Start();
  ASSERT_TRUE(WaitFor(
      [&] { return pipeline->GetStatus().capture->sources[0].code == "connection_refused"; }));
  server_.Refuse(std::nullopt);
  EXPECT_OK(CatchUpWith(*pipeline));
}

TEST_F(PipelineTest, OneHalfRunsAlone) {
  options_.half = PipelineHalf::kCapture;
  server_.CommitIds(0, 3);
  const auto pipeline = Make();
  pipeline->Start();
  EXPECT_OK(CatchUpWith(*pipeline));
  EXPECT_TRUE(pipeline->GetStatus().sinks.empty());
  EXPECT_TRUE(good_.events.empty());
}

TEST_F(PipelineTest, ADeliveringHalfWaitsForALog) {
  options_.half = PipelineHalf::kDeliver;
  const auto pipeline = Make();
  pipeline->Start();
  EXPECT_FALSE(pipeline->GetStatus().capture);
  EXPECT_TRUE(pipeline->GetStatus().logs.empty());
}

TEST_F(PipelineTest, SinksComeAndGoWhileTheRestRuns) {
  server_.CommitIds(0, 3);
  const auto pipeline = Make();
  pipeline->Start();
  ASSERT_OK(CatchUpWith(*pipeline));
  AddSink("late", "bad");
  pipeline->AddSink(config_.sinks.back());
  ASSERT_OK(CatchUpWith(*pipeline));
  EXPECT_EQ(bad_.events.size(), 4u) << "it begins where `start:` says";
  const auto late = pipeline->FindSink("late");
  pipeline->ReplaceSink(config_.sinks.back());
  server_.CommitIds(3, 1);
  log_end_ = {"0/2"};
  ASSERT_OK(CatchUpWith(*pipeline));
  EXPECT_EQ(bad_.events.size(), 5u) << "it went on where it was";
  EXPECT_EQ(late->runner->Status().state, SinkState::kStopped) << "who still holds it may look";
  pipeline->PublishMetrics();
  EXPECT_THAT(metrics_.Expose(), HasSubstr("sink=\"late\""));
  pipeline->RemoveSink("late");
  pipeline->PublishMetrics();
  EXPECT_THAT(metrics_.Expose(), ::testing::Not(HasSubstr("sink=\"late\"")));
  EXPECT_EQ(pipeline->GetStatus().sinks.size(), 1u);
  EXPECT_THAT(pipeline->OrphanSinks(), ::testing::ElementsAre("late"));
  server_.CommitIds(4, 1);
  log_end_ = {"0/3"};
  ASSERT_OK(CatchUpWith(*pipeline));
  pipeline->Stop(seconds(10));
  EXPECT_EQ(good_.events.size(), 6u) << "the other one did not notice";
  EXPECT_EQ(good_.opens, 1);
  EXPECT_EQ(bad_.events.size(), 5u);
}

TEST_F(PipelineTest, CatchingUpEndsWithAPausedSink) {
  server_.CommitIds(0, 1);
  const auto pipeline = Make();
  pipeline->Start();
  ASSERT_OK(CatchUpWith(*pipeline));
  ASSERT_OK(pipeline->FindSink("copy")->runner->Pause(seconds(30)));
  ASSERT_TRUE(WaitFor([&] { return SinkOf(*pipeline, 0).state == SinkState::kPaused; }));
  EXPECT_TRUE(Ready(*pipeline)) << "a person wanted it so";
  const Status outcome = CatchUpWith(*pipeline);
  EXPECT_THAT(outcome, IsErrorWith("component_halted"));
  EXPECT_THAT(outcome.error().message, HasSubstr("sink_paused"));
}

TEST_F(PipelineTest, KnowsTheTablesWithoutAKey) {
  tables_ =
      std::vector<TableDescription>{{TestSchema("orders", {"id*:int64", "note:text"}), false, ""},
                                    {TestSchema("events", {"note:text"}), false, ""}};
  const auto pipeline = Make();
  const auto keyless = pipeline->KeylessTables(config_.sinks[0]);
  ASSERT_OK(keyless);
  EXPECT_THAT(*keyless, ::testing::ElementsAre("shop:public.events"));
  tables_ = Error{Disposition::kRetry, "connection_refused", "no server there"};
  EXPECT_THAT(Make()->KeylessTables(config_.sinks[0]), IsErrorWith("tables_unknown"));
}

TEST_F(PipelineTest, StopsTwiceAndBeforeStart) {
  const auto pipeline = Make();
  pipeline->Stop(seconds(1));
  pipeline->Stop(seconds(1));
  const auto second = Make();
  second->Start();
  second->Stop(seconds(10));
  second->Stop(seconds(0));
  EXPECT_EQ(second->GetStatus().capture->phase, CapturePhase::kStopped);
}

TEST_F(PipelineTest, RefusesASinkWhoseColumnsTheTablesLack) {
  AddSinkType("mapped", good_,
              {{.column = "totl", .location = {"shop.yaml", 7, 9}, .path = "sinks.mapped.id"},
               {.before = true,
                .column = "note",
                .location = {"shop.yaml", 8, 9},
                .path = "sinks.mapped.was"}});
  AddSink("mapped", "mapped");
  tables_ = std::vector<TableDescription>{
      {TestSchema("orders", {"id*:int64", "total:int64", "note:int64"}), false, "ALTER TABLE …;"}};
  const auto pipeline = Make();
  const Status refused = pipeline->CheckSinkRules(pipeline->sinks()[1]->config);
  ASSERT_THAT(refused, IsErrorWith("sink_rules_do_not_fit"));
  EXPECT_EQ(refused.error().disposition, Disposition::kNeedsOperator);
  EXPECT_EQ(refused.error().message,
            "what the sink says of columns does not fit the tables: (1) shop.yaml:7:9: "
            "sinks.mapped.id: public.orders has no column 'totl' (did you mean 'total'?) (2) "
            "shop.yaml:8:9: sinks.mapped.was: reads OLD.note, but the log carries only the key of "
            "an old row of public.orders: ALTER TABLE …;");
  EXPECT_OK(pipeline->CheckSinkRules(pipeline->sinks()[0]->config));  // it names no columns
}

TEST_F(PipelineTest, ASinkThatDoesNotFitTheTablesWaitsForAnOperatorBesideTheOthers) {
  AddSinkType("mapped", bad_, {{.column = "totl", .path = "sinks.mapped.id"}});
  AddSink("mapped", "mapped");
  tables_ =
      std::vector<TableDescription>{{TestSchema("orders", {"id*:int64", "total:int64"}), true, ""}};
  server_.CommitIds(0, 3);
  const auto pipeline = Make();
  pipeline->Start();
  ASSERT_TRUE(WaitFor([&] { return SinkOf(*pipeline, 0).frontiers["shop"].position == "0/1"; }));
  ASSERT_TRUE(WaitFor([&] { return SinkOf(*pipeline, 1).state == SinkState::kWaitingOperator; }));
  EXPECT_EQ(SinkOf(*pipeline, 1).code, "sink_rules_do_not_fit");
  pipeline->Stop(seconds(0));
  EXPECT_EQ(bad_.events.size(), 0u);
}

TEST_F(PipelineTest, AsksNoMoreOfASinkWhileTheServerCannotBeAsked) {
  AddSinkType("mapped", good_, {{.column = "totl"}});
  AddSink("mapped", "mapped");
  tables_ = Error{Disposition::kRetry, "connection_refused", "no server there"};
  EXPECT_OK(Make()->CheckSinkRules(config_.sinks[1]));
}

TEST_F(PipelineTest, IsReadyOnceEveryStageWorks) {
  const auto pipeline = Make();
  EXPECT_FALSE(Ready(*pipeline));
  pipeline->Start();
  ASSERT_TRUE(WaitFor([&] { return Ready(*pipeline); }));
  server_.Refuse(Error{Disposition::kRetry, "connection_refused", "no server there"});
  server_.Interrupt();
  ASSERT_TRUE(WaitFor([&] { return !Ready(*pipeline); }));
}

TEST_F(PipelineTest, StatusIsOneDocument) {
  server_.CommitIds(0, 3);
  const auto pipeline = Make();
  pipeline->Start();
  ASSERT_OK(CatchUpWith(*pipeline));
  const auto json = nlohmann::json::parse(
      StatusJson({1'700'000'000'000'000, 1'700'000'002'500'000, {pipeline->GetStatus()}}));
  EXPECT_EQ(json["started_at"], "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(json["uptime_seconds"], 2.5);
  const auto& shop = json["pipelines"][0];
  EXPECT_EQ(shop["name"], "shop");
  EXPECT_GT(shop["topic"]["partitions"][0]["end"], 0);
  const auto& source = shop["sources"][0];
  EXPECT_EQ(source["state"], "streaming");
  EXPECT_EQ(source["frontier"], "0/1");
  EXPECT_EQ(source["events"]["insert"], 3);
  EXPECT_EQ(source["snapshots"]["tables_waiting"], 0);
  EXPECT_FALSE(source.contains("lag_bytes"));  // this server does not know
  const auto& sink = shop["sinks"][0];
  EXPECT_EQ(sink["state"], "running");
  EXPECT_EQ(sink["frontiers"]["shop"]["position"], "0/1");
  EXPECT_EQ(sink["dead_letters"]["total"], 0);
}

}  // namespace
}  // namespace tailwater
