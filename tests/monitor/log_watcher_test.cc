#include "monitor/log_watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "monitor/metrics_registry.h"
#include "support/manual_clock.h"

namespace tailwater {
namespace {

using ::testing::DoubleNear;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Optional;

// What the scripted server answers next.
struct Script {
  std::mutex mutex;
  std::condition_variable looked;
  int looks = 0;
  std::optional<LogHealth> health;  // absent: unreachable
  bool throws = false;
};

class ScriptedTools final : public SourceTools {
 public:
  explicit ScriptedTools(Script& script) : script_(script) {}
  Result<std::vector<TableDescription>> DescribeTables() override {
    return std::vector<TableDescription>();
  }
  Result<LogHealth> Watch() override {
    const std::lock_guard lock(script_.mutex);
    ++script_.looks;
    script_.looked.notify_all();
    if (script_.throws) throw std::runtime_error("broken");
    if (script_.health) return *script_.health;
    return Error{Disposition::kRetry, "server_unreachable", "nobody listens there; start it"};
  }
  Result<std::vector<Finding>> Check() override { return std::vector<Finding>(); }
  Result<Position> LogEnd() override { return Position(); }
  Result<bool> HasReached(const Position&, const Position&) override { return true; }
  Result<std::vector<OwnedObject>> ListOwned() override { return std::vector<OwnedObject>(); }
  Status Drop(const OwnedObject&) override { return {}; }

 private:
  Script& script_;
};

class LogWatcherTest : public ::testing::Test {
 protected:
  LogWatcherTest() {
    LogHealth health;
    health.state = "reserved";
    health.active = true;
    health.server_end_bytes = 1'000'000;
    health.retained_bytes = 5000;
    health.confirmed_lag_bytes = 100;
    script_.health = health;
  }
  void Look(std::chrono::seconds later = std::chrono::seconds(0)) {
    clock_.Advance(later);
    watcher_.Look();
  }

