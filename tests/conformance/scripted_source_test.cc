// The suite against the scripted source: proves the suite itself and the capture half.
#include "support/scripted_source.h"

#include "conformance/source_conformance.h"

namespace tailwater {
namespace {

class ScriptedBench final : public SourceBench {
 public:
  std::string type() const override { return "scripted"; }
  Result<std::unique_ptr<Source>> Make() override { return server_.Connect(); }
  void Commit(int64_t first_id, int count) override { server_.CommitIds(first_id, count); }
  void Interrupt() override { server_.Interrupt(); }

 private:
  ScriptedServer server_;
};

std::unique_ptr<SourceBench> MakeScriptedBench() { return std::make_unique<ScriptedBench>(); }

INSTANTIATE_TEST_SUITE_P(Scripted, SourceConformance, ::testing::Values(&MakeScriptedBench));

}  // namespace
}  // namespace tailwater
