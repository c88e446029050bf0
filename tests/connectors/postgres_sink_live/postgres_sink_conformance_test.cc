#include "conformance/sink_conformance.h"
#include "connectors/postgres_sink_live/postgres_sink_harness.h"

namespace tailwater {
namespace {

INSTANTIATE_TEST_SUITE_P(Postgres, SinkConformance,
                         ::testing::Values([]() -> std::unique_ptr<SinkHarness> {
                           return std::make_unique<postgres::PostgresSinkHarness>();
                         }));

}  // namespace
}  // namespace tailwater
