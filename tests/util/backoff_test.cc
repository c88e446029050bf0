#include "util/backoff.h"

#include <gtest/gtest.h>

namespace tailwater {
namespace {

using std::chrono::milliseconds;

BackoffOptions Small() {
  return {.initial = milliseconds(100), .max = milliseconds(500), .jitter = 0.5};
}

TEST(Backoff, DoublesUpToItsCap) {
  Backoff backoff(Small(), [] { return 0.0; });
  EXPECT_EQ(backoff.Next(), milliseconds(100));
  EXPECT_EQ(backoff.Next(), milliseconds(200));
  EXPECT_EQ(backoff.Next(), milliseconds(400));
  EXPECT_EQ(backoff.Next(), milliseconds(500));
  EXPECT_EQ(backoff.Next(), milliseconds(500));
  EXPECT_EQ(backoff.attempts(), 5u);
}

TEST(Backoff, JitterTakesAtMostItsShareOff) {
  Backoff backoff(Small(), [] { return 0.999; });
  EXPECT_EQ(backoff.Next(), milliseconds(51));
}

TEST(Backoff, StartsOverAfterProgress) {
  Backoff backoff(Small(), [] { return 0.0; });
  backoff.Next();
  backoff.Next();
  backoff.Reset();
  EXPECT_EQ(backoff.attempts(), 0u);
  EXPECT_EQ(backoff.Next(), milliseconds(100));
}

TEST(Backoff, ProbesSlowlyWhatWaitsForAPerson) {
  Backoff backoff(Small(), [] { return 0.0; });
  EXPECT_EQ(backoff.Next(Disposition::kNeedsOperator), milliseconds(15'000));
  EXPECT_EQ(backoff.Next(Disposition::kNeedsOperator), milliseconds(15'000));
  EXPECT_EQ(backoff.Next(), milliseconds(100));
}

TEST(WaitUnlessStopped, SaysWhetherItWasStopped) {
  std::stop_source stop;
  EXPECT_TRUE(WaitUnlessStopped(milliseconds(1), stop.get_token()));
  stop.request_stop();
  EXPECT_FALSE(WaitUnlessStopped(std::chrono::hours(1), stop.get_token()));
}

}  // namespace
}  // namespace tailwater
