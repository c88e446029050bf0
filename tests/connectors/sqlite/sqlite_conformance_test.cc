#include "conformance/sink_conformance.h"
#include "connectors/sqlite/sqlite_harness.h"

namespace tailwater {
namespace {

INSTANTIATE_TEST_SUITE_P(Sqlite, SinkConformance,
                         ::testing::Values([]() -> std::unique_ptr<SinkHarness> {
                           return std::make_unique<SqliteHarness>();
                         }));

}  // namespace
}  // namespace tailwater
