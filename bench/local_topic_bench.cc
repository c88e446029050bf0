// What the local topic costs: appending, with state, at the size of small changes, and reading
// back.
//   cmake --preset bench && cmake --build build/bench --target local_topic_bench &&
//   build/bench/bench/local_topic_bench
// The folder is made below TMPDIR. CPU is that of the whole process, appending thread included.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>

#include "topic/local/local_topic.h"

namespace tailwater {
namespace {

// Records as capture makes them: a key, a short head, the table's schema block (the same in each
// record), and a row of a shop's order.
std::vector<std::pair<std::string, std::string>> MakeRecords(size_t schema_bytes) {
  std::mt19937_64 random(1);
  std::string schema;
  for (size_t i = 0; i < schema_bytes; ++i)
    schema.push_back(static_cast<char>('a' + random() % 26));
  static constexpr const char* kWords[] = {"alpha ", "beta ", "order ", "ship ", "late ", "paid "};
  std::vector<std::pair<std::string, std::string>> records;
  for (int i = 0; i < 20'000; ++i) {
    const std::string id = std::to_string(1'000'000 + i);
    std::string value = "shop public.orders 16/B374D848 " + id;
    for (int j = 0; j < 8; ++j) value.push_back(static_cast<char>(random()));
    value += schema;
    value += id + "|" + std::to_string(random() % 100'000) + "|" + std::to_string(random() % 1000);
    while (value.size() < 130 + schema_bytes) value += kWords[random() % 6];
    records.emplace_back("shop public.orders " + id, value);
  }
  return records;
}

struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "tailwater_bench_XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

AppendBatch MakeBatch(const std::vector<std::pair<std::string, std::string>>& records, size_t from,
                      size_t count) {
  AppendBatch batch;
  for (size_t i = 0; i < count; ++i) {
    const auto& [key, value] = records[(from + i) % records.size()];
    const size_t start = batch.buffer().size();
    batch.buffer().append(key).append(value);
    batch.Add(start, key.size(), 0, 1'780'000'000'000'000);
  }
  batch.state["source/shop"] = std::string(200, 's');
  return batch;
}

// Arguments: bytes of schema per record, records per batch.
void BM_Append(benchmark::State& state) {
  const auto records = MakeRecords(state.range(0));
  const auto per_batch = static_cast<size_t>(state.range(1));
  Folder folder;
  LocalTopic topic({.path = (folder.path / "topic").string()});
  auto writer = std::move(*topic.OpenWriter({}, nullptr));
  std::atomic<bool> failed = false;
  size_t count = 0;
  size_t bytes = 0;
  for (auto _ : state) {
    AppendBatch batch = MakeBatch(records, count, per_batch);
    bytes += batch.buffer().size();
    while (!writer->WaitForRoom(std::chrono::seconds(1))) {
    }
    writer->Append(std::move(batch),
                   [&](const Result<AppendReceipt>& r) { failed = failed || !r; });
    count += per_batch;
  }
  writer.reset();
  if (failed) state.SkipWithError("an append failed");
  state.SetItemsProcessed(static_cast<int64_t>(count));
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
  state.counters["disk_bytes_per_record"] =
      static_cast<double>(topic.StoredBytes().value_or(0)) / static_cast<double>(count);
}
BENCHMARK(BM_Append)
    ->Args({0, 1000})
    ->Args({250, 1000})
    ->Args({250, 10})
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->MinTime(2);

void BM_Read(benchmark::State& state) {
  const auto records = MakeRecords(state.range(0));
  Folder folder;
  LocalTopic topic({.path = (folder.path / "topic").string()});
  auto writer = std::move(*topic.OpenWriter({}, nullptr));
  for (int i = 0; i < 200; ++i) {
    writer->Append(MakeBatch(records, i * 1000, 1000), [](const Result<AppendReceipt>&) {});
  }
  writer.reset();
  auto reader = *topic.OpenReader();
  int64_t offset = 0;
  size_t count = 0;
  for (auto _ : state) {
    auto batch = reader->Read(0, offset, 1 << 20, std::chrono::milliseconds(0), {});
    if (!batch) {
      state.SkipWithError("a read failed");
      break;
    }
    if (*batch == nullptr) {
      offset = 0;
      continue;
    }
    count += (*batch)->records.size();
    offset = (*batch)->next_offset;
  }
  state.SetItemsProcessed(static_cast<int64_t>(count));
}
BENCHMARK(BM_Read)->Arg(0)->Arg(250)->MeasureProcessCPUTime()->UseRealTime();

}  // namespace
}  // namespace tailwater
