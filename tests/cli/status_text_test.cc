#include "cli/status_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tailwater {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Print(const std::string& json, size_t width = 0) {
  return StatusText(nlohmann::ordered_json::parse(json), Palette{}, width);
}

TEST(StatusTextTest, ShowsPositionsLagAndHeadroom) {
  EXPECT_EQ(Print(R"({"pipelines": [{"name": "shop",
      "topic": {"location": "local /t", "log_id": "x", "stored_bytes": 2048,
                "partitions": [{"partition": 0, "begin": 1000, "end": 13345}]},
      "capture": {"state": "running"},
      "sources": [{"name": "shop", "state": "streaming", "frontier": "16/B374D848",
                   "lag_bytes": 0, "lag_seconds": 0, "note": "rows from before are not copied yet",
                   "log": {"state": "reserved", "active": true, "retained_bytes": 1048576,
                           "safe_bytes": 1073741824, "seconds_until_loss": 7200}}],
      "sinks": [{"name": "search", "state": "running", "offsets": {"0": 13345},
                 "lag_records": 0, "lag_seconds": 0, "dead_letters": {"total": 0}}]}]})"),
            "shop  topic local /t, 12,345 records, 2.0 KiB\n"
            "  source shop              streaming  at 16/B374D848, 0 B and 0 s behind\n"
            "         the server keeps 1.0 MiB of log for it, 1.0 GiB more until it discards what "
            "is needed, at this pace\n"
            "         in 2 h\n"
            "         rows from before are not copied yet\n"
            "  sink   search            running    offset 13,345, 0 records and 0 s behind\n");
}

TEST(StatusTextTest, ShowsTheHeadroomOfAServerThatKeepsNoPlaceForUs) {
  const auto source = [](const std::string& log) {
    return Print(R"({"pipelines": [{"name": "shop", "topic": {}, "sinks": [], "sources": [{"name":
        "shop", "state": "streaming", "frontier": "0-1-7", "log": {)" +
                 log + "}}]}]}");
  };
  const std::string text = source(R"("state": "reserved", "headroom_bytes": 1048576,
      "headroom_seconds": 7200, "safe_seconds": 172800, "seconds_until_loss": 172800)");
  EXPECT_THAT(text, HasSubstr("the server's log reaches 1.0 MiB (2 h) further back than it"));
  EXPECT_THAT(text, HasSubstr("by its age"));
  EXPECT_THAT(source(R"("state": "unreserved", "headroom_bytes": 0)"), HasSubstr("log unreserved"));
  const std::string lost = source(R"("state": "lost", "headroom_bytes": 0)");
  EXPECT_THAT(lost, HasSubstr("log lost"));
  EXPECT_THAT(source(R"("active": false)"), Not(HasSubstr("no session")));
  EXPECT_THAT(lost, Not(HasSubstr("than it")));
}

TEST(StatusTextTest, NamesTablesWhoseRowsWereReplacedAndThatNothingCopies) {
  const std::string text =
      Print(R"({"pipelines": [{"name": "shop", "topic": {}, "sinks": [], "sources": [{"name":
        "orders", "snapshots": {"stale": [{"table": "shop.orders", "why": "RENAME TABLE"}]}}]}]})");
  EXPECT_THAT(text, HasSubstr("table shop.orders is stale"));
  EXPECT_THAT(text, HasSubstr("RENAME TABLE"));
  EXPECT_THAT(text, HasSubstr("tailwater sources snapshot orders"));
}

TEST(StatusTextTest, ShowsTroubleWithItsNextTry) {
  const std::string text = Print(R"({"now": "2026-11-21T10:00:00.000Z", "pipelines": [{
      "name": "shop", "topic": {"location": "local /t"}, "capture": {"state": "standby",
      "lease_holder": "process 7"}, "sources": [], "sinks": [{"name": "copy", "state": "retrying",
      "code": "target_down", "message": "connection refused",
      "next_retry_at": "2026-11-21T10:00:03.500Z",
      "dead_letters": {"total": 3, "by_code": {"too_long": 3}}}]}]})");
  EXPECT_THAT(text, HasSubstr("not created yet"));
  EXPECT_THAT(text, HasSubstr("capture standby: the lease is held by process 7"));
  EXPECT_THAT(text, HasSubstr("target_down: connection refused; tries again in 3.5 s"));
  EXPECT_THAT(text, HasSubstr("3 dead letters: too_long 3\n"));
  EXPECT_THAT(text, HasSubstr("lag unknown"));
}

