// A CaptureWriter in front of a stub topic, with everything that a run of a source needs.
#pragma once

#include <gmock/gmock.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "monitor/metrics_registry.h"
#include "pipeline/capture_writer.h"
#include "support/manual_clock.h"
#include "support/matchers.h"
#include "support/memory_topic.h"
#include "support/text.h"
#include "support/topic_contents.h"

namespace tailwater {

inline constexpr int64_t kCommitTime = 1'780'000'000'000'000;

class CaptureWriterTest : public ::testing::Test {
 protected:
  // Before anything that the topic's last answers still reach.
  void TearDown() override {
    gate_.reset();
    writer_.reset();
  }

  void Open(StubMemoryTopic::Options options = {}) {
    topic_options_ = options;
    topic_ = std::make_unique<StubMemoryTopic>(options);
    Start();
  }
  // As a new process does it: everything but the topic is new.
  void Start() {
    run_stop_ = std::stop_source();
    auto writer = topic_->OpenWriter({}, {});
    ASSERT_OK(writer);
    gate_ = std::make_unique<TopicGate>(*std::move(writer));
    NewRun();
  }
  // As the runner does it after a source's run ended.
  void NewRun() {
    auto loaded = Checkpoint::Load("shop", "scripted", *gate_->writer().LoadState(),
                                   gate_->writer().log_id(), *gate_->writer().Ends(), clock_);
    ASSERT_OK(loaded);
    writer_.reset();
    checkpoint_ = *std::move(loaded);
    reporter_.ForgetInFlight();
    writer_ = std::make_unique<CaptureWriter>(
        "shop", *checkpoint_, *gate_, reporter_, options_, clock_,
        CaptureWriter::Hooks{
            .release =
                [this](DurableFrontier frontier) { released_.push_back(frontier.position().text); },
            .topic_failed = [this] { ++topic_failures_; },
            .wake = [this] { ++wakes_; },
            .snapshots = port_},
        run_stop_.get_token());
  }
  // The process dies: what the topic has not stored is gone.
  void Crash() {
    topic_->Crash();
    gate_.reset();
    writer_.reset();
    checkpoint_.reset();
    Start();
  }

  static SchemaPtr Orders() {
    static const SchemaPtr kSchema = TableSchema::Make(
        {"public", "orders"},
        {{"id", ValueType::kInt64, "int8", true}, {"note", ValueType::kText, "text"}});
    return kSchema;
  }
  Status Begin(std::string_view position) { return writer_->Begin({position, "701", kCommitTime}); }
  Status Insert(uint64_t ordinal, int64_t id, std::string_view note = "x", uint32_t part = 0,
                const SchemaPtr& schema = Orders()) {
    const Value row[] = {Value::Int64(id), Value::Text(note)};
    Change change;
    change.operation = Operation::kInsert;
    change.table = schema->table();
    change.schema = schema.get();
    change.ordinal = ordinal;
    change.part = part;
    change.after = row;
    return writer_->Append(change);
  }
  // One transaction of one row, whole.
  void Transaction(int number, std::string_view note = "x") {
    ASSERT_OK(Begin(fmt::format("0/{}", number * 10)));
    ASSERT_OK(Insert(0, number, note));
    ASSERT_OK(writer_->Commit(fmt::format("0/{}", number * 10 + 5)));
  }
  std::vector<std::string> Log() { return Describe(Contents(*topic_, topic_options_.partitions)); }
  std::vector<std::string> RowLog() {
    return Describe(Rows(Contents(*topic_, topic_options_.partitions)));
  }
  std::optional<std::string> StoredFrontier() {
    auto loaded = Checkpoint::Load("shop", "scripted", topic_->State(), gate_->writer().log_id(),
                                   *gate_->writer().Ends(), clock_);
    EXPECT_OK(loaded);
    const auto& frontier = (*loaded)->resume_point().frontier;
    return frontier ? std::optional(frontier->text) : std::nullopt;
  }
  void ExpectUniqueIds() {
    std::set<std::pair<int32_t, std::string>> ids;
    for (const auto& record : Contents(*topic_, topic_options_.partitions)) {
      EXPECT_TRUE(ids.insert({record.partition, record.id}).second) << record.id;
    }
  }

  ManualClock clock_;
  SnapshotPort* port_ = nullptr;  // of the next run
  MetricsRegistry metrics_;
  CaptureOptions options_;
  StubMemoryTopic::Options topic_options_;
  std::unique_ptr<StubMemoryTopic> topic_;
  SourceReporter reporter_{"shop", "scripted", metrics_.root(), clock_};
  std::unique_ptr<Checkpoint> checkpoint_;
  std::unique_ptr<CaptureWriter> writer_;
  std::unique_ptr<TopicGate> gate_;
  std::stop_source run_stop_;
  std::vector<std::string> released_;
  int topic_failures_ = 0;
  int wakes_ = 0;
};

}  // namespace tailwater
