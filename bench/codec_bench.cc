// Cost per change of the wire form: a small row as pgbench's accounts have it, and a wide one.
//   cmake --preset bench && cmake --build build/bench --target codec_bench &&
//   build/bench/bench/codec_bench
#include <benchmark/benchmark.h>

#include "codec/codec.h"

namespace tailwater {
namespace {

// An update of `columns` columns: an integer key, then integers and texts in turn.
const Change& AppendUpdate(size_t columns, ChangeBatch& batch) {
  std::vector<Column> described(columns);
  for (size_t i = 0; i < columns; ++i) {
    const bool is_text = i % 2 == 1;
    described[i] = {"column" + std::to_string(i), is_text ? ValueType::kText : ValueType::kInt64,
                    is_text ? "text" : "int8", i == 0, false};
  }
  const SchemaPtr schema = TableSchema::Make({"public", "pgbench_accounts"}, std::move(described));
  batch.Keep(schema);
  const std::span<Value> row = batch.NewRow(columns);
  for (size_t i = 0; i < columns; ++i) {
    row[i] = i % 2 == 1 ? Value::Text("a value of common length")
                        : Value::Int64(1'000'003 * static_cast<int64_t>(i + 1));
  }
  Change& change = batch.Append();
  change.operation = Operation::kUpdate;
  change.source = "shop";
  change.table = schema->table();
  change.schema = schema.get();
  change.epoch = 25'920'000;
  change.position = "16/B374D848";
  change.ordinal = 2;
  change.version = int64_t{25'920'000} << 31;
  change.source_time_micros = 1'790'000'000'000'000;
  change.transaction_id = "74123";
  change.after = row;
  return change;
}

void BM_Encode(benchmark::State& state) {
  ChangeBatch batch;
  const Change& change = AppendUpdate(static_cast<size_t>(state.range(0)), batch);
  Encoder encoder;
  std::string out;
  for (auto _ : state) {
    if (out.size() > 256 << 10) out.clear();
    encoder.EncodeChange(change, out);
    benchmark::DoNotOptimize(out.data());
  }
  std::string one;
  encoder.EncodeChange(change, one);
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * one.size()));
}
BENCHMARK(BM_Encode)->Arg(4)->Arg(30);

void BM_EncodeKeyAndPartition(benchmark::State& state) {
  ChangeBatch batch;
  const Change& change = AppendUpdate(4, batch);
  Encoder encoder;
  std::string key;
  for (auto _ : state) {
    key.clear();
    encoder.EncodeKey(change, key);
    benchmark::DoNotOptimize(PartitionOf(key, 12));
  }
}
BENCHMARK(BM_EncodeKeyAndPartition);

void BM_Decode(benchmark::State& state) {
  ChangeBatch batch;
  std::string wire;
  Encoder().EncodeChange(AppendUpdate(static_cast<size_t>(state.range(0)), batch), wire);
  Decoder decoder;
  ChangeBatch decoded;
  for (auto _ : state) {
    if (decoded.changes().size() == 512) decoded.Clear();
    if (!decoder.Decode(wire, decoded)) state.SkipWithError("the record cannot be read");
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * wire.size()));
}
BENCHMARK(BM_Decode)->Arg(4)->Arg(30);

void BM_PeekHeaders(benchmark::State& state) {
  ChangeBatch batch;
  std::string wire;
  Encoder().EncodeChange(AppendUpdate(4, batch), wire);
  for (auto _ : state) benchmark::DoNotOptimize(PeekHeaders(wire));
}
BENCHMARK(BM_PeekHeaders);

}  // namespace
}  // namespace tailwater
