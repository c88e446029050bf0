// The suite of sinks over the scripted concurrent sink: what the suite asks of one is what the
// runner's tests take for granted.
#include "support/scripted_concurrent_sink.h"

#include "conformance/sink_conformance.h"

namespace tailwater {
namespace {

class ScriptedHarness final : public SinkHarness {
 public:
  std::unique_ptr<Sink> NewSink() override {
    return std::make_unique<ScriptedConcurrentSink>(target_, flights_);
  }
  std::optional<std::vector<std::string>> Events() override {
    std::vector<std::string> ids;
    for (const auto& event : target_.events) ids.push_back(event.id);
    return ids;
  }
  bool Block() override {
    target_.verdict = [](const Delivery&) {
      return Verdict::Unavailable("down", "down on purpose", {});
    };
    return true;
  }
  void Unblock() override { target_.verdict = nullptr; }
  bool rejects_malformed_values() const override { return false; }

 private:
  ScriptedTarget target_;
  ScriptedFlights flights_;
};

INSTANTIATE_TEST_SUITE_P(ScriptedConcurrent, SinkConformance,
                         ::testing::Values([]() -> std::unique_ptr<SinkHarness> {
                           return std::make_unique<ScriptedHarness>();
                         }));

}  // namespace
}  // namespace tailwater
