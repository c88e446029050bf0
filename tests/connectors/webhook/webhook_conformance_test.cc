#include <atomic>
#include <nlohmann/json.hpp>

#include "conformance/sink_conformance.h"
#include "connectors/webhook/webhook_fixture.h"

namespace tailwater::webhook {
namespace {

class WebhookHarness final : public SinkHarness {
 public:
  std::unique_ptr<Sink> NewSink() override {
    const ParsedSink parsed =
        ParseSink("url: " + receiver_.Url() + "\nsecret: " + std::string(kSecret) +
                  "\nallow_addresses: [127.0.0.1]\n");
    EXPECT_TRUE(parsed.problems.empty()) << parsed.problems.at(0);
    return std::make_unique<WebhookSink>(
        parsed.config, parsed.rules,
        SinkContext{"pipe", "copy", parsed.rules.selection, Logger("test"), metrics_});
  }
  std::optional<std::vector<std::string>> Events() override {
    std::vector<std::string> ids;
    for (const auto& request : receiver_.requests()) {
      ids.push_back(nlohmann::json::parse(request.body)["data"]["id"]);
    }
    return ids;
  }
  bool Block() override {
    blocked_ = true;
    return true;
  }
  void Unblock() override { blocked_ = false; }

 private:
  std::atomic<bool> blocked_ = false;
  Receiver receiver_{[this](const auto&) { return Receiver::Answer{blocked_ ? 500 : 200}; }};
  StubMetrics metrics_;
};

}  // namespace
}  // namespace tailwater::webhook

namespace tailwater {

INSTANTIATE_TEST_SUITE_P(Webhook, SinkConformance,
                         ::testing::Values([]() -> std::unique_ptr<SinkHarness> {
                           return std::make_unique<webhook::WebhookHarness>();
                         }));

}  // namespace tailwater
