#include "monitor/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

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

TEST(Readiness, StoredDeadLettersDoNotMatter) {
  PipelineStatus status = RunningSink();
  status.sinks[0].status.dead_letters = {{"http_410", 99}};
  status.sinks[0].status.dead_stored = 99;
  status.sinks[0].status.parked_stored = 1'000;
  EXPECT_TRUE(IsReady(CheckReadiness(status)));
}

TEST(Readiness, AStoppedTableIsACheckOfItsOwn) {
  PipelineStatus status = RunningSink();
  status.sinks[0].status.stopped_tables = {{"shop", "public.orders", "schema_incompatible",
                                            "run ALTER TABLE", 1'700'000'000'000'000, 40}};
  const std::vector<ReadyCheck> checks = CheckReadiness(status);
  EXPECT_FALSE(IsReady(checks));
  ASSERT_EQ(checks.size(), 2u);
  EXPECT_TRUE(checks[0].ready) << "the sink itself works";
  EXPECT_EQ(checks[1].name, "shop/sinks/copy/shop/public.orders");
  EXPECT_EQ(checks[1].state, "table_stopped");
  EXPECT_EQ(checks[1].code, "schema_incompatible");
  const std::string json = StatusJson({0, 0, {status}});
  EXPECT_THAT(json, HasSubstr("\"reason\": \"run ALTER TABLE\""));
  EXPECT_THAT(json, HasSubstr("\"parked\": 40"));
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

TEST(StatusJson, AccountsForEveryRecordOfASink) {
  PipelineStatus status = RunningSink();
  SinkStatus& sink = status.sinks[0].status;
  sink.read = 21;
  sink.applied = 1;
  sink.superseded = 2;
  sink.filtered = 3;
  sink.dead = 4;
  sink.parked = 5;
  sink.waiting = 6;
  sink.in_flight = 7;
  sink.rejected = 8;
  sink.base_missing = 9;
  sink.replayed = 10;
  sink.retries = 11;
  sink.dead_stored = 12;
  sink.parked_stored = 13;
  sink.dead_letters = {{"http_410", 12}, {"key_blocked", 13}};
  sink.oldest_stored_micros = 1'780'000'000'000'000;
  const auto document = nlohmann::json::parse(StatusJson({0, 0, {status}}));
  const auto& json = document["pipelines"][0]["sinks"][0];
  int64_t expected = 1;
  for (const char* key :
       {"applied", "superseded", "filtered", "dead", "parked", "waiting", "in_flight", "rejected",
        "base_missing", "replayed", "retries", "dead_stored", "parked_stored"}) {
    EXPECT_EQ(json[key], expected++) << key;
  }
  EXPECT_EQ(json["read"], 21);
  EXPECT_EQ(json["dead_letters"]["total"], 25);
  EXPECT_EQ(json["dead_letters"]["by_code"]["key_blocked"], 13);
  EXPECT_EQ(json["dead_letters"]["oldest_at"], "2026-05-28T20:26:40.000Z");
}

TEST(StatusJson, BytesThatAreNoTextDoNotBreakTheDocument) {
  PipelineStatus status = RunningSink();
  status.sinks[0].status.message = "\xff\xfe";
  EXPECT_THAT(StatusJson({0, 0, {status}}), HasSubstr("\"message\""));
}

}  // namespace
}  // namespace tailwater
