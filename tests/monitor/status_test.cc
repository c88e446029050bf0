#include "monitor/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tailwater {
namespace {

using ::testing::HasSubstr;

PipelineStatus RunningSink() {
  PipelineStatus status;
  status.name = "shop";
  status.sinks.emplace_back();
  status.sinks[0].status.sink = "copy";
  status.sinks[0].status.state = SinkState::kRunning;
  return status;
}

TEST(Readiness, NothingProvenIsNotReady) { EXPECT_FALSE(IsReady({})); }

TEST(Readiness, ALagDoesNotMatter) {
  PipelineStatus status = RunningSink();
  status.sinks[0].status.lag_records = 1'000'000;
  EXPECT_TRUE(IsReady(CheckReadiness(status)));
}

TEST(Readiness, ASinkThatHangsInACallIsNotReady) {
  PipelineStatus status = RunningSink();
  status.sinks[0].status.call_seconds = 5;
  EXPECT_TRUE(IsReady(CheckReadiness(status)));
  status.sinks[0].status.call_seconds = 61;
  const std::vector<ReadyCheck> checks = CheckReadiness(status);
  EXPECT_FALSE(IsReady(checks));
  EXPECT_EQ(checks[0].code, "sink_call_hangs");
}

TEST(Readiness, AStandbyIsReady) {
  PipelineStatus status = RunningSink();
  status.sinks[0].status.state = SinkState::kStandby;
  status.capture.emplace();
  status.capture->phase = CapturePhase::kStandby;
  status.capture->sources.emplace_back();
  EXPECT_TRUE(IsReady(CheckReadiness(status)));
}

TEST(Readiness, EveryStageIsACheckOfItsOwn) {
  PipelineStatus status = RunningSink();
  status.capture.emplace();
  status.capture->phase = CapturePhase::kRunning;
  status.capture->sources.emplace_back();
  status.capture->sources[0].name = "orders";
  status.capture->sources[0].state = SourceState::kGap;
  status.capture->sources[0].code = "pg_slot_missing";
  const std::string json = ReadinessJson(CheckReadiness(status));
  EXPECT_THAT(json, HasSubstr("\"shop/capture\""));
  EXPECT_THAT(json, HasSubstr("\"shop/sources/orders\""));
  EXPECT_THAT(json, HasSubstr("\"pg_slot_missing\""));
  EXPECT_THAT(json, HasSubstr("\"shop/sinks/copy\""));
}

TEST(StatusJson, BytesThatAreNoTextDoNotBreakTheDocument) {
  PipelineStatus status = RunningSink();
  status.sinks[0].status.message = "\xff\xfe";
  EXPECT_THAT(StatusJson({0, 0, {status}}), HasSubstr("\"message\""));
}

}  // namespace
}  // namespace tailwater
