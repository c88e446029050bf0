// Random histories through the engine's capture half, a topic of several partitions and the
// engine's delivery half, with everything that can break breaking in between. The copies must equal
// what the sources hold, and the topic must hold every change once.
//
//   TAILWATER_MODEL_SEEDS=20000 build/dev/tests/model_test      more histories (default 2000)
//   TAILWATER_MODEL_SEED=1234 build/dev/tests/model_test        this one again
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "model/capture_model.h"
#include "model/delivery_model.h"
#include "model/log_check.h"
#include "sdk/log_setup.h"

namespace tailwater::model {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// Everything of one seed.
class World {
 public:
  enum class Sinks : uint8_t { kModels, kSqlite };

  World(uint64_t seed, Sinks sinks, Coverage& coverage)
      : random_(seed),
        partitions_(1 + static_cast<int32_t>(Below(5))),
        topic_({.partitions = partitions_,
                .completion = StubMemoryTopic::Completion::kManual,
                .commit_markers = Below(2) == 0,
                .exclusive_subscriptions = false}) {
    // The mirror file has one name for public.orders of two sources.
    const uint64_t sources = sinks == Sinks::kSqlite ? 1 : 1 + Below(2);
    for (uint64_t i = 0; i < sources; ++i) {
      histories_.push_back(
          std::make_unique<History>(HistoryOptions{.seed = random_(),
                                                   .source = i == 0 ? "shop" : "billing",
                                                   .transactions = 3 + Below(14)}));
    }
    capture_ =
        std::make_unique<CaptureModel>(topic_, histories_, clock_, random_, violations_, coverage);
    const auto add = [&](const char* name, SinkKind kind) {
      sinks_.push_back(std::make_unique<DeliveryModel>(name, kind, topic_, partitions_, clock_,
                                                       random_, violations_, coverage));
    };
    if (sinks == Sinks::kSqlite) {
      add("sqlite", SinkKind::kSqlite);
      return;
    }
    add("plain", Below(2) == 0 ? SinkKind::kPlain : SinkKind::kCollapsing);
    add("exact", SinkKind::kTransactional);
    if (Below(2) == 0) add("rewound", SinkKind::kTransactionalRewindable);
    add("trigger", Below(2) == 0 ? SinkKind::kTrigger : SinkKind::kUnorderedTrigger);
  }

  std::vector<std::string> Run() {
    const uint64_t trouble = 5 + Below(200);  // some worlds are calmer than others
    const uint64_t steps = 100 + Below(300);
    for (uint64_t step = 0; step < steps && violations_.empty(); ++step) {
      clock_.Advance(std::chrono::microseconds(Below(20'000)));
      if (Below(2) == 0) {
        capture_->Step();
      } else {
        sinks_[Below(sinks_.size())]->Step();
      }
      if (Below(trouble) == 0) capture_->Break();
      if (Below(trouble) == 0) sinks_[Below(sinks_.size())]->Break();
    }
    if (violations_.empty() && !capture_->Finish()) {
      violations_.push_back("capture does not reach the end");
    }
    if (violations_.empty()) CheckLog(topic_, partitions_, histories_, violations_);
    for (auto& sink : sinks_) {
      if (!violations_.empty()) break;
      if (!sink->Finish()) violations_.push_back(sink->name() + " does not reach the end");
      if (violations_.empty()) sink->Check(histories_);
    }
    return violations_;
  }

 private:
  uint64_t Below(uint64_t limit) { return random_() % limit; }

  std::mt19937_64 random_;
  const int32_t partitions_;
  ManualClock clock_;
  StubMemoryTopic topic_;
  std::vector<std::string> violations_;
  std::vector<std::unique_ptr<History>> histories_;
  std::unique_ptr<CaptureModel> capture_;
  std::vector<std::unique_ptr<DeliveryModel>> sinks_;
};

// Runs the seeds and reports the first few that fail.
Coverage RunSeeds(World::Sinks sinks, uint64_t last) {
  SetUpLog(LogLevel::kOff, LogFormat::kText);
  uint64_t first = 1;
  if (const uint64_t only = FromEnvironment("TAILWATER_MODEL_SEED", 0); only != 0) {
    first = last = only;
  }
  Coverage coverage;
  int failed = 0;
  for (uint64_t seed = first; seed <= last && failed < 3; ++seed) {
    const std::vector<std::string> violations = World(seed, sinks, coverage).Run();
    if (violations.empty()) continue;
    ++failed;
    std::string text;
    for (size_t i = 0; i < violations.size() && i < 20; ++i) text += violations[i] + "\n";
    ADD_FAILURE() << "TAILWATER_MODEL_SEED=" << seed << " (" << violations.size()
                  << " violations)\n"
                  << text;
  }
  if (std::getenv("TAILWATER_MODEL_COVERAGE") != nullptr) {
    for (const auto& [what, times] : coverage)
      std::printf("%9zu %s\n", size_t{times}, what.c_str());
  }
  return coverage;
}

TEST(Model, CopiesEqualTheSourcesWhateverBreaks) {
  const uint64_t seeds = FromEnvironment("TAILWATER_MODEL_SEEDS", 2000);
  Coverage coverage = RunSeeds(World::Sinks::kModels, seeds);
  if (seeds < 1000 || HasFailure() || FromEnvironment("TAILWATER_MODEL_SEED", 0) != 0) return;
  for (const char* what : {"append failed",
                           "answer of the topic lost",
                           "session lost",
                           "capture killed",
                           "resumed inside a transaction",
                           "frontier released",
                           "delivery killed",
                           "rebalanced",
                           "rewound",
                           "rewound while it runs",
                           "paused",
                           "resumed",
                           "step in the middle of another's",
                           "key put off",
                           "transaction put off",
                           "row swept",
                           "keyless row",
                           "row over its base",
                           "same change again",
                           "change behind a newer row",
                           "change behind a tombstone",
                           "compare-and-set lost",
                           "answer of the target lost",
                           "rows laid over each other",
                           "calls at the same time",
                           "receiver away",
                           "call put off",
                           "call refused",
                           "call given up and taken",
                           "dead letters requeued",
                           "step behind a parked key",
                           "step in front of a refused change",
                           "step behind a replay"}) {
    EXPECT_GT(coverage[what], 20u) << what << ": the histories no longer lead there";
  }
}

// Fewer of them: each has a file.
TEST(Model, TheSqliteMirrorEqualsItsSourceWhateverBreaks) {
  const uint64_t seeds = FromEnvironment("TAILWATER_MODEL_SEEDS", 2000) / 20;
  Coverage coverage = RunSeeds(World::Sinks::kSqlite, seeds);
  if (seeds < 50 || HasFailure() || FromEnvironment("TAILWATER_MODEL_SEED", 0) != 0) return;
  for (const char* what : {"sqlite commit", "sqlite table swept", "delivery killed"}) {
    EXPECT_GT(coverage[what], 20u) << what << ": the histories no longer lead there";
  }
}

}  // namespace
}  // namespace tailwater::model
