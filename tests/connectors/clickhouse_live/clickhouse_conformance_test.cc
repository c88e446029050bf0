#include "conformance/sink_conformance.h"
#include "connectors/clickhouse_live/live_clickhouse.h"

namespace tailwater {
namespace {

using clickhouse::LiveClickHouse;

class ClickHouseHarness final : public SinkHarness {
 public:
  ClickHouseHarness(std::string flavour, clickhouse::Mode mode)
      : server_(LiveClickHouse::Shared(flavour)), mode_(mode) {
    server_.Execute("CREATE DATABASE " + database_);
  }
  ~ClickHouseHarness() override { server_.Execute("DROP DATABASE " + database_); }

  std::unique_ptr<Sink> NewSink() override {
    clickhouse::ClickHouseConfig config = clickhouse::LiveConfig(server_, database_);
    config.mode = mode_;
    return clickhouse::NewLiveSink(config, metrics_);
  }
  std::optional<std::vector<std::string>> Orders() override {
    if (mode_ == clickhouse::Mode::kChangelog) return std::nullopt;
    const auto there = server_.Rows("SELECT name FROM system.tables WHERE database = '" +
                                    database_ + "' AND name = 'orders'");
    if (there.empty()) return std::vector<std::string>();
    return server_.Rows("SELECT id, ifNull(note, 'NULL') FROM " + database_ +
                        ".orders FINAL WHERE _deleted = 0 ORDER BY id");
  }
  bool stops_tables() const override { return true; }
  bool tells_superseded() const override {
    return false;
  }  // the newest version wins when it is read
  bool Block() override {
    server_.Command("stop");
    return true;
  }
  void Unblock() override { server_.Command("start"); }

 private:
  LiveClickHouse& server_;
  const clickhouse::Mode mode_;
  const std::string database_ = LiveClickHouse::NewName();
  StubMetrics metrics_;
};

std::function<std::unique_ptr<SinkHarness>()> Harness(std::string flavour, clickhouse::Mode mode) {
  return [=] { return std::make_unique<ClickHouseHarness>(flavour, mode); };
}

INSTANTIATE_TEST_SUITE_P(EngineBehindHttp, SinkConformance,
                         ::testing::Values(Harness(clickhouse::kEngine,
                                                   clickhouse::Mode::kMirror)));
INSTANTIATE_TEST_SUITE_P(EngineBehindHttpChangelog, SinkConformance,
                         ::testing::Values(Harness(clickhouse::kEngine,
                                                   clickhouse::Mode::kChangelog)));
INSTANTIATE_TEST_SUITE_P(Server1816, SinkConformance,
                         ::testing::Values(Harness(clickhouse::kOldServer,
                                                   clickhouse::Mode::kMirror)));

}  // namespace
}  // namespace tailwater
