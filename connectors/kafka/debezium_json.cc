#include "kafka/debezium_json.h"

#include "kafka/connect_time.h"
#include "kafka/debezium_source.h"
#include "support/change_json.h"
#include "support/text.h"

namespace tailwater::kafka_sink {
namespace {

constexpr size_t kMostPlans = 4096;
constexpr std::string_view kTransactionField =
    R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"id"},)"
    R"({"type":"int64","optional":false,"field":"total_order"},)"
    R"({"type":"int64","optional":false,"field":"data_collection_order"}],)"
    R"("optional":true,"name":"event.block","version":1,"field":"transaction"})";

std::string Quoted(std::string_view text) {
  std::string out;
  if (!AppendTextJson(text, out)) out = "\"\"";  // names come from configuration and catalog
  return out;
}

void AppendTimes(int64_t micros, std::string& out) {
  fmt::format_to(std::back_inserter(out), R"("ts_ms":{},"ts_us":{},"ts_ns":{})",
                 FloorDivide(micros, 1000), micros, micros * 1000);
}

std::string_view Code(Operation operation) {
  switch (operation) {
    case Operation::kInsert:
      return "c";
    case Operation::kUpdate:
      return "u";
    case Operation::kDelete:
      return "d";
    case Operation::kRead:
      return "r";
    case Operation::kTruncate:
      return "t";
    case Operation::kMessage:
      return "m";
    case Operation::kSchema:
    case Operation::kFrontier:
    case Operation::kSweep:
      break;
  }
  return {};
}

}  // namespace

struct DebeziumJson::Plan {
  std::string topic, source;
  uint64_t fingerprint = 0;
  const TableSchema* schema = nullptr;  // of the last change that used it
  std::vector<ConnectType> types;
  std::vector<std::string> names;                        // of columns, quoted, with the colon
  std::string table_id;                                  // "shop.public.orders", quoted
  std::string key_begin, shared_key_begin, value_begin;  // up to the payload; empty without schemas
};

DebeziumJson::DebeziumJson(DebeziumOptions options, const std::vector<SourceFacts>& sources)
    : options_(std::move(options)) {
  for (const SourceFacts& source : sources) sources_[source.name] = source;
}

DebeziumJson::~DebeziumJson() = default;

std::string_view DebeziumJson::ServerName(const Change& change) const {
  return options_.server_name.empty() ? change.source : std::string_view(options_.server_name);
}

const SourceFacts& DebeziumJson::FactsOf(std::string_view source) const {
  static const SourceFacts kUnknown;
  const auto found = sources_.find(source);
  return found == sources_.end() ? kUnknown : found->second;
}

DebeziumJson::Plan& DebeziumJson::PlanFor(const Change& change, std::string_view topic) {
  const TableSchema& schema = *change.schema;
  const uint64_t fingerprint = schema.fingerprint();
  if (last_ != nullptr && last_->fingerprint == fingerprint && last_->topic == topic &&
      last_->source == change.source) {
    last_->schema = &schema;
    return *last_;
  }
  const std::pair<uint64_t, std::string> key(fingerprint,
                                             fmt::format("{}\n{}", topic, change.source));
  auto found = plans_.find(key);
  if (found == plans_.end()) {
    if (plans_.size() >= kMostPlans) plans_.clear();
    auto plan = std::make_unique<Plan>();
    plan->topic = topic;
    plan->source = change.source;
    plan->fingerprint = fingerprint;
    plan->table_id = Quoted(
        fmt::format("{}.{}.{}", ServerName(change), schema.name().schema, schema.name().name));
    const TypeNames names =
        FactsOf(change.source).type == "mysql" ? TypeNames::kMysql : TypeNames::kPostgres;
    for (const Column& column : schema.columns()) {
      plan->types.emplace_back(column, options_.conversion, names);
      plan->names.push_back(Quoted(column.name) + ":");
    }
    found = plans_.emplace(key, std::move(plan)).first;
    Plan& made = *found->second;
    if (options_.schemas) {
      std::string keys;
      std::string row;
      for (size_t i = 0; i < schema.columns().size(); ++i) {
        const Column& column = schema.columns()[i];
        if (i > 0) row += ',';
        made.types[i].AppendSchema(column.name, !column.key, row);
        if (!column.key) continue;
        if (!keys.empty()) keys += ',';
        made.types[i].AppendSchema(column.name, false, keys);
      }
      const std::string shared =
          fmt::format(R"({},{{"type":"string","optional":false,"field":"{}"}})", keys, kTableInKey);
      const auto key_begin = [&](const std::string& fields) {
        return fmt::format(
            R"({{"schema":{{"type":"struct","fields":[{}],"optional":false,"name":{}}},"payload":)",
            fields, Quoted(made.topic + ".Key"));
      };
      made.key_begin = key_begin(keys);
      made.shared_key_begin = key_begin(shared);
      const std::string value_name = Quoted(made.topic + ".Value");
      const auto image = [&](std::string_view field) {
        return fmt::format(
            R"({{"type":"struct","fields":[{}],"optional":true,"name":{},"field":"{}"}})", row,
            value_name, field);
      };
      made.value_begin =
          fmt::format(R"({{"schema":{{"type":"struct","fields":[{},{},{},{},)"
                      R"({{"type":"string","optional":false,"field":"op"}},)"
                      R"({{"type":"int64","optional":true,"field":"ts_ms"}},)"
                      R"({{"type":"int64","optional":true,"field":"ts_us"}},)"
                      R"({{"type":"int64","optional":true,"field":"ts_ns"}}],)"
                      R"("optional":false,"name":{},"version":2}},"payload":)",
                      image("before"), image("after"), SourceSchema(FactsOf(change.source).type),
                      kTransactionField, Quoted(made.topic + ".Envelope"));
    }
  }
  last_ = found->second.get();
  last_->schema = &schema;
  return *last_;
}

