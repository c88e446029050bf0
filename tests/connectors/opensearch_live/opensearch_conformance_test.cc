#include <algorithm>

#include "conformance/sink_conformance.h"
#include "connectors/opensearch_live/live_search.h"

namespace tailwater {
namespace {

using opensearch::LiveSearch;

class OpenSearchHarness final : public SinkHarness {
 public:
  ~OpenSearchHarness() override { LiveSearch::Shared().StatusOf("DELETE", "/" + prefix_ + "_*"); }

  std::unique_ptr<Sink> NewSink() override {
    opensearch::OpenSearchConfig config = opensearch::LiveConfig(prefix_);
    return opensearch::NewLiveSink(config, metrics_);
  }
  std::optional<std::vector<std::string>> Orders() override {
    std::map<int, std::string> rows;
    for (const auto& [unused, row] : LiveSearch::Shared().Documents(prefix_ + "_orders")) {
      const int id = row["id"];
      rows[id] = std::to_string(id) + "|" +
                 (row["note"].is_null() ? "NULL" : row["note"].get<std::string>());
    }
    std::vector<std::string> lines;
    for (const auto& [unused, line] : rows) lines.push_back(line);
    return lines;
  }
  bool stops_tables() const override { return true; }
  bool Block() override {
    LiveSearch::Shared().Command("stop");
    return true;
  }
  void Unblock() override { LiveSearch::Shared().Command("start"); }

 private:
  const std::string prefix_ = LiveSearch::NewName();
  StubMetrics metrics_;
};

INSTANTIATE_TEST_SUITE_P(OpenSearch, SinkConformance,
                         ::testing::Values([]() -> std::unique_ptr<SinkHarness> {
                           return std::make_unique<OpenSearchHarness>();
                         }));

}  // namespace
}  // namespace tailwater
