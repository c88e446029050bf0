#include "tailwater/log.h"

#include <gmock/gmock.h>

#include "sdk/log_setup.h"

namespace tailwater {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;

class LogTest : public testing::Test {
 protected:
  ~LogTest() override { SetUpLog(LogLevel::kInfo, LogFormat::kText); }

  template <class Write>
  static std::string LinesOf(Write write) {
    testing::internal::CaptureStderr();
    write(Logger("capture"));
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(LogTest, WritesTimeLevelComponentEventAndFields) {
  EXPECT_THAT(LinesOf([](const Logger& logger) {
                logger.Info("streaming started", {{"slot", "orders"}, {"bytes", 12}});
              }),
              MatchesRegex("[0-9-]+T[0-9:]+\\.[0-9]+Z info capture: streaming started "
                           "slot=orders bytes=12\n"));
}

TEST_F(LogTest, QuotesValuesAndKeepsToOneLine) {
  EXPECT_THAT(LinesOf([](const Logger& logger) {
                logger.Warn("a\nb", {{"empty", ""}, {"text", "say \"hi\"\nnow"}, {"x", "a=b"}});
              }),
              EndsWith("warn capture: a\\nb empty=\"\" text=\"say \\\"hi\\\"\\nnow\" x=\"a=b\"\n"));
}

TEST_F(LogTest, LeavesOutWhatIsBelowTheLevel) {
  EXPECT_THAT(LinesOf([](const Logger& logger) { logger.Debug("hidden"); }), IsEmpty());
  SetUpLog(LogLevel::kDebug, LogFormat::kText);
  EXPECT_THAT(LinesOf([](const Logger& logger) { logger.Debug("shown"); }), HasSubstr("shown"));
  SetUpLog(LogLevel::kOff, LogFormat::kText);
  EXPECT_THAT(LinesOf([](const Logger& logger) { logger.Error("hidden"); }), IsEmpty());
}

TEST_F(LogTest, WritesJson) {
  SetUpLog(LogLevel::kInfo, LogFormat::kJson);
  EXPECT_THAT(LinesOf([](const Logger& logger) {
                logger.Error("it \"broke\"", {{"code", "x"}, {"why", "a\tb\x01"}});
              }),
              HasSubstr(R"("level":"error","component":"capture","event":"it \"broke\"",)"
                        R"("code":"x","why":"a\tb\u0001"})"));
}

}  // namespace
}  // namespace tailwater
