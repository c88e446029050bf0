// The API of sources and their snapshots.
#include "http/source_routes.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli/api_client.h"
#include "support/http_calls.h"
#include "support/matchers.h"

namespace tailwater {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class SourceRoutes : public ::testing::Test {
 protected:
  void SetUp() override {
    AddSourceRoutes(server_, [this] {
      ApiPipeline shop;
      shop.name = "shop";
      shop.status = [] {
        PipelineStatus status;
        status.capture.emplace();
        SourceStatus orders;
        orders.name = "orders";
        orders.type = "postgres";
        orders.state = SourceState::kStreaming;
        SnapshotStatus unit;
        unit.id = 7;
        unit.request = {"public.orders", "", ""};
        unit.reason = "initial";
        unit.state = SnapshotState::kCopying;
        unit.rows = 25;
        unit.estimated_rows = 100;
        orders.snapshots.units.push_back(unit);
        orders.snapshots.tables_waiting = 1;
        status.capture->sources.push_back(orders);
        return status;
      };
      shop.request_snapshot =
          [this](const std::string& source,
                 const SnapshotRequest& request) -> Result<std::vector<SnapshotStatus>> {
        if (failure_) return *failure_;
        source_ = source;
        request_ = request;
        SnapshotStatus unit;
        unit.id = 8;
        unit.request = request;
        return std::vector{unit};
      };
      shop.change_snapshot = [this](const std::string&, std::optional<uint64_t> unit,
                                    SnapshotAction action) -> Status {
        if (failure_) return *failure_;
        unit_ = unit;
        action_ = action;
        return {};
      };
      return std::vector{shop};
    });
    ASSERT_OK(server_.Start());
  }
  Result<nlohmann::ordered_json> Get(const std::string& path) {
    return GetJson({"http://" + server_.address(), ""}, "/api/v1/pipelines/" + path);
  }
  Result<nlohmann::ordered_json> Post(const std::string& path, const json& body) {
    return PostJson({"http://" + server_.address(), ""}, "/api/v1/pipelines/" + path, body);
  }

  HttpServer server_{{.listen = "127.0.0.1:0", .token = {}}};
  std::optional<Error> failure_;
  std::string source_;
  SnapshotRequest request_;
  std::optional<uint64_t> unit_;
  SnapshotAction action_ = SnapshotAction::kPause;
};

TEST_F(SourceRoutes, ShowsSourcesAndTheirSnapshots) {
  const auto sources = Get("shop/sources");
  ASSERT_OK(sources);
  EXPECT_EQ((*sources)["sources"][0]["state"], "streaming");
  EXPECT_EQ((*sources)["sources"][0]["snapshots"]["tables_waiting"], 1);
  const auto snapshots = Get("shop/sources/orders/snapshots");
  ASSERT_OK(snapshots);
  EXPECT_EQ((*snapshots)["units"][0]["id"], 7);
  EXPECT_EQ((*snapshots)["units"][0]["percent"], 25);
  EXPECT_EQ((*snapshots)["units"][0]["state"], "copying");
  EXPECT_FALSE((*snapshots)["units"][0].contains("seconds_left"));
  EXPECT_THAT(Get("shop/sources/oders/snapshots").error().message, HasSubstr("'orders'"));
  EXPECT_THAT(Get("shp/sources").error().message, HasSubstr("'shop'"));
}

TEST_F(SourceRoutes, RequestsASnapshot) {
  const auto answer = Post("shop/sources/orders/snapshots",
                           {{"table", "public.orders"}, {"where", "id < 5"}, {"sink", "search"}});
  ASSERT_OK(answer);
  EXPECT_EQ((*answer)["units"][0]["id"], 8);
  EXPECT_EQ(source_, "orders");
  EXPECT_EQ(request_.where, "id < 5");
  EXPECT_EQ(request_.addressee, "search");
}

TEST_F(SourceRoutes, RefusesWhatItDoesNotUnderstand) {
  const std::string path = "shop/sources/orders/snapshots";
  EXPECT_THAT(Post(path, json::object()).error().message, HasSubstr("'table' is missing"));
  EXPECT_THAT(Post(path, {{"table", 7}}).error().message, HasSubstr("'table' is no text"));
  EXPECT_THAT(Post(path, {{"tabel", "a"}}).error().message, HasSubstr("did you mean 'table'"));
  EXPECT_THAT(Post(path + "/pause", {{"unit", "7"}}).error().message, HasSubstr("'unit'"));
  failure_ = Error{Disposition::kReject, "table_not_captured", "no such table"};
  EXPECT_THAT(Post(path, {{"table", "a"}}), IsErrorWith("request_refused"));
}

TEST_F(SourceRoutes, PausesResumesAndCancels) {
  const std::string path = "shop/sources/orders/snapshots";
  ASSERT_OK(Post(path + "/pause", {{"unit", 7}}));
  EXPECT_EQ(unit_, 7u);
  EXPECT_EQ(action_, SnapshotAction::kPause);
  ASSERT_OK(Post(path + "/resume", json::object()));
  EXPECT_EQ(unit_, std::nullopt);
  EXPECT_EQ(action_, SnapshotAction::kResume);
  ASSERT_OK(Post(path + "/cancel", {{"unit", 7}}));
  EXPECT_EQ(action_, SnapshotAction::kCancel);
}

}  // namespace
}  // namespace tailwater
