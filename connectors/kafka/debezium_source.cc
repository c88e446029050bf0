#include "kafka/debezium_source.h"

#include <charconv>
#include <optional>

#include "kafka/connect_time.h"
#include "support/change_json.h"
#include "support/text.h"

namespace tailwater::kafka_sink {
namespace {

// Whose form the records have; a reader shows it, nobody compares it.
constexpr std::string_view kVersion = "3.6-tailwater";

constexpr std::string_view kCommonFields =
    R"({"type":"string","optional":false,"field":"version"},)"
    R"({"type":"string","optional":false,"field":"connector"},)"
    R"({"type":"string","optional":false,"field":"name"},)"
    R"({"type":"int64","optional":false,"field":"ts_ms"},)"
    R"({"type":"string","optional":true,"name":"io.debezium.data.Enum","version":1,)"
    R"("parameters":{"allowed":"true,first,first_in_data_collection,last_in_data_collection,last,)"
    R"(false,incremental"},"default":"false","field":"snapshot"},)"
    R"({"type":"string","optional":false,"field":"db"},)"
    R"({"type":"string","optional":true,"field":"sequence"},)"
    R"({"type":"int64","optional":true,"field":"ts_us"},)"
    R"({"type":"int64","optional":true,"field":"ts_ns"},)";

constexpr std::string_view kPostgresFields =
    R"({"type":"string","optional":false,"field":"schema"},)"
    R"({"type":"string","optional":false,"field":"table"},)"
    R"({"type":"int64","optional":true,"field":"txId"},)"
    R"({"type":"int64","optional":true,"field":"lsn"},)"
    R"({"type":"int64","optional":true,"field":"xmin"})";

constexpr std::string_view kMysqlFields =
    R"({"type":"string","optional":true,"field":"table"},)"
    R"({"type":"int64","optional":false,"field":"server_id"},)"
    R"({"type":"string","optional":true,"field":"gtid"},)"
    R"({"type":"string","optional":false,"field":"file"},)"
    R"({"type":"int64","optional":false,"field":"pos"},)"
    R"({"type":"int32","optional":false,"field":"row"},)"
    R"({"type":"int64","optional":true,"field":"thread"},)"
    R"({"type":"string","optional":true,"field":"query"})";

bool IsMysql(std::string_view type) { return type == "mysql"; }

// Debezium's name of the connector for what the source is called here.
std::string_view ConnectorName(std::string_view type) {
  return type == "postgres" || type.empty() ? "postgresql" : type;
}

template <typename Number>
std::optional<Number> NumberOf(std::string_view text, int base = 10) {
  Number number = 0;
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, number, base);
  if (text.empty() || error != std::errc() || next != end) return std::nullopt;
  return number;
}

// "16/B374D848" as the number that Debezium writes.
std::optional<int64_t> LsnOf(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const auto high = NumberOf<uint32_t>(text.substr(0, slash), 16);
  const auto low = NumberOf<uint32_t>(text.substr(slash + 1), 16);
  if (!high || !low) return std::nullopt;
  return static_cast<int64_t>(uint64_t{*high} << 32 | *low);
}

void AppendOptional(std::string_view name, std::optional<int64_t> number, std::string& out) {
  if (number) {
    fmt::format_to(std::back_inserter(out), R"(,"{}":{})", name, *number);
  } else {
    fmt::format_to(std::back_inserter(out), R"(,"{}":null)", name);
  }
}

// A GTID (0-1-42 of MariaDB, uuid:42 of MySQL), or file:offset where the server has none.
struct MysqlPlace {
  std::string_view gtid;
  std::string_view file;
  int64_t offset = 0;
  int64_t server_id = 0;  // only MariaDB's GTIDs tell it
};
MysqlPlace PlaceOf(std::string_view position) {
  const size_t colon = position.rfind(':');
  if (colon == position.npos) {
    MysqlPlace place{.gtid = position};
    const size_t first = position.find('-');
    const size_t second = first == position.npos ? first : position.find('-', first + 1);
    if (second != position.npos) {
      place.server_id =
          NumberOf<int64_t>(position.substr(first + 1, second - first - 1)).value_or(0);
    }
    return place;
  }
  // A UUID has 36 characters, four of them hyphens; no name of a log file looks so.
  const std::string_view name = position.substr(0, colon);
  constexpr size_t kUuidLength = 36;
  const bool uuid = name.size() >= kUuidLength && name[8] == '-' && name[13] == '-' &&
                    name[18] == '-' && name[23] == '-';
  if (uuid) return {.gtid = position};
  return {.file = name, .offset = NumberOf<int64_t>(position.substr(colon + 1)).value_or(0)};
}

