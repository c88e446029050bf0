// Cost per change of pgoutput: split into messages and columns, with typed values, and with the
// wire form on top. Rows: bigint, int, numeric(12,2), text, text, timestamptz, bool; 132 bytes of
// message each.
//   cmake --preset bench && cmake --build build/bench --target pgoutput_bench &&
//   build/bench/bench/pgoutput_bench
#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>
#include <vector>

#include "codec/codec.h"
#include "postgres/change_decoder.h"

namespace tailwater::postgres {
namespace {

class NoCatalog : public CatalogFacts {
 public:
  Result<RelationFacts> Relation(uint32_t) override { return RelationFacts{}; }
  Result<TypeFacts> Type(uint32_t, int32_t) override { return TypeFacts{}; }
};
class NoReadBack : public ReadBack {
 public:
  Result<ReadBackAnswer> Read(const ReadBackRequest&) override { return ReadBackAnswer{}; }
};

template <class T>
void AppendInt(T value, std::string& out) {
  for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8) {
    out += static_cast<char>(static_cast<uint64_t>(value) >> shift);
  }
}

constexpr uint32_t kOid = 16'400;

std::string Begin() {
  std::string out = "B";
  AppendInt<uint64_t>(0x16B374D848, out);
  AppendInt<int64_t>(0, out);
  AppendInt<uint32_t>(74'123, out);
  return out;
}

// 28 columns: the same seven, four times.
constexpr int kRepeats = 4;
std::string Wide(std::string (*tuple)(int), int row) {
  std::string out;
  AppendInt<uint16_t>(7 * kRepeats, out);
  for (int i = 0; i < kRepeats; ++i) out += tuple(row + i).substr(2);
  return out;
}

std::string Relation(int repeats = 1) {
  struct Described {
    const char* name;
    uint32_t oid;
    int32_t typmod;
  };
  const Described columns[] = {{"id", 20, -1},     {"customer", 23, -1}, {"total", 1700, 786438},
                               {"status", 25, -1}, {"note", 25, -1},     {"created_at", 1184, -1},
                               {"paid", 16, -1}};
  std::string out = "R";
  AppendInt(kOid, out);
  out.append("public").append(1, '\0').append("orders").append(1, '\0').append("d");
  AppendInt(static_cast<uint16_t>(std::size(columns) * static_cast<size_t>(repeats)), out);
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (const Described& column : columns) {
      out.append(1, repeat == 0 && column.oid == 20 ? 1 : 0).append(column.name);
      if (repeat != 0) out.append(std::to_string(repeat));
      out.append(1, '\0');
      AppendInt(column.oid, out);
      AppendInt(column.typmod, out);
    }
  }
  return out;
}

// The same row with values in binary form.
std::string BinaryTuple(int row) {
  std::string total;  // numeric: groups of four digits, first one's weight, sign, scale
  const int whole = row * 7 % 90 + 10, cents = row % 100;
  AppendInt<uint16_t>(cents == 0 ? 1 : 2, total);
  AppendInt<uint16_t>(0, total);
  AppendInt<uint16_t>(0, total);
  AppendInt<uint16_t>(2, total);
  AppendInt(static_cast<uint16_t>(whole), total);
  if (cents != 0) AppendInt(static_cast<uint16_t>(cents * 100), total);
  std::string id, customer, created;
  AppendInt<int64_t>(1'000'000 + row, id);
  AppendInt<int32_t>(1'000 + row, customer);
  AppendInt<int64_t>(848'000'000'000'000 + row * 1'000'001LL, created);
  const std::string columns[] = {id,
                                 customer,
                                 total,
                                 row % 2 == 0 ? "paid" : "open",
                                 "a note of thirty-seven characters, yes",
                                 created,
                                 std::string(1, row % 3 == 0 ? 1 : 0)};
  std::string out;
  AppendInt<uint16_t>(std::size(columns), out);
  for (const std::string& column : columns) {
    out += 'b';
    AppendInt(static_cast<uint32_t>(column.size()), out);
    out += column;
  }
  return out;
}

std::string Tuple(int row) {
  char total[16], created[40];
  std::snprintf(total, sizeof total, "%d.%02d", row * 7 % 90 + 10, row % 100);
  std::snprintf(created, sizeof created, "2026-11-%02d 12:%02d:%02d.%06d+00", row % 28 + 1,
                row % 60, row * 7 % 60, 100'000 + row);
  const std::string columns[] = {std::to_string(1'000'000 + row),
                                 std::to_string(1'000 + row),
                                 total,
                                 row % 2 == 0 ? "paid" : "open",
                                 "a note of thirty-seven characters, yes",
                                 created,
                                 row % 3 == 0 ? "t" : "f"};
  std::string out;
  AppendInt<uint16_t>(std::size(columns), out);
  for (const std::string& column : columns) {
    out += 't';
    AppendInt(static_cast<uint32_t>(column.size()), out);
    out += column;
  }
  return out;
}

std::vector<std::string> Inserts(std::string (*tuple)(int) = Tuple) {
  std::vector<std::string> messages;
  for (int row = 0; row < 512; ++row) {
    std::string message = "I";
    AppendInt(kOid, message);
    messages.push_back(message + "N" + tuple(row));
  }
  return messages;
}

std::vector<std::string> UpdatesUnderFull() {
  std::vector<std::string> messages;
  for (int row = 0; row < 512; ++row) {
    std::string message = "U";
    AppendInt(kOid, message);
    messages.push_back(message + "O" + Tuple(row) + "N" + Tuple(row));
  }
  return messages;
}

void BM_Parse(benchmark::State& state) {
  const auto messages = Inserts();
  MessageParser parser;
  Message message;
  size_t next = 0;
  for (auto _ : state) {
    if (!parser.Parse(messages[next++ % 512], message)) state.SkipWithError("malformed");
    benchmark::DoNotOptimize(message);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * messages[0].size()));
  state.counters["bytes"] = static_cast<double>(messages[0].size());
}
BENCHMARK(BM_Parse);

void Decode(benchmark::State& state, const std::vector<std::string>& messages, bool encode,
            int repeats = 1) {
  NoCatalog catalog;
  NoReadBack read_back;
  ChangeDecoder decoder({}, catalog, read_back);
  ChangeBatch batch;
  if (!decoder.Decode(Begin(), batch) || !decoder.Decode(Relation(repeats), batch)) std::abort();
  Encoder encoder;
  std::string out;
  size_t next = 0;
  int64_t version = int64_t{25'920'000} << 31;
  for (auto _ : state) {
    batch.Clear();
    if (!decoder.Decode(messages[next++ % 512], batch)) state.SkipWithError("malformed");
    if (!encode) {
      benchmark::DoNotOptimize(batch.changes().data());
      continue;
    }
    if (out.size() > 256 << 10) out.clear();
    for (const Change& decoded : batch.changes()) {
      Change change = decoded;
      change.source = "shop";
      change.epoch = 25'920'000;
      change.position = "16/B374D848";
      change.version = ++version;
      change.source_time_micros = 1'790'000'000'000'000;
      change.transaction_id = "74123";
      encoder.EncodeChange(change, out);
    }
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * messages[0].size()));
}

void BM_ParseAndTypes(benchmark::State& state) { Decode(state, Inserts(), false); }
BENCHMARK(BM_ParseAndTypes);

void BM_ParseAndTypesBinary(benchmark::State& state) { Decode(state, Inserts(BinaryTuple), false); }
BENCHMARK(BM_ParseAndTypesBinary);

void BM_ParseAndTypesWide(benchmark::State& state) {
  Decode(state, Inserts([](int row) { return Wide(Tuple, row); }), false, kRepeats);
}
BENCHMARK(BM_ParseAndTypesWide);

void BM_ParseAndTypesWideBinary(benchmark::State& state) {
  Decode(state, Inserts([](int row) { return Wide(BinaryTuple, row); }), false, kRepeats);
}
BENCHMARK(BM_ParseAndTypesWideBinary);

void BM_ParseTypesAndEncode(benchmark::State& state) { Decode(state, Inserts(), true); }
BENCHMARK(BM_ParseTypesAndEncode);

void BM_ParseAndTypesOfAnUpdateUnderFull(benchmark::State& state) {
  Decode(state, UpdatesUnderFull(), false);
}
BENCHMARK(BM_ParseAndTypesOfAnUpdateUnderFull);

}  // namespace
}  // namespace tailwater::postgres
