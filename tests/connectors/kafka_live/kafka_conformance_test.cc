#include "conformance/sink_conformance.h"
#include "connectors/kafka_live/kafka_fixture.h"

namespace tailwater {
namespace {

class KafkaHarness final : public SinkHarness {
 public:
  explicit KafkaHarness(const std::string& yaml) : target_(yaml) {}
  std::unique_ptr<Sink> NewSink() override { return target_.NewSink(); }
  bool rejects_malformed_values() const override { return true; }

 private:
  kafka_sink::KafkaTarget target_;
};

std::unique_ptr<SinkHarness> WithSchemas() { return std::make_unique<KafkaHarness>(""); }
std::unique_ptr<SinkHarness> PlainJson() {
  return std::make_unique<KafkaHarness>("format: json\n");
}

INSTANTIATE_TEST_SUITE_P(Kafka, SinkConformance, ::testing::Values(&WithSchemas, &PlainJson));

}  // namespace
}  // namespace tailwater
