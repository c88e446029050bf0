// tailwater sources, against a server that answers as a daemon does.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "cli/snapshot_progress.h"
#include "http/source_routes.h"
#include "monitor/status.h"
#include "support/matchers.h"
#include "tailwater/registry.h"

namespace tailwater {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

class SourcesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    unsetenv("TAILWATER_URL");
    unsetenv("TAILWATER_TOKEN");
    SourceStatus orders;
    orders.name = "orders";
    orders.type = "postgres";
    orders.state = SourceState::kStreaming;
    orders.snapshots.tables_copied = 2;
    status_.name = "shop";
    status_.capture.emplace();
    status_.capture->sources.push_back(orders);
    LogWatchStatus log;
    log.health.emplace();
    log.health->state = "reserved";
    log.health->retained_bytes = 4096;
    log.health->active = true;
    status_.logs["orders"] = log;
    server_.Handle("GET", "/api/v1/status", [this](const HttpRequest&) {
      return HttpResponse{200, "application/json", StatusJson({0, 0, {status_}})};
    });
    AddSourceRoutes(server_, [this] {
      ApiPipeline shop;
      shop.name = "shop";
      shop.status = [this] {
        // A bit further at every look.
        for (SnapshotStatus& unit : Units()) {
          unit.rows = std::min<uint64_t>(100, unit.rows + 50);
          if (unit.rows < 100 || unit.ended_micros) continue;
          unit.state = SnapshotState::kDone;
          unit.ended_micros = 1'780'000'000'000'000;
        }
        return status_;
      };
      shop.request_snapshot =
          [this](const std::string&,
                 const SnapshotRequest& request) -> Result<std::vector<SnapshotStatus>> {
        if (failure_) return *failure_;
        SnapshotStatus unit;
        unit.id = 7;
        unit.request = request;
        unit.reason = "requested";
        unit.state = SnapshotState::kCopying;
        unit.estimated_rows = 100;
        Units().push_back(unit);
        return std::vector{unit};
      };
      shop.change_snapshot = [this](const std::string&, std::optional<uint64_t> unit,
                                    SnapshotAction) -> Status {
        if (failure_) return *failure_;
        changed_ = unit;
        return {};
      };
      return std::vector{shop};
    });
    ASSERT_OK(server_.Start());
  }
  std::vector<SnapshotStatus>& Units() { return status_.capture->sources[0].snapshots.units; }

  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"tailwater", "sources"});
    arguments.insert(arguments.end(), {"--server", server_.address()});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int code = RunCommandLine(static_cast<int>(argv.size()), argv.data(), Registry());
    std::fflush(stdout);
    out_ = ::testing::internal::GetCapturedStdout();
    error_ = ::testing::internal::GetCapturedStderr();
    return code;
  }

  HttpServer server_{{.listen = "127.0.0.1:0", .token = {}}};
  PipelineStatus status_;
  std::optional<Error> failure_;
  std::optional<uint64_t> changed_;
  std::string out_;
  std::string error_;
};

TEST_F(SourcesTest, ListShowsWhatIsCopied) {
  EXPECT_EQ(Run({"list"}), 0) << error_;
  EXPECT_THAT(out_, HasSubstr("shop/orders"));
  EXPECT_THAT(out_, HasSubstr("2 tables"));
  EXPECT_EQ(Run({"list", "-o", "json"}), 0);
  EXPECT_EQ(json::parse(out_)["sources"][0]["snapshots"]["tables_copied"], 2);
}

TEST_F(SourcesTest, SnapshotShowsProgressUntilItIsDone) {
  EXPECT_EQ(Run({"snapshot", "orders", "public.orders", "--where", "id < 5"}), 0) << error_;
  EXPECT_THAT(out_, HasSubstr("public.orders"));
  EXPECT_THAT(out_, HasSubstr("100.0%"));
  EXPECT_THAT(out_, HasSubstr("snapshot 7 done: 100 rows published"));
  EXPECT_EQ(Units()[0].request.where, "id < 5");
}

