// A runner over a stub topic, driven step by step on the test's thread.
#pragma once

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/sink_runner.h"
#include "support/manual_clock.h"
#include "support/matchers.h"
#include "support/memory_topic.h"
#include "support/scripted_concurrent_sink.h"
#include "support/scripted_sink.h"
#include "support/short_values.h"
#include "support/stub_metrics.h"
#include "support/text.h"
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
          if (concurrent_) {
            return std::unique_ptr<Sink>(
                std::make_unique<ScriptedConcurrentSink>(target_, flights_));
          }
          return std::unique_ptr<Sink>(
              std::make_unique<ScriptedSink>(target_, wants_truncate_events_));
        },
        Rules(selection, start), metrics_, std::move(options));
  }
  DeliveryRules Rules(const TableSelection& selection, StartSpec start) {
    DeliveryRules rules = rules_;
    rules.tables = selection;
    rules.start = start;
    return rules;
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

  // As the sink's target answers for the change of this version.
  void Finish(int64_t version, Verdict verdict = Verdict::Applied()) {
    ScriptedConcurrentSink::Finish(target_, flights_, version, std::move(verdict));
  }
  // What another thread asks for while this one steps.
  template <class F>
  auto Ask(SinkRunner& runner, F request) {
    auto answer = std::async(std::launch::async, request);
    while (answer.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      runner.Step(std::chrono::milliseconds(0));
    }
    return answer.get();
  }
  Result<uint64_t> Requeue(SinkRunner& runner) {
    return Ask(runner, [&] { return runner.RequeueDeadLetters({}, std::chrono::minutes(1)); });
  }
  Result<uint64_t> Drop(SinkRunner& runner) {
    return Ask(runner, [&] { return runner.DropDeadLetters({}, std::chrono::minutes(1)); });
  }
  Result<bool> Pause(SinkRunner& runner) {
    return Ask(runner, [&] { return runner.Pause(std::chrono::minutes(1)); });
  }
  Result<bool> Resume(SinkRunner& runner) {
    return Ask(runner, [&] { return runner.Resume(std::chrono::minutes(1)); });
  }
  Result<RewindPlan> Rewind(SinkRunner& runner, RewindTarget to = {}, bool dry_run = false) {
    return Ask(runner, [&] { return runner.Rewind(to, dry_run, std::chrono::minutes(1)); });
  }

  // No record vanishes.
  static void ExpectAccounted(const SinkStatus& status) {
    EXPECT_EQ(status.read, status.applied + status.superseded + status.filtered + status.dead +
                               status.parked + status.waiting);
  }
  // "offset:state:code" of all that is stored.
  std::vector<std::string> Letters() {
    std::vector<std::string> letters;
    for (const DeadLetter& letter : topic_->DeadLetters("copy")) {
      letters.push_back(
          fmt::format("{}:{}:{}", letter.offset, DeadLetterStateName(letter.state), letter.code));
    }
    return letters;
  }

  Offsets Stored() { return topic_->PeekOffsets("copy")->offsets; }

  std::unique_ptr<StubMemoryTopic> topic_;
  std::unique_ptr<TopicFeeder> feeder_;
  ManualClock clock_;
  StubMetrics metrics_;
  ScriptedTarget target_;
  ScriptedFlights flights_;
  DeliveryRules rules_;  // but tables and start
  bool wants_truncate_events_ = false;
  bool concurrent_ = false;
  SchemaPtr orders_ = TestSchema("orders", {"id*:int64", "note:text"});
  SchemaPtr users_ = TestSchema("users", {"id*:int64", "note:text"});
};

}  // namespace tailwater