Status DebeziumJson::AppendRow(const Plan& plan, Row row, Row base, bool key_alone,
                               std::string& out) {
  out += '{';
  bool first = true;
  for (size_t i = 0; i < row.size(); ++i) {
    const Column& column = plan.schema->columns()[i];
    if (key_alone && !column.key) continue;
    if (!first) out += ',';
    first = false;
    out += plan.names[i];
    const Value& value =
        row[i].is_unchanged() && !base.empty() && (base[i].has_value() || base[i].is_null())
            ? base[i]
            : row[i];
    Status status = value.is_unchanged() ? plan.types[i].AppendPlaceholder(out)
                                         : plan.types[i].AppendValue(value, out);
    if (!status) return std::move(status).error().Within("column " + column.name);
  }
  out += '}';
  return {};
}

Status DebeziumJson::AppendKeyPayload(const Plan& plan, Row row, bool table_in_key,
                                      std::string& out) {
  TW_TRY(AppendRow(plan, row, {}, true, out));
  if (table_in_key) {
    out.back() = ',';
    fmt::format_to(std::back_inserter(out), R"("{}":{}}})", kTableInKey, plan.table_id);
  }
  return {};
}

Status DebeziumJson::AppendKey(const Change& change, Row row, std::string_view topic,
                               bool table_in_key, std::string& out) {
  if (change.schema->keyless()) return {};
  const Plan& plan = PlanFor(change, topic);
  out += table_in_key ? plan.shared_key_begin : plan.key_begin;
  TW_TRY(AppendKeyPayload(plan, row, table_in_key, out));
  if (options_.schemas) out += '}';
  return {};
}

Status DebeziumJson::AppendKeyHeader(const Change& change, Row row, std::string_view topic,
                                     std::string& out) {
  const Plan& plan = PlanFor(change, topic);
  return AppendKeyPayload(plan, row, false, out);
}

Status DebeziumJson::AppendValue(const Change& change, std::string_view topic, int64_t now_micros,
                                 std::string& out) {
  const Plan& plan = PlanFor(change, topic);
  out += plan.value_begin;
  for (const auto& [name, row] :
       {std::pair("{\"before\":", change.before), {",\"after\":", change.after}}) {
    out += name;
    if (row.empty()) {
      out += "null";
    } else {
      TW_TRY(AppendRow(plan, row, change.before, false, out));
    }
  }
  for (const Value& value : change.after) {
    if (value.is_omitted()) ++omitted_;
  }
  out += ',';
  TW_TRY(AppendSource(change, FactsOf(change.source), ServerName(change), now_micros, out));
  fmt::format_to(std::back_inserter(out), R"(,"transaction":null,"op":"{}",)",
                 Code(change.operation));
  AppendTimes(now_micros, out);
  out += options_.schemas ? "}}" : "}";
  return {};
}

Status DebeziumJson::AppendMessageKey(const Change& change, std::string& out) const {
  if (options_.schemas) {
    out +=
        R"({"schema":{"type":"struct","fields":[{"type":"string","optional":true,"field":"prefix"}],)"
        R"("optional":false,"name":"io.debezium.connector.postgresql.MessageKey","version":1},)"
        R"("payload":)";
  }
  out += R"({"prefix":)";
  TW_TRY(AppendTextJson(change.message_prefix, out));
  out += options_.schemas ? "}}" : "}";
  return {};
}

Status DebeziumJson::AppendMessageValue(const Change& change, int64_t now_micros,
                                        std::string& out) const {
  const Column content{"content", ValueType::kBytes, "bytea"};
  const ConnectType type(content, options_.conversion);
  if (options_.schemas) {
    out +=
        R"({"schema":{"type":"struct","fields":[{"type":"string","optional":false,"field":"op"},)"
        R"({"type":"int64","optional":true,"field":"ts_ms"},)";
    out += SourceSchema(FactsOf(change.source).type);
    out.append(",").append(kTransactionField);
    out += R"(,{"type":"struct","fields":[{"type":"string","optional":true,"field":"prefix"},)";
    type.AppendSchema("content", true, out);
    out += R"(],"optional":false,"name":"io.debezium.connector.postgresql.Message","version":1,)"
           R"("field":"message"}],"optional":false,)"
           R"("name":"io.debezium.connector.postgresql.MessageValue","version":1},"payload":)";
  }
  fmt::format_to(std::back_inserter(out), R"({{"op":"m","ts_ms":{},)",
                 FloorDivide(now_micros, 1000));
  TW_TRY(AppendSource(change, FactsOf(change.source), ServerName(change), now_micros, out));
  out += R"(,"transaction":null,"message":{"prefix":)";
  TW_TRY(AppendTextJson(change.message_prefix, out));
  out += R"(,"content":)";
  TW_TRY(type.AppendValue(Value::Blob(change.message_content), out));
  out += options_.schemas ? "}}}" : "}}";
  return {};
}

}  // namespace tailwater::kafka_sink
