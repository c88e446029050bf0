// The API of sinks that a person pauses, resumes and rewinds, and that of reloads.
#include "http/sink_routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/api_client.h"
#include "http/reload_route.h"
#include "support/http_calls.h"
#include "support/matchers.h"

namespace tailwater {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class SinkRoutes : public ::testing::Test {
 protected:
  void SetUp() override {
    ApiSink copy{"shop", "copy", nullptr};
    copy.pause = [this](std::chrono::milliseconds) -> Result<bool> {
      if (failure_) return *failure_;
      return !std::exchange(paused_, true);
    };
    copy.resume = [this](std::chrono::milliseconds) -> Result<bool> {
      return std::exchange(paused_, false);
    };
    copy.rewind = [this](const RewindTarget& to, bool dry_run,
                         std::chrono::milliseconds) -> Result<RewindPlan> {
      if (failure_) return *failure_;
      to_ = to;
      dry_run_ = dry_run;
      return RewindPlan{.moves = {{0, {9, 2}}}, .records = 7, .replays_skipped = true};
    };
    const std::vector<ApiSink> sinks = {copy, {"shop", "elsewhere", nullptr}};
    AddSinkRoutes(server_, [sinks] { return sinks; });
    AddReloadRoute(server_, [this] { return report_; });
    ASSERT_OK(server_.Start());
  }
  Result<nlohmann::ordered_json> Post(const std::string& path, const json& body) {
    return PostJson({"http://" + server_.address(), ""}, path, body);
  }
  Result<nlohmann::ordered_json> Rewind(const json& body) {
    return Post("/api/v1/pipelines/shop/sinks/copy/rewind", body);
  }

  HttpServer server_{{.listen = "127.0.0.1:0", .token = {}}};
  bool paused_ = false;
  std::optional<Error> failure_;
  RewindTarget to_;
  bool dry_run_ = false;
  Result<ReloadReport> report_ = ReloadReport();
};

TEST_F(SinkRoutes, PauseAndResumeSayWhetherTheyChangedAnything) {
  const std::string path = "/api/v1/pipelines/shop/sinks/copy";
  EXPECT_EQ((*Post(path + "/pause", json::object()))["changed"], true);
  EXPECT_EQ((*Post(path + "/pause", json::object()))["changed"], false);
  EXPECT_EQ((*Post(path + "/resume", json::object()))["changed"], true);
  EXPECT_FALSE(paused_);
}

TEST_F(SinkRoutes, RewindsToWhatIsSaid) {
  const auto plan = Rewind({{"to", "beginning"}, {"dry_run", true}});
  ASSERT_OK(plan);
  EXPECT_EQ((*plan)["records"], 7);
  EXPECT_EQ((*plan)["partitions"][0]["to"], 2);
  EXPECT_EQ((*plan)["replays_skipped"], true);
  EXPECT_TRUE(dry_run_);
  ASSERT_OK(Rewind({{"to", "2026-11-21T09:30:00Z"}}));
  EXPECT_EQ(to_.kind, RewindTarget::Kind::kTime);
  EXPECT_FALSE(dry_run_);
  ASSERT_OK(Rewind({{"to", {{"0", 5}, {"3", 7}}}}));
  EXPECT_EQ(to_.offsets, (Offsets{{0, 5}, {3, 7}}));
}

TEST_F(SinkRoutes, RefusesWhatItDoesNotUnderstand) {
  for (const json& body :
       {json::object(), json{{"to", "the end"}}, json{{"to", {{"x", 1}}}},
        json{{"to", {{"0", -1}}}}, json{{"to", json::object()}},
        json{{"to", "beginning"}, {"dryrun", true}}, json{{"to", "beginning"}, {"dry_run", 1}}}) {
    EXPECT_THAT(Rewind(body), IsErrorWith("request_refused")) << body;
  }
  EXPECT_THAT(Post("/api/v1/pipelines/shop/sinks/copy/pause", {{"for", "1h"}}),
              IsErrorWith("request_refused"));
  const auto unknown = Post("/api/v1/pipelines/shop/sinks/cpy/pause", json::object());
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("did you mean 'copy'"));
  EXPECT_THAT(Post("/api/v1/pipelines/shop/sinks/elsewhere/pause", json::object()),
              IsErrorWith("daemon_busy"));
}

TEST_F(SinkRoutes, ToldApartIsWhatWillPassAndWhatWillNot) {
  failure_ = Error{Disposition::kRetry, "sink_busy", "later"};
  EXPECT_THAT(Rewind({{"to", "beginning"}}), IsErrorWith("daemon_busy"));
  failure_ = Error{Disposition::kReject, "rewind_refused", "never"};
  EXPECT_THAT(Rewind({{"to", "beginning"}}), IsErrorWith("request_refused"));
}

TEST_F(SinkRoutes, AReloadTellsWhatBecameOfEachDifference) {
  report_ = ReloadReport{{}, {{"sink shop/copy", "added", {"shop.yaml", 7, 3}, ""}}};
  const auto answer = Post("/api/v1/reload", json::object());
  ASSERT_OK(answer);
  EXPECT_EQ((*answer)["outcomes"][0]["where"], "shop.yaml:7:3");
  EXPECT_EQ((*answer)["outcomes"][0]["outcome"], "added");
  report_ = ReloadReport{{"shop.yaml:1:1: no"}, {}};
  const auto refused = Post("/api/v1/reload", json::object());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("shop.yaml:1:1: no"));
}

}  // namespace
}  // namespace tailwater