  Script script_;
  ManualClock clock_;
  MetricsRegistry registry_;
  LogWatcher watcher_{
      "shop",
      [this]() -> Result<std::unique_ptr<SourceTools>> {
        return std::unique_ptr<SourceTools>(std::make_unique<ScriptedTools>(script_));
      },
      registry_.Scoped({{"source", "shop"}}), clock_};
};

TEST_F(LogWatcherTest, ExportsWhatTheServerSaysAndNothingElse) {
  Look();
  const std::string text = registry_.Expose();
  EXPECT_THAT(text, HasSubstr("tailwater_source_retained_log_bytes{source=\"shop\"} 5000\n"));
  EXPECT_THAT(text, HasSubstr("tailwater_source_lag_bytes{source=\"shop\"} 100\n"));
  EXPECT_THAT(text, HasSubstr("tailwater_source_slot_active{source=\"shop\"} 1\n"));
  EXPECT_THAT(text,
              HasSubstr("tailwater_source_log_state{source=\"shop\",state=\"reserved\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("tailwater_source_safe_log_bytes")));
  EXPECT_THAT(text, Not(HasSubstr("tailwater_source_loss_forecast_seconds")));
}

TEST_F(LogWatcherTest, KeepsNoOldNumbersWhenTheServerIsGone) {
  Look();
  script_.health.reset();
  Look(std::chrono::seconds(10));
  const std::string text = registry_.Expose();
  EXPECT_THAT(text, Not(HasSubstr("tailwater_source_retained_log_bytes")));
  EXPECT_THAT(text, Not(HasSubstr("tailwater_source_lag_bytes")));
  EXPECT_THAT(text, Not(HasSubstr("tailwater_source_log_state")));
  EXPECT_THAT(text, HasSubstr("code=\"server_unreachable\""));
  const LogWatchStatus status = watcher_.GetStatus();
  EXPECT_FALSE(status.health);
  EXPECT_EQ(status.code, "server_unreachable");
  EXPECT_GT(status.checked_micros, 0);
}

TEST_F(LogWatcherTest, OneStateIsSetAtATime) {
  Look();
  script_.health->state = "extended";
  Look();
  const std::string text = registry_.Expose();
  EXPECT_THAT(text, HasSubstr("state=\"extended\"} 1"));
  EXPECT_THAT(text, Not(HasSubstr("state=\"reserved\"")));
}

TEST_F(LogWatcherTest, ForecastsTheLossFromThePaceOfTheHeadroom) {
  script_.health->safe_bytes = 100'000;
  Look();
  EXPECT_FALSE(watcher_.GetStatus().seconds_until_loss);
  script_.health->safe_bytes = 90'000;
  script_.health->server_end_bytes = 1'010'000;
  Look(std::chrono::seconds(10));
  EXPECT_THAT(watcher_.GetStatus().seconds_until_loss, Optional(DoubleNear(90, 0.01)));
  EXPECT_THAT(watcher_.GetStatus().growth_bytes_per_second, Optional(DoubleNear(1000, 0.01)));
}

TEST_F(LogWatcherTest, ASuddenStallIsSeenWithinAMinute) {
  script_.health->safe_bytes = 100'000;
  for (int i = 0; i < 28; ++i) Look(std::chrono::seconds(10));
  for (int i = 0; i < 6; ++i) {
    *script_.health->safe_bytes -= 10'000;
    Look(std::chrono::seconds(10));
  }
  EXPECT_THAT(watcher_.GetStatus().seconds_until_loss, Optional(DoubleNear(40, 0.01)));
}

TEST_F(LogWatcherTest, NoLossIsForecastWhileTheHeadroomHolds) {
  script_.health->safe_bytes = 100'000;
  Look();
  Look(std::chrono::seconds(10));
  *script_.health->safe_bytes += 50;
  Look(std::chrono::seconds(10));
  EXPECT_FALSE(watcher_.GetStatus().seconds_until_loss);
}

TEST_F(LogWatcherTest, AnAgeThatEndsTheLogIsAForecastOfItsOwn) {
  script_.health->safe_seconds = 500;
  script_.health->headroom_bytes = 4096;
  script_.health->headroom_seconds = 60;
  Look();
  EXPECT_THAT(watcher_.GetStatus().seconds_until_loss, Optional(DoubleNear(500, 0.01)));
  const std::string text = registry_.Expose();
  EXPECT_THAT(text, HasSubstr("tailwater_source_headroom_bytes{source=\"shop\"} 4096"));
  EXPECT_THAT(text, HasSubstr("tailwater_source_headroom_seconds{source=\"shop\"} 60"));
}

TEST_F(LogWatcherTest, AThrowingConnectorIsAFailedLook) {
  script_.throws = true;
  Look();
  EXPECT_EQ(watcher_.GetStatus().code, "internal");
}

class RunningLogWatcherTest : public LogWatcherTest {
 protected:
  RunningLogWatcherTest() {
    options_.first_look = std::chrono::milliseconds(0);
    options_.interval = std::chrono::hours(1);
    options_.refresh_after = std::chrono::milliseconds(0);
  }
  std::unique_ptr<LogWatcher> Make() {
    return std::make_unique<LogWatcher>(
        "shop.shop",
        [this]() -> Result<std::unique_ptr<SourceTools>> {
          return std::unique_ptr<SourceTools>(std::make_unique<ScriptedTools>(script_));
        },
        registry_.root(), system_clock_, options_);
  }
  // `meanwhile` is called again and again until then.
  void WaitForLooks(int count, const std::function<void()>& meanwhile) {
    std::unique_lock lock(script_.mutex);
    while (script_.looks < count) {
      lock.unlock();
      meanwhile();
      lock.lock();
      script_.looked.wait_for(lock, std::chrono::milliseconds(1));
    }
  }
  const SystemClock system_clock_;
  LogWatcherOptions options_;
};

TEST_F(RunningLogWatcherTest, StopsTwiceAndLeavesNoSeries) {
  const auto watcher = Make();
  watcher->Stop();
  watcher->Start();
  WaitForLooks(1, [] {});
  watcher->Stop();
  watcher->Stop();
  EXPECT_THAT(registry_.Expose(), Not(HasSubstr("tailwater_source_")));
}

TEST_F(RunningLogWatcherTest, SomebodyWhoAsksGetsAFreshLook) {
  const auto watcher = Make();
  watcher->Start();
  WaitForLooks(2, [&] { watcher->Refresh(); });
}

TEST_F(RunningLogWatcherTest, LeavesTheServerToTheSourceAtFirstUnlessAsked) {
  options_.first_look = std::chrono::hours(1);
  const auto watcher = Make();
  watcher->Start();
  WaitForLooks(1, [&] { watcher->Refresh(); });
}

}  // namespace
}  // namespace tailwater
