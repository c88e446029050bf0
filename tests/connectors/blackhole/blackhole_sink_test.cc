#include "blackhole/blackhole_sink.h"

#include "conformance/sink_conformance.h"

namespace tailwater {
namespace {

class BlackholeHarness final : public SinkHarness {
 public:
  std::unique_ptr<Sink> NewSink() override { return std::make_unique<BlackholeSink>(metrics_); }
  bool rejects_malformed_values() const override { return false; }

 private:
  StubMetrics metrics_;
};

INSTANTIATE_TEST_SUITE_P(Blackhole, SinkConformance,
                         ::testing::Values([]() -> std::unique_ptr<SinkHarness> {
                           return std::make_unique<BlackholeHarness>();
                         }));

TEST(BlackholeSinkTest, CountsTheBytesThatWentBy) {
  StubMetrics metrics;
  BlackholeSink sink(metrics);
  DeliveryBatchBuilder batch;
  const SchemaPtr schema = TestSchema("orders", {"id*:int64"});
  batch.Insert(schema, 1, {Value::Int64(1)});
  ASSERT_OK(sink.Write(batch.Build()));
  EXPECT_EQ(metrics.Value("tailwater_sink_bytes_written_total"),
            static_cast<double>(batch.Build().deliveries[0].value.size()));
}

}  // namespace
}  // namespace tailwater
