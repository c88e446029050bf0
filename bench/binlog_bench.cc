// Cost per row of a binlog: bytes of a rows event to typed values, and with the wire form on top.
// Rows: bigint, int, decimal(12,2), varchar, varchar, timestamp(6), tinyint, as pgoutput_bench has
// them; one row per event, as small transactions write them, or 50.
//   cmake --preset bench && cmake --build build/bench --target binlog_bench &&
//   build/bench/bench/binlog_bench
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "codec/codec.h"
#include "mysql/row_event.h"
#include "mysql/table_map.h"

namespace tailwater::mysql {
namespace {

constexpr int kRepeats = 4;  // of the seven columns in the wide table, as pgoutput_bench has it
constexpr int kEvents = 512;

class NoCatalog : public CatalogFacts {
 public:
  Result<TableFacts> Table(const TableName&) override { return TableFacts{}; }
  Result<std::string> Charset(uint32_t) override { return std::string("utf8mb4"); }
};

template <class T>
void AppendLittle(T number, std::string& out) {
  for (size_t i = 0; i < sizeof number; ++i) {
    out += static_cast<char>(static_cast<uint64_t>(number) >> 8 * i);
  }
}
void AppendBig(uint64_t number, int bytes, std::string& out) {
  while (bytes-- > 0) out += static_cast<char>(number >> 8 * bytes);
}

std::shared_ptr<const MappedTable> Table(int repeats, std::string_view charset) {
  TableMap map{.name = {"shop", "orders"}, .full_metadata = true, .key = {0}};
  for (int i = 0; i < repeats; ++i) {
    const std::string suffix = i == 0 ? "" : std::to_string(i);
    const MapColumn columns[] = {
        {.name = "id", .type = FieldType::kLongLong},
        {.name = "customer", .type = FieldType::kLong},
        {.name = "total", .type = FieldType::kDecimal, .meta = 12 << 8 | 2},
        {.name = "status", .type = FieldType::kVarchar, .meta = 80, .collation = 45},
        {.name = "note", .type = FieldType::kVarchar, .meta = 800, .collation = 45},
        {.name = "created_at", .type = FieldType::kTimestamp2, .meta = 6},
        {.name = "paid", .type = FieldType::kTiny}};
    for (MapColumn column : columns) {
      column.name += suffix;
      map.columns.push_back(std::move(column));
    }
  }
  struct Named : NoCatalog {
    std::string name;
    Result<std::string> Charset(uint32_t) override { return name; }
  } catalog;
  catalog.name = charset;
  auto table = MappedTable::Make(std::move(map), catalog, {});
  if (!table) std::abort();
  return *table;
}

std::string Image(int row, int repeats) {
  std::string out(static_cast<size_t>((7 * repeats + 7) / 8), '\0');  // no NULLs
  for (int i = 0; i < repeats; ++i) {
    AppendLittle<int64_t>(1'000'000 + row, out);
    AppendLittle<int32_t>(1'000 + row, out);
    std::string total;
    AppendBig(0x80, 1, total);  // ten digits in front of the point: one and nine
    AppendBig(static_cast<uint64_t>(row * 7 % 90 + 10), 4, total);
    AppendBig(static_cast<uint64_t>(row % 100), 1, total);
    out += total;
    const std::string status = row % 2 == 0 ? "paid" : "open";
    out += static_cast<char>(status.size());
    out += status;
    const std::string note = "a note of thirty-seven characters, yes";
    AppendLittle(static_cast<uint16_t>(note.size()), out);
    out += note;
    AppendBig(static_cast<uint64_t>(1'790'000'000 + row), 4, out);
    AppendBig(static_cast<uint64_t>(100'000 + row), 3, out);
    out += static_cast<char>(row % 3 == 0);
  }
  return out;
}

std::vector<std::string> Events(int repeats, bool update, int rows) {
  std::vector<std::string> events;
  for (int event = 0; event < kEvents; ++event) {
    std::string body;
    AppendLittle<uint32_t>(108, body);
    AppendLittle<uint16_t>(0, body);
    AppendLittle<uint16_t>(1, body);  // the statement ends
    AppendLittle<uint16_t>(2, body);
    body += static_cast<char>(7 * repeats);
    const std::string present(static_cast<size_t>((7 * repeats + 7) / 8), '\xFF');
    body += update ? present + present : present;
    for (int row = 0; row < rows; ++row) {
      if (update) body += Image(event + row, repeats);
      body += Image(event + row + (update ? 1 : 0), repeats);
    }
    events.push_back(std::move(body));
  }
  return events;
}

void Decode(benchmark::State& state, bool update, int repeats, int rows, bool encode,
            std::string_view charset = "utf8mb4") {
  const auto table = Table(repeats, charset);
  const auto events = Events(repeats, update, rows);
  const auto type = update ? EventType::kUpdateRowsV2 : EventType::kWriteRowsV2;
  ChangeBatch batch;
  Encoder encoder;
  std::string out;
  size_t next = 0;
  int64_t version = int64_t{25'920'000} << 31;
  for (auto _ : state) {
    const auto head = RowsHead::Parse({.type = type, .body = events[next++ % kEvents]}, {});
    if (!head) std::abort();
    for (RowReader reader(*head, *table); !reader.done();) {
      batch.Clear();
      const auto images = reader.Next(batch);
      if (!images) std::abort();
      benchmark::DoNotOptimize(images->after.data());
      if (!encode) continue;
      if (out.size() > 256 << 10) out.clear();
      Change change;
      change.operation = update ? Operation::kUpdate : Operation::kInsert;
      change.schema = table->schema.get();
      change.table = table->schema->table();
      change.before = images->before;
      change.after = images->after;
      change.source = "shop";
      change.epoch = 25'920'000;
      change.position = "3e11fa47-71ca-11e1-9e33-c80aa9429562:74123";
      change.version = ++version;
      change.source_time_micros = 1'790'000'000'000'000;
      encoder.EncodeChange(change, out);
      benchmark::DoNotOptimize(out.data());
    }
  }
  state.SetItemsProcessed(state.iterations() * rows);  // rows
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * events[0].size()));
  state.counters["bytes"] = static_cast<double>(events[0].size());
}

void BM_Insert(benchmark::State& state) { Decode(state, false, 1, 1, false); }
BENCHMARK(BM_Insert);

void BM_InsertOf50Rows(benchmark::State& state) { Decode(state, false, 1, 50, false); }
BENCHMARK(BM_InsertOf50Rows);

void BM_InsertInLatin1(benchmark::State& state) { Decode(state, false, 1, 1, false, "latin1"); }
BENCHMARK(BM_InsertInLatin1);

void BM_UpdateWithBothImages(benchmark::State& state) { Decode(state, true, 1, 1, false); }
BENCHMARK(BM_UpdateWithBothImages);

void BM_InsertWide(benchmark::State& state) { Decode(state, false, kRepeats, 1, false); }
BENCHMARK(BM_InsertWide);

void BM_InsertAndEncode(benchmark::State& state) { Decode(state, false, 1, 1, true); }
BENCHMARK(BM_InsertAndEncode);

}  // namespace
}  // namespace tailwater::mysql
