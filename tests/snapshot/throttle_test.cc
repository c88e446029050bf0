#include "snapshot/throttle.h"

#include <gmock/gmock.h>

namespace tailwater {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(ThrottleTest, LetsCopyWhenNothingIsKnown) {
  Throttle throttle{SnapshotOptions{}};
  EXPECT_THAT(throttle.Judge({}), IsEmpty());
}

TEST(ThrottleTest, NamesTheLimitThatIsExceeded) {
  SnapshotOptions options;
  options.max_retained_log = ByteSize{1 << 20};
  options.max_sink_lag = 100;
  Throttle throttle(options);
  EXPECT_THAT(throttle.Judge({.retained_log_bytes = 3 << 20}), HasSubstr("max_retained_log"));
  EXPECT_THAT(throttle.Judge({.lag_seconds = 61}), HasSubstr("max_lag"));
  EXPECT_THAT(throttle.Judge({.slowest_sink_records = 101}), HasSubstr("max_sink_lag"));
  EXPECT_THAT(
      throttle.Judge({.retained_log_bytes = 1, .lag_seconds = 1, .slowest_sink_records = 1}),
      IsEmpty());
}

TEST(ThrottleTest, GoesOnOnlyWhenItIsClearlyBetter) {
  Throttle throttle{SnapshotOptions{}};
  EXPECT_THAT(throttle.Judge({.lag_seconds = 59}), IsEmpty());
  EXPECT_THAT(throttle.Judge({.lag_seconds = 61}), Not(IsEmpty()));
  EXPECT_THAT(throttle.Judge({.lag_seconds = 59}), Not(IsEmpty()));
  EXPECT_THAT(throttle.Judge({.lag_seconds = 40}), IsEmpty());
}

TEST(ThrottleTest, LeavesAQuarterOfTheLogThatTheServerMayKeep) {
  Throttle throttle{SnapshotOptions{}};
  EXPECT_THAT(throttle.Judge({.retained_log_bytes = 70, .safe_log_bytes = 30}), IsEmpty());
  EXPECT_THAT(throttle.Judge({.retained_log_bytes = 80, .safe_log_bytes = 20}),
              HasSubstr("discards log"));
  EXPECT_THAT(throttle.Judge({.retained_log_bytes = 60, .safe_log_bytes = 40}), IsEmpty());
}

TEST(ReadPaceTest, LeavesTheServerAloneInProportion) {
  ReadPace pace;
  EXPECT_EQ(pace.Observe(100ms, 10'000), 0ms);
  EXPECT_EQ(pace.Observe(200ms, 10'000), 0ms) << "twice is nothing yet";
  const auto slow = pace.Observe(1s, 10'000);
  EXPECT_GT(slow, 1s);
  EXPECT_GT(pace.Observe(2s, 10'000), slow);
  EXPECT_LE(pace.Observe(100s, 10'000), 10s);
  EXPECT_EQ(pace.Observe(5s, 3), 0ms) << "a few rows tell nothing";
}

}  // namespace
}  // namespace tailwater
