#include "stdout/stdout_sink.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "conformance/sink_conformance.h"

namespace tailwater {
namespace {

class StdoutHarness final : public SinkHarness {
 public:
  StdoutHarness() {
    std::string path = std::filesystem::temp_directory_path() / "tailwater-stdout-XXXXXX";
    close(mkstemp(path.data()));
    path_ = path;
  }
  ~StdoutHarness() override { std::filesystem::remove(path_); }

  std::unique_ptr<Sink> NewSink() override {
    return std::make_unique<StdoutSink>(StdoutSinkConfig{path_}, metrics_);
  }
  std::optional<std::vector<std::string>> Events() override {
    std::vector<std::string> ids;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);)
      ids.push_back(nlohmann::json::parse(line)["id"]);
    return ids;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  StubMetrics metrics_;
};

INSTANTIATE_TEST_SUITE_P(Stdout, SinkConformance,
                         ::testing::Values([]() -> std::unique_ptr<SinkHarness> {
                           return std::make_unique<StdoutHarness>();
                         }));

TEST(StdoutSinkTest, WritesOneLinePerChangeAndNoneForFrontiers) {
  StdoutHarness harness;
  const auto sink = harness.NewSink();
  ASSERT_OK(sink->Open());
  const SchemaPtr schema = TestSchema("orders", {"id*:int64", "doc:json"});
  DeliveryBatchBuilder batch;
  batch.Insert(schema, 1, {Value::Int64(1), Value::Json("{\n\"a\": 1}")})
      .Add({.operation = Operation::kFrontier, .version = 2, .frontier = "0/1", .log_id = "log"})
      .Add({.operation = Operation::kTruncate, .schema = schema.get(), .version = 3});
  ASSERT_OK(sink->Write(batch.Build()));
  EXPECT_EQ(harness.Events()->size(), 2u);
}

TEST(StdoutSinkTest, NamesTheFileThatItCannotOpen) {
  StubMetrics metrics;
  StdoutSink sink({"/nonexistent/folder/file"}, metrics);
  EXPECT_THAT(sink.Open(), IsErrorWith("stdout_cannot_open"));
}

TEST(StdoutSinkTest, BacksOffWhenTheDiskIsFull) {
  StubMetrics metrics;
  StdoutSink sink({"/dev/full"}, metrics);
  ASSERT_OK(sink.Open());
  const SchemaPtr schema = TestSchema("orders", {"id*:int64"});
  DeliveryBatchBuilder batch;
  batch.Insert(schema, 1, {Value::Int64(1)});
  EXPECT_THAT(sink.Write(batch.Build()), IsErrorWith("stdout_write_failed"));
}

}  // namespace
}  // namespace tailwater
