#include "cli/reload_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/text.h"

namespace tailwater {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Kind = ReloadStep::Kind;

constexpr const char* kKinds[] = {"remove", "remove sink", "replace sink", "add sink",
                                  "add",    "applied",     "rejected"};

std::vector<std::string> Plan(const Config& running, const Config& next) {
  std::vector<std::string> lines;
  for (const ReloadStep& step : PlanReload(running, next)) {
    lines.push_back(fmt::format("{}: {}{}{}{}", kKinds[static_cast<size_t>(step.kind)], step.what,
                                step.where.line > 0 ? " at " + step.where.ToString() : "",
                                step.message.empty() ? "" : ": ", step.message));
  }
  return lines;
}

// "name=hash" each.
PipelineConfig PipelineOf(const std::string& name, const std::vector<std::string>& sinks,
                          const std::vector<std::string>& sources = {"db=1"}) {
  PipelineConfig pipeline;
  pipeline.name = name;
  pipeline.location = {name + ".yaml", 1, 1};
  const auto add = [&](auto& parts, const std::vector<std::string>& described, int line) {
    for (const std::string& part : described) {
      auto& made = parts.emplace_back();
      made.name = part.substr(0, part.find('='));
      made.hash = part.substr(part.find('=') + 1);
      made.location = {name + ".yaml", line++, 3};
    }
  };
  add(pipeline.sources, sources, 4);
  add(pipeline.sinks, sinks, 20);
  pipeline.topic.hash = "1";
  pipeline.topic.location = {name + ".yaml", 10, 3};
  return pipeline;
}

TEST(ReloadPlan, WhatGoesGoesFirst) {
  Config running;
  running.pipelines = {PipelineOf("gone", {"a=1"}), PipelineOf("shop", {"copy=1", "old=1"})};
  Config next;
  next.pipelines = {PipelineOf("extra", {"a=1"}), PipelineOf("shop", {"copy=1", "search=1"})};
  EXPECT_THAT(Plan(running, next),
              ElementsAre("remove: pipeline gone", "remove sink: sink shop/old",
                          "add sink: sink shop/search at shop.yaml:21:3",
                          "add: pipeline extra at extra.yaml:1:1"));
}

TEST(ReloadPlan, ASinkWhoseOptionsDifferIsReplaced) {
  Config running;
  running.pipelines = {PipelineOf("shop", {"copy=1", "other=1"})};
  Config next;
  next.pipelines = {PipelineOf("shop", {"copy=2", "other=1"})};
  EXPECT_THAT(Plan(running, next), ElementsAre("replace sink: sink shop/copy at shop.yaml:20:3"));
}

TEST(ReloadPlan, SourcesAndTopicNeedARestartAndSinksDoNotWaitForThat) {
  static const SourceType kOther{};
  Config running;
  running.pipelines = {PipelineOf("shop", {"copy=1"}, {"changed=1", "other_type=1", "gone=1"})};
  Config next;
  next.pipelines = {
      PipelineOf("shop", {"copy=1", "more=1"}, {"changed=2", "other_type=1", "new=1"})};
  next.pipelines[0].sources[1].type = &kOther;
  next.pipelines[0].topic.hash = "2";
  EXPECT_THAT(
      Plan(running, next),
      ElementsAre(
          "rejected: source shop/gone at shop.yaml:1:1: it is no longer declared: needs a "
          "restart, then what it owns is an orphan",
          "rejected: source shop/changed at shop.yaml:4:3: its options differ: needs a "
          "restart",
          "rejected: source shop/other_type at shop.yaml:5:3: its type differs: needs a new "
          "pipeline, or a source of another name",
          "rejected: source shop/new at shop.yaml:6:3: a new source: needs a restart",
          "rejected: topic of pipeline shop at shop.yaml:10:3: its options differ: needs a "
          "restart",
          "add sink: sink shop/more at shop.yaml:21:3"));
}

TEST(ReloadPlan, AnotherTopicNeedsANewPipeline) {
  Config running;
  running.pipelines = {PipelineOf("shop", {})};
  Config next = running;
  next.pipelines[0].topic.hash = "2";
  next.pipelines[0].topic.path = "/elsewhere";
  const auto steps = PlanReload(running, next);
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0].kind, Kind::kRejected);
  EXPECT_THAT(steps[0].message, ::testing::HasSubstr("needs a new pipeline"));
}

TEST(ReloadPlan, WhatWasRejectedIsRejectedAgain) {
  Config running;
  running.pipelines = {PipelineOf("shop", {"copy=1"})};
  Config next;
  next.pipelines = {PipelineOf("shop", {"copy=2"}, {"db=2"})};
  Config merged;
  merged.pipelines = {MergeReloaded(running.pipelines[0], next.pipelines[0])};
  EXPECT_THAT(Plan(merged, next), ElementsAre("rejected: source shop/db at shop.yaml:4:3: its "
                                              "options differ: needs a restart"));
}

TEST(ReloadPlan, TheSameFilesChangeNothing) {
  Config running;
  running.pipelines = {PipelineOf("shop", {"copy=1"})};
  EXPECT_THAT(Plan(running, running), IsEmpty());
}

TEST(ReloadPlan, SaysWhichDaemonSettingsNeedARestart) {
  Config next;
  next.daemon.listen = "127.0.0.1:1";
  next.daemon.log_level = LogLevel::kDebug;
  EXPECT_THAT(Plan(Config(), next),
              ElementsAre("rejected: listen: needs a restart", "applied: log_level"));
  Config other;
  other.daemon.hash = "the token differs";
  EXPECT_THAT(Plan(Config(), other),
              ElementsAre("rejected: settings of tailwater.yaml: needs a restart"));
}

}  // namespace
}  // namespace tailwater
