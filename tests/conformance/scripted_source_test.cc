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

  void Preload(int64_t first_id, int count) override {
    server_.AllowSnapshots();
    server_.DisturbReads();
    server_.Preload(first_id, count);
  }
  void Update(int64_t id) override {
    if (!server_.Table().contains(id)) return;
    server_.Commit({{id, "updated " + std::to_string(++updates_), Operation::kUpdate}});
  }
  void Delete(int64_t id) override {
    if (server_.Table().contains(id)) server_.Commit({{id, "", Operation::kDelete}});
  }
  void Replace(int64_t first_id, int count) override { server_.Replace(first_id, count); }
  std::set<std::string> Table() override {
    std::set<std::string> rows;
    for (const auto& [id, note] : server_.Table()) rows.insert(std::to_string(id) + "," + note);
    return rows;
  }

 private:
  ScriptedServer server_;
  int updates_ = 0;
};

std::unique_ptr<SourceBench> MakeScriptedBench() { return std::make_unique<ScriptedBench>(); }

INSTANTIATE_TEST_SUITE_P(Scripted, SourceConformance, ::testing::Values(&MakeScriptedBench));
INSTANTIATE_TEST_SUITE_P(Scripted, ReplacedRowsConformance, ::testing::Values(&MakeScriptedBench));

}  // namespace
}  // namespace tailwater
