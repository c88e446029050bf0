// A runner over a stub topic, driven step by step on the test's thread.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "pipeline/sink_runner.h"
#include "support/manual_clock.h"
#include "support/matchers.h"
#include "support/memory_topic.h"
#include "support/scripted_sink.h"
#include "support/stub_metrics.h"
#include "support/topic_feeder.h"

namespace tailwater {

class SinkRunnerTest : public ::testing::Test {
 protected:
  using StepResult = SinkRunner::StepResult;

  void Open(StubMemoryTopic::Options options = {}) {
    topic_ = std::make_unique<StubMemoryTopic>(options);
    feeder_ = std::make_unique<TopicFeeder>(*topic_);
  }

  std::unique_ptr<SinkRunner> Runner(bool transactional = false, StartSpec start = {},
                                     SinkRunnerOptions options = {},
                                     const std::string& tables = "*") {
    options.clock = &clock_;
    options.random = [] { return 0.0; };
    ConfigNode node;
    node.kind = ConfigNode::Kind::kList;
    node.items.push_back({.kind = ConfigNode::Kind::kScalar, .scalar = tables});
    Problems problems;
    TableSelection selection = TableSelection::Parse(&node, problems);
    EXPECT_TRUE(problems.empty());
    return std::make_unique<SinkRunner>(
        "pipe", "copy", *topic_,
        [this, transactional]() -> Result<std::unique_ptr<Sink>> {
          if (transactional) {
            return std::unique_ptr<Sink>(std::make_unique<ScriptedTransactionalSink>(target_));
          }
          return std::unique_ptr<Sink>(
              std::make_unique<ScriptedSink>(target_, wants_truncate_events_));
        },
        DeliveryRules{.tables = selection, .start = start}, metrics_, std::move(options));
  }

  // Steps until nothing moves any more.
  StepResult Settle(SinkRunner& runner) {
    StepResult result = StepResult::kProgress;
    for (int i = 0; i < 1000 && result == StepResult::kProgress; ++i) {
      result = runner.Step(std::chrono::milliseconds(0));
    }
    EXPECT_NE(result, StepResult::kProgress);
    return result;
  }

  Offsets Stored() { return topic_->PeekOffsets("copy")->offsets; }

  std::unique_ptr<StubMemoryTopic> topic_;
  std::unique_ptr<TopicFeeder> feeder_;
  ManualClock clock_;
  StubMetrics metrics_;
  ScriptedTarget target_;
  bool wants_truncate_events_ = false;
  SchemaPtr orders_ = TestSchema("orders", {"id*:int64", "note:text"});
  SchemaPtr users_ = TestSchema("users", {"id*:int64", "note:text"});
};

}  // namespace tailwater
