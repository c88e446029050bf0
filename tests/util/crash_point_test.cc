#include "util/crash_point.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

namespace tailwater {
namespace {

void PassThrice() {
  for (int i = 0; i < 3; ++i) {
    PassCrashPoint("other");
    PassCrashPoint("here");
  }
  std::exit(0);
}

TEST(CrashPointDeathTest, KillsAtTheFirstPassOfItsName) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  setenv("TAILWATER_CRASH_POINT", "here", 1);
  EXPECT_EXIT(PassThrice(), ::testing::KilledBySignal(SIGKILL), "");
}

TEST(CrashPointDeathTest, KillsAtTheNumberedPass) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  setenv("TAILWATER_CRASH_POINT", "here:3", 1);
  EXPECT_EXIT(PassThrice(), ::testing::KilledBySignal(SIGKILL), "");
  setenv("TAILWATER_CRASH_POINT", "here:4", 1);
  EXPECT_EXIT(PassThrice(), ::testing::ExitedWithCode(0), "");
}

TEST(CrashPointDeathTest, DoesNothingWhenNotArmed) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  unsetenv("TAILWATER_CRASH_POINT");
  EXPECT_EXIT(PassThrice(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace tailwater
