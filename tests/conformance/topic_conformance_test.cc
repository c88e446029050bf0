#include "conformance/topic_conformance.h"

#include <optional>

#include "conformance/topic_dead_letters.h"
#include "conformance/topic_reading.h"
#include "conformance/topic_sinks.h"
#include "support/full_disk.h"
#include "support/manual_clock.h"
#include "support/memory_topic.h"
#include "support/temporary_folder.h"
#include "topic/local/local_topic.h"

namespace tailwater {
namespace {

class StubWorld final : public TopicWorld {
 public:
  explicit StubWorld(StubMemoryTopic::Options options) : topic_(options), options_(options) {}
  int32_t partitions() const override { return options_.partitions; }
  bool exclusive_sinks() const override { return options_.exclusive_subscriptions; }
  size_t max_record_bytes() const override { return options_.max_record_bytes; }
  std::unique_ptr<Topic> Open() override { return topic_.Share(); }
  void BreakStorage() override {
    topic_.BreakWrites(Error{Disposition::kNeedsOperator, "stub_broken", "broken by the test"});
  }
  void MendStorage() override { topic_.BreakWrites(std::nullopt); }
  std::string broken_code() const override { return "stub_broken"; }
  void Trim(Topic&) override { topic_.Trim(0, 5); }

 private:
  StubMemoryTopic topic_;
  const StubMemoryTopic::Options options_;
};

class LocalWorld final : public TopicWorld {
 public:
  int32_t partitions() const override { return 1; }
  bool exclusive_sinks() const override { return true; }
  size_t max_record_bytes() const override { return 2 << 20; }
  std::unique_ptr<Topic> Open() override {
    LocalTopic::Options options;
    options.path = folder_ / "topic";
    options.max_record_bytes = max_record_bytes();
    options.maintenance_interval = std::chrono::milliseconds(10);
    options.clock = &clock_;
    return std::make_unique<LocalTopic>(options);
  }
  void BreakStorage() override { full_.emplace(); }
  void MendStorage() override { full_.reset(); }
  std::string broken_code() const override { return "topic_disk_full"; }
  void Trim(Topic& topic) override {
    clock_.Advance(std::chrono::hours(8 * 24));
    auto reader = topic.OpenReader();
    ASSERT_OK(reader);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while ((*reader)->Ranges()->at(0).begin == 0) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "retention did not run";
      std::this_thread::yield();
    }
  }

 private:
  TemporaryFolder folder_;
  ManualClock clock_;
  std::optional<FullDisk> full_;
};

NamedWorld Stub(std::string name, StubMemoryTopic::Options options) {
  return {std::move(name), [options] { return std::make_unique<StubWorld>(options); }};
}

const auto kTopics = ::testing::Values(
    NamedWorld{"Local", [] { return std::make_unique<LocalWorld>(); }}, Stub("StubInline", {}),
    Stub("StubThreadPartitionsGroups", {.partitions = 3,
                                        .completion = StubMemoryTopic::Completion::kThread,
                                        .commit_markers = true,
                                        .exclusive_subscriptions = false}));
INSTANTIATE_TEST_SUITE_P(Topics, TopicConformance, kTopics, NameOfWorld);
INSTANTIATE_TEST_SUITE_P(Topics, TopicDeadLetters, kTopics, NameOfWorld);

}  // namespace
}  // namespace tailwater
