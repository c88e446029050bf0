// Cost per change of capture behind the decoder: key, numbering, encoding, batching and checkpoint,
// in front of a topic that takes everything and keeps nothing.
//   cmake --preset bench && cmake --build build/bench --target capture_bench &&
//   build/bench/bench/capture_bench
#include <benchmark/benchmark.h>

#include "monitor/metrics_registry.h"
#include "pipeline/capture_writer.h"

namespace tailwater {
namespace {

class DiscardingWriter final : public TopicWriter {
 public:
  explicit DiscardingWriter(int32_t partitions) : partitions_(partitions) {
    for (int32_t i = 0; i < partitions; ++i) ends_[i] = 0;
  }
  int32_t partitions() const override { return partitions_; }
  const std::string& log_id() const override { return log_id_; }
  Result<std::map<std::string, std::string>> LoadState() override {
    return std::map<std::string, std::string>();
  }
  Result<Offsets> Ends() override { return ends_; }
  size_t max_record_bytes() const override { return 16 << 20; }
  void Append(AppendBatch batch, AppendDone done) override {
    benchmark::DoNotOptimize(batch.buffer().data());
    done(AppendReceipt{ends_});
  }
  bool WaitForRoom(std::chrono::milliseconds) override { return true; }
  size_t queued_bytes() const override { return 0; }
  void Flush() override {}
  Status Recover() override { return {}; }

 private:
  const int32_t partitions_;
  const std::string log_id_ = "bench";
  Offsets ends_;
};

// Arguments: rows per transaction, partitions, transactions per flush.
void BM_Capture(benchmark::State& state) {
  const int64_t rows = state.range(0);
  const int64_t transactions_per_flush = state.range(2);
  const SystemClock clock;
  const CaptureOptions options;
  MetricsRegistry metrics;
  TopicGate gate(std::make_unique<DiscardingWriter>(static_cast<int32_t>(state.range(1))));
  SourceReporter reporter("shop", "bench", metrics.root(), clock);
  auto checkpoint =
      Checkpoint::Load("shop", "bench", {}, gate.writer().log_id(), *gate.writer().Ends(), clock);
  CaptureWriter writer("shop", **checkpoint, gate, reporter, options, clock,
                       {.release = [](DurableFrontier) {}, .topic_failed = [] {}, .wake = [] {}},
                       {});

  const SchemaPtr schema =
      TableSchema::Make({"public", "pgbench_accounts"}, {{"aid", ValueType::kInt64, "int8", true},
                                                         {"bid", ValueType::kInt64, "int8"},
                                                         {"abalance", ValueType::kInt64, "int8"},
                                                         {"filler", ValueType::kText, "text"}});
  Value row[] = {Value::Int64(1), Value::Int64(7), Value::Int64(-1234),
                 Value::Text("a value of common length")};
  Change change;
  change.operation = Operation::kUpdate;
  change.table = schema->table();
  change.schema = schema.get();
  change.after = row;
  int64_t key = 0, transaction = 0;
  for (auto _ : state) {
    bool ok = bool(writer.Begin({"16/B374D848", "74123", clock.UnixMicros()}));
    for (int64_t i = 0; i < rows; ++i) {
      row[0] = Value::Int64(++key);
      change.ordinal = static_cast<uint64_t>(i);
      ok &= bool(writer.Append(change));
    }
    ok &= bool(writer.Commit("16/B374D900"));
    if (++transaction % transactions_per_flush == 0) ok &= bool(writer.Flush());
    if (!ok) state.SkipWithError("a call failed");
  }
  state.SetItemsProcessed(state.iterations() * rows);
}
BENCHMARK(BM_Capture)
    ->ArgNames({"rows", "partitions", "flush"})
    ->Args({100, 1, 50})
    ->Args({100, 12, 50})
    ->Args({1, 1, 300})
    ->Args({1, 1, 1});

}  // namespace
}  // namespace tailwater