Status AppendPostgresPlace(const Change& change, bool copied, std::optional<int64_t> lsn,
                           std::string& out) {
  out += R"(,"schema":)";
  TW_TRY(AppendTextJson(change.schema == nullptr ? "" : change.schema->name().schema, out));
  out += R"(,"table":)";
  TW_TRY(AppendTextJson(change.schema == nullptr ? "" : change.schema->name().name, out));
  AppendOptional("txId", copied ? std::nullopt : NumberOf<int64_t>(change.transaction_id), out);
  AppendOptional("lsn", lsn, out);
  out += R"(,"xmin":null)";
  return {};
}

Status AppendMysqlPlace(const Change& change, bool copied, std::string& out) {
  out += R"(,"table":)";
  TW_TRY(AppendTextJson(change.schema == nullptr ? "" : change.schema->name().name, out));
  const MysqlPlace place = copied ? MysqlPlace() : PlaceOf(change.position);
  fmt::format_to(std::back_inserter(out), R"(,"server_id":{},"gtid":)", place.server_id);
  if (place.gtid.empty()) {
    out += "null";
  } else {
    TW_TRY(AppendTextJson(place.gtid, out));
  }
  out += R"(,"file":)";
  TW_TRY(AppendTextJson(place.file, out));
  fmt::format_to(std::back_inserter(out), R"(,"pos":{},"row":{},"thread":null,"query":null)",
                 place.offset, copied ? 0 : static_cast<int32_t>(change.ordinal & INT32_MAX));
  return {};
}

}  // namespace

std::string SourceSchema(std::string_view type) {
  return fmt::format(R"({{"type":"struct","fields":[{}{}],"optional":false,)"
                     R"("name":"io.debezium.connector.{}.Source","version":1,"field":"source"}})",
                     kCommonFields, IsMysql(type) ? kMysqlFields : kPostgresFields,
                     ConnectorName(type));
}

Status AppendSource(const Change& change, const SourceFacts& facts, std::string_view server_name,
                    int64_t now_micros, std::string& out) {
  const bool mysql = IsMysql(facts.type);
  fmt::format_to(std::back_inserter(out), R"("source":{{"version":"{}","connector":"{}","name":)",
                 kVersion, ConnectorName(facts.type));
  TW_TRY(AppendTextJson(server_name, out));
  const int64_t time = change.source_time_micros != 0 ? change.source_time_micros : now_micros;
  const bool copied = change.snapshot != SnapshotMark::kStreaming;
  fmt::format_to(std::back_inserter(out), R"(,"ts_ms":{},"snapshot":"{}","db":)",
                 FloorDivide(time, 1000), copied ? "incremental" : "false");
  // MySQL's database is what Postgres calls a schema.
  TW_TRY(AppendTextJson(
      mysql && change.schema != nullptr ? change.schema->name().schema : facts.database, out));
  // A row that was copied has no place in the log.
  const auto lsn = mysql || copied ? std::nullopt : LsnOf(change.position);
  if (lsn) {
    fmt::format_to(std::back_inserter(out), R"(,"sequence":"[null,\"{}\"]")", *lsn);
  } else {
    out += R"(,"sequence":null)";
  }
  fmt::format_to(std::back_inserter(out), R"(,"ts_us":{},"ts_ns":{})", time, time * 1000);
  TW_TRY(mysql ? AppendMysqlPlace(change, copied, out)
               : AppendPostgresPlace(change, copied, lsn, out));
  out += '}';
  return {};
}

}  // namespace tailwater::kafka_sink
