// Packets of a binlog dump, each behind its length (u32, big-endian) as in
// tests/golden/mysql/*.bin, which are the seeds:
//   cmake --preset fuzz && cmake --build build/fuzz --target binlog_fuzz &&
//   build/fuzz/tests/fuzz/binlog_fuzz -max_total_time=60 /tmp/corpus tests/golden/mysql
// Sizes and checksums of events are put right here: what lies behind them is what is tried.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "mysql/change_decoder.h"
#include "mysql/crc32.h"
#include "tailwater/array.h"

namespace tailwater::mysql {
namespace {

constexpr size_t kHeader = 19;

// Every kind of table and column, chosen by the names.
class EveryCatalog : public CatalogFacts {
 public:
  Result<TableFacts> Table(const TableName& table) override {
    static constexpr std::array kTypes = {"uuid", "inet6", "inet4", "tinyint", "json", "int"};
    TableFacts facts;
    facts.found = table.name.size() % 5 != 4;
    facts.system_versioned = table.name == "versioned";
    facts.sequence = table.name == "s";
    for (char c = 'a'; c <= 'z'; ++c) {
      const std::string type = kTypes[static_cast<size_t>(c) % kTypes.size()];
      facts.columns.push_back({.name = std::string(1, c),
                               .column_type = type == "tinyint" ? "tinyint(1)" : type,
                               .data_type = type,
                               .json = c % 7 == 0});
    }
    facts.columns.push_back({.name = "row_end", .column_type = "timestamp(6)", .row_end = true});
    return facts;
  }
  Result<std::string> Charset(uint32_t collation) override {
    static constexpr std::array kCharsets = {"utf8mb4", "latin1", "ucs2", "gbk",   "utf8mb3",
                                             "sjis",    "utf16",  "",     "utf32", "binary"};
    if (collation == 45 || collation == 255) return std::string("utf8mb4");
    return std::string(kCharsets[collation % kCharsets.size()]);
  }
};

// Looks at all that comes.
class Reader : public DecodedChanges {
 public:
  Status Begin(const Transaction&) override { return {}; }
  Status Append(std::span<const Change> parts) override {
    for (const Change& change : parts) {
      Check(change.before);
      Check(change.after);
    }
    return {};
  }
  Status Commit(const LogPosition& position) override { return Passed(position); }
  Status Passed(const LogPosition& position) override {
    const auto parsed = LogPosition::Parse(position.form(), position.ToString());
    if (!parsed || parsed->ToString() != position.ToString()) __builtin_trap();
    return {};
  }
  Status RowsReplaced(const TableName&, std::string_view) override { return {}; }

 private:
  static void Check(Row row) {
    std::string text;
    for (const Value& value : row) {
      if (value.has_value() && value.type() == ValueType::kArray && !ReadArray(value.bytes())) {
        __builtin_trap();  // we wrote what we cannot read
      }
      AppendReadable(value, text);
    }
  }
};

void PutLittle(uint32_t value, char* to) {
  for (int i = 0; i < 4; ++i) to[i] = static_cast<char>(value >> (8 * i) & 255);
}

// What the bodies of single events are made of, whatever stands around them.
void ParseAlone(const EventReader& reader, const Event& event) {
  std::string storage;
  if (const auto start = ParseGtid(event); start && start->mysql) {
    if (MysqlGtid::Parse(start->mysql->ToString()) != start->mysql) __builtin_trap();
  }
  if (const auto start = ParseGtidTagged(event); start) {
    if (MysqlGtid::Parse(start->mysql->ToString()) != start->mysql) __builtin_trap();
  }
  if (const auto set = ParsePreviousGtids(event); set) {
    if (MysqlGtidSet::Parse(set->ToString()) != *set) __builtin_trap();
    if (MysqlGtidSet::Decode(set->Encode()) != *set) __builtin_trap();
  }
  if (const auto state = ParseGtidList(event); state) {
    if (MariadbGtidState::Parse(state->ToString()) != *state) __builtin_trap();
  }
  static_cast<void>(ParseMariadbGtid(event));
  static_cast<void>(ParseIncident(event));
  static_cast<void>(ParseXaPrepare(event));
  static_cast<void>(ParseHeartbeat(event));
  if (const auto query = ParseQuery(event, storage)) {
    static_cast<void>(ReadStatement(*query, reader.format().flavour));
  }
  static_cast<void>(Uncompress(event, reader.format(), storage));
}

void ParsePayload(EventReader& reader, const Event& event) {
  PayloadReader payload;
  if (!payload.Begin(event)) return;
  // A payload of a few bytes can be many megabytes of events.
  for (int i = 0; i < 1000; ++i) {
    const auto next = payload.Next();
    if (!next || !next->has_value()) return;
    std::string_view rest = **next;
    if (const auto inner = reader.ReadInner(rest)) ParseAlone(reader, *inner);
  }
}

}  // namespace
}  // namespace tailwater::mysql

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tailwater;
  using namespace tailwater::mysql;
  static EveryCatalog catalog;
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const bool mariadb = all.find("MariaDB") != std::string_view::npos;
  EventReader reader;
  reader.Reset(std::nullopt);
  Reader out;
  ChangeDecoder decoder(
      {.values = {.invalid_text = size % 2 == 0 ? InvalidText::kHalt : InvalidText::kReplace},
       .scratch_dir = "/tmp"},
      catalog);
  if (size % 5 == 0) {
    decoder.Reset(LogPosition(FilePosition{}));
  } else if (mariadb) {
    decoder.Reset(LogPosition(MariadbGtidState()));
  } else {
    decoder.Reset(LogPosition(MysqlGtidSet()));
  }
  bool streaming = true;  // an error ends the session; single events are tried further on
  for (size_t at = 0; size - at >= 4;) {
    size_t length = 0;
    for (int i = 0; i < 4; ++i) length = length << 8 | data[at++];
    length = std::min(length, size - at);
    // Memory of its own, so that a read past the end shows.
    std::vector<char> packet(data + at, data + at + length);
    at += length;
    if (length >= kHeader + 4) {
      PutLittle(static_cast<uint32_t>(length), &packet[9]);
      PutLittle(Crc32({packet.data(), length - 4}), &packet[length - 4]);
    }
    const std::string_view view(packet.data(), packet.size());
    if (const auto event = reader.Read(view)) {
      ParseAlone(reader, *event);
      if (event->type == EventType::kTransactionPayload) ParsePayload(reader, *event);
    }
    streaming = streaming && decoder.Decode(view, out);
  }
  return 0;
}
