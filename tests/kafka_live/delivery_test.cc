// Sinks' runners over a real Kafka topic, one or several processes of them.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "pipeline/sink_runner.h"
#include "support/kafka_server.h"
#include "support/matchers.h"
#include "support/scripted_sink.h"
#include "support/stub_metrics.h"
#include "support/topic_feeder.h"
#include "topic/kafka/kafka_topic.h"

namespace tailwater {
namespace {

using namespace std::chrono_literals;

class KafkaDelivery : public ::testing::Test {
 protected:
  KafkaDelivery() : topic_(OpenTopic()), feeder_(*topic_) {}

  std::unique_ptr<Topic> OpenTopic() const {
    KafkaSettings settings;
    settings.client = KafkaServer::Shared().client();
    settings.pipeline = "shop";
    settings.topic = name_;
    settings.partitions = 3;
    settings.replication = 1;
    return std::make_unique<KafkaTopic>(settings);
  }

  // A process of its own, with a sink named `sink`.
  struct Process {
    std::unique_ptr<Topic> topic;
    std::unique_ptr<SinkRunner> runner;
  };
  Process Start(const std::string& sink, ScriptedTarget& target) {
    Process process;
    process.topic = OpenTopic();
    Problems problems;
    SinkRunnerOptions options;
    options.idle_commit_interval = 10ms;
    process.runner = std::make_unique<SinkRunner>(
        "shop", sink, *process.topic,
        [&target]() -> Result<std::unique_ptr<Sink>> {
          return std::unique_ptr<Sink>(std::make_unique<ScriptedSink>(target));
        },
        DeliveryRules{.tables = TableSelection::Parse(nullptr, problems)}, metrics_, options);
    return process;
  }
  static void StepUntil(const std::vector<SinkRunner*>& runners,
                        const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << runners[0]->Status().message;
      for (SinkRunner* runner : runners) runner->Step(20ms);
    }
  }
  void Insert(int rows) {
    for (int i = 0; i < rows; ++i) {
      versions_.insert(feeder_.Insert(orders_, {Value::Int64(++next_id_), Value::Text("a")}));
    }
  }
  static std::set<int64_t> Seen(const ScriptedTarget& target) {
    const std::vector<int64_t> versions = target.Versions();
    return {versions.begin(), versions.end()};
  }
  static void ExpectOrder(const ScriptedTarget& target) {
    std::map<int32_t, int64_t> last;
    for (const auto& event : target.events) {
      EXPECT_GT(event.offset,
                std::exchange(last.try_emplace(event.partition, -1).first->second, event.offset));
    }
  }

  const std::string name_ = KafkaServer::UniqueName("delivery");
  std::unique_ptr<Topic> topic_;
  TopicFeeder feeder_;
  StubMetrics metrics_;
  SchemaPtr orders_ = TestSchema("orders", {"id*:int64", "note:text"});
  std::set<int64_t> versions_;
  int64_t next_id_ = 0;
};

TEST_F(KafkaDelivery, DeliversAllPartitionsSweepsAndIsCaughtUp) {
  Insert(30);
  const int64_t sweep = feeder_.Truncate(orders_);
  Insert(30);
  ScriptedTarget target;
  auto [topic, runner] = Start("copy", target);
  StepUntil({runner.get()}, [&, runner = runner.get()] {
    return Seen(target) == versions_ && !target.sweeps.empty() && runner->Status().lag_records == 0;
  });
  EXPECT_EQ(target.events.size(), versions_.size()) << "each once";
  EXPECT_THAT(target.sweeps, ::testing::ElementsAre("public.orders<" + std::to_string(sweep)));
  ExpectOrder(target);
  // As another process sees it: all of it committed.
  StepUntil({runner.get()}, [&] { return topic_->PeekOffsets("copy")->offsets.size() == 3; });
}

TEST_F(KafkaDelivery, GoesOnWhereItStopped) {
  Insert(20);
  ScriptedTarget target;
  {
    auto [topic, runner] = Start("copy", target);
    StepUntil({runner.get()}, [&, runner = runner.get()] {
      return Seen(target) == versions_ && runner->Status().lag_records == 0;
    });
  }
  Insert(20);
  auto [topic, runner] = Start("copy", target);
  StepUntil({runner.get()}, [&] { return Seen(target) == versions_; });
  EXPECT_EQ(target.events.size(), versions_.size()) << "nothing came again";
}

TEST_F(KafkaDelivery, ProcessesShareThePartitionsAndTakeThemOver) {
  Insert(30);
  ScriptedTarget one;
  ScriptedTarget two;
  auto first = Start("copy", one);
  StepUntil({first.runner.get()}, [&] { return Seen(one) == versions_; });
  auto second = Start("copy", two);
  const auto both = [&] {
    std::set<int64_t> seen = Seen(one);
    seen.merge(Seen(two));
    return seen;
  };
  // Until the second has got its share of what comes.
  StepUntil({first.runner.get(), second.runner.get()}, [&] {
    if (both() == versions_) Insert(3);
    return !two.events.empty();
  });
  Insert(30);
  StepUntil({first.runner.get(), second.runner.get()}, [&] { return both() == versions_; });
  second.runner.reset();
  Insert(30);
  StepUntil({first.runner.get()}, [&] { return both() == versions_; });
}

TEST_F(KafkaDelivery, DeadLettersAreReplayedAndOutliveTheProcess) {
  Insert(10);
  const int64_t bad = *std::next(versions_.begin(), 4);
  ScriptedTarget target;
  target.verdict = [&](const Delivery& delivery) -> std::optional<Verdict> {
    if (delivery.change->version != bad) return std::nullopt;
    return Verdict::Rejected("mapping_failed", "no such field");
  };
  {
    auto [topic, runner] = Start("copy", target);
    StepUntil({runner.get()}, [&, runner = runner.get()] {
      return runner->Status().applied == 9 && runner->Status().lag_records == 0;
    });
  }
  EXPECT_EQ(topic_->PeekDeadLetters("copy")->by_code.at("mapping_failed"), 1u);
  target.verdict = nullptr;
  auto [topic, runner] = Start("copy", target);
  StepUntil({runner.get()},
            [&, runner = runner.get()] { return runner->Status().dead_stored == 1; });
  std::jthread ask([&, runner = runner.get()] {
    EXPECT_OK(runner->RequeueDeadLetters({.code = "mapping_failed"}, 30s));
  });
  StepUntil({runner.get()}, [&] { return Seen(target) == versions_; });
  ask.join();
  StepUntil({runner.get()}, [&] { return topic_->PeekDeadLetters("copy")->by_code.empty(); });
}

}  // namespace
}  // namespace tailwater