TEST(StatusTextTest, AccountsForEveryRecordOfASink) {
  const auto sink = [](const std::string& facts) {
    return Print(R"({"now": "2026-11-21T13:00:00.000Z", "pipelines": [{"name": "shop",
        "topic": {}, "sources": [], "sinks": [{"name": "hooks", "state": "running",
        "offsets": {"0": 9}, "lag_records": 0, "lag_seconds": 0, )" +
                 facts + "}]}]}");
  };
  EXPECT_EQ(sink(R"("read": 12345, "applied": 12000, "superseded": 0, "filtered": 300, "dead": 2,
                    "parked": 40, "waiting": 3, "in_flight": 2, "dead_stored": 2,
                    "parked_stored": 40, "dead_letters": {"total": 43, "by_code": {"http_410": 2,
                    "http_500": 1, "key_blocked": 39, "base_missing": 1},
                    "oldest_at": "2026-11-21T10:00:00.000Z"})"),
            "shop  topic , not created yet\n"
            "  sink   hooks             running    offset 9, 0 records and 0 s behind\n"
            "         12,345 read = 12,000 applied + 300 filtered + 2 dead + 40 parked + 3 waiting "
            "(2 in flight)\n"
            "         3 dead letters, 40 parked, the oldest 3 h old: http_410 2, http_500 1, "
            "key_blocked 39, base_missing 1\n"
            "         tailwater dead-letters list hooks\n");
  EXPECT_THAT(sink(R"("read": 7, "applied": 7, "dead_letters": {"total": 0})"),
              ::testing::EndsWith("behind\n         7 read = 7 applied\n"));
  EXPECT_THAT(sink(R"("read": 0)"), ::testing::EndsWith("0 s behind\n"));
  EXPECT_THAT(sink(R"("read": 7, "applied": 6)"), HasSubstr("7 read, but 6 accounted for"));
  EXPECT_THAT(sink(R"("parked_stored": 4, "dead_stored": 0, "dead_letters": {"total": 4,
                      "by_code": {"http_500": 4}})"),
              HasSubstr("         4 parked: http_500 4\n"));
}

TEST(StatusTextTest, NamesTheTablesThatAreStopped) {
  const std::string text =
      Print(R"({"pipelines": [{"name": "shop", "topic": {"location": "local /t"},
      "sinks": [{"name": "copy", "state": "running", "stopped_tables": [
        {"source": "shop", "table": "public.orders", "code": "schema_incompatible",
         "reason": "run ALTER TABLE", "parked": 40}]}]}]})");
  EXPECT_THAT(text, HasSubstr("table shop public.orders stopped, 40 changes wait: "
                              "schema_incompatible: run ALTER TABLE"));
}

TEST(StatusTextTest, AMissingSlotOfARunningPipelineIsSaid) {
  const auto source = [](const std::string& state, const std::string& frontier) {
    return Print(
        R"({"pipelines": [{"name": "shop", "topic": {}, "sinks": [], "sources": [{"name":
        "shop", "state": ")" +
        state + R"(", "frontier": ")" + frontier +
        R"(", "log": {"state": "missing", "explanation": "slot 'x' does not exist"}}]}]})");
  };
  EXPECT_THAT(source("gap", "16/1"), HasSubstr("slot missing"));
  EXPECT_THAT(source("unknown", ""), Not(HasSubstr("slot missing"))) << "before a first start";
}

TEST(StatusTextTest, UnderstandsDocumentsOfOtherReleases) {
  EXPECT_EQ(Print("{}"), "no pipeline\n");
  EXPECT_THAT(Print(R"({"pipelines": [{"name": 7, "sources": [{}], "sinks": [null]}]})"),
              HasSubstr("lag unknown"));
}

}  // namespace
}  // namespace tailwater