TEST_F(SourcesTest, SnapshotMayReturnAtOnce) {
  EXPECT_EQ(Run({"snapshot", "orders", "public.orders", "--no-wait"}), 0) << error_;
  EXPECT_THAT(out_, HasSubstr("tailwater sources cancel shop/orders 7"));
  EXPECT_EQ(
      Run({"snapshot", "orders", "public.orders", "--sink", "search", "--no-wait", "-o", "json"}),
      0);
  EXPECT_EQ(json::parse(out_)["units"][0]["sink"], "search");
}

TEST_F(SourcesTest, SaysWhatTheDaemonSays) {
  failure_ = Error{Disposition::kReject, "table_not_captured", "did you mean 'public.orders'?"};
  EXPECT_EQ(Run({"snapshot", "orders", "public.ordres"}), 1);
  EXPECT_THAT(error_, HasSubstr("did you mean 'public.orders'"));
  EXPECT_EQ(Run({"snapshot", "oders", "public.orders"}), 2);
  EXPECT_THAT(error_, HasSubstr("shop/orders"));
}

TEST_F(SourcesTest, PausesAndCancels) {
  EXPECT_EQ(Run({"pause", "orders", "7"}), 0) << error_;
  EXPECT_EQ(changed_, 7u);
  EXPECT_EQ(Run({"resume"}), 0) << error_;
  EXPECT_EQ(changed_, std::nullopt);
  EXPECT_EQ(Run({"cancel", "orders"}), 2) << "all of them only if that is said";
  EXPECT_EQ(Run({"cancel", "orders", "--all"}), 0) << error_;
}

TEST_F(SourcesTest, NamesStaleTables) {
  status_.capture->sources[0].snapshots.stale.push_back({"shop.orders", "RENAME TABLE", 1});
  EXPECT_EQ(Run({"list"}), 0) << error_;
  EXPECT_THAT(out_, HasSubstr("tailwater sources snapshot shop/orders shop.orders"));
  EXPECT_EQ(Run({"list", "-o", "json"}), 0);
  EXPECT_EQ(json::parse(out_)["sources"][0]["snapshots"]["stale"][0]["why"], "RENAME TABLE");
}

TEST_F(SourcesTest, SlotsShowsTheHeadroomOfAServerThatKeepsNoPlaceForUs) {
  LogHealth& health = *status_.logs["orders"].health;
  health.retained_bytes.reset();
  health.headroom_bytes = 1 << 20;
  health.headroom_seconds = 7200;
  health.safe_seconds = 172'800;
  EXPECT_EQ(Run({"slots"}), 0) << error_;
  EXPECT_THAT(out_, HasSubstr("nothing for us"));
  EXPECT_THAT(out_, HasSubstr("2 d"));
  EXPECT_THAT(out_,
              HasSubstr("the server's log reaches 1.0 MiB (2 h) further back than our place"));
  health.state = "lost";
  health.headroom_bytes = 0;
  health.headroom_seconds.reset();
  health.safe_seconds.reset();
  EXPECT_EQ(Run({"slots"}), 0) << error_;
  EXPECT_THAT(out_, Not(HasSubstr("than our place")));
  EXPECT_THAT(out_, Not(HasSubstr("no limit")));
}

TEST_F(SourcesTest, SlotsShowsWhatTheServersKeep) {
  EXPECT_EQ(Run({"slots"}), 0) << error_;
  EXPECT_THAT(out_, HasSubstr("4.0 KiB"));
  EXPECT_THAT(out_, HasSubstr("reserved"));
  EXPECT_EQ(Run({"slots", "-o", "json"}), 0);
  EXPECT_EQ(json::parse(out_)["slots"][0]["retained_bytes"], 4096);
}

TEST(SnapshotProgressTest, ABarFitsTheTerminalAndNamesWhatItWaitsFor) {
  const nlohmann::ordered_json unit = {
      {"table", "public.orders"}, {"state", "throttled"},   {"percent", 50}, {"rows", 1200},
      {"estimated_rows", 2400},   {"waits_for", "the disk"}};
  const std::string line = ProgressBar(unit, 0);
  EXPECT_THAT(line, HasSubstr("50.0%"));
  EXPECT_THAT(line, HasSubstr("1,200 of about 2,400 rows"));
  EXPECT_THAT(line, HasSubstr("throttled: the disk"));
  EXPECT_LE(ProgressBar(unit, 40).size(), 40 + 2 * 24u + 3);
}

}  // namespace
}  // namespace tailwater
