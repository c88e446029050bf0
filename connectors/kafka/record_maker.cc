#include "kafka/record_maker.h"

#include "support/change_json.h"
#include "support/text.h"

namespace tailwater::kafka_sink {
namespace {

constexpr std::string_view kProtobufType =
    "application/x-protobuf; messageType=\"tailwater.v1.Change\"";

DebeziumOptions DebeziumOptionsOf(const KafkaConfig& config) {
  return {.conversion = {.decimal = config.decimal,
                         .time_precision = config.time_precision,
                         .binary = config.binary,
                         .interval = config.interval,
                         .unsigned_bigint = config.unsigned_bigint,
                         .placeholder = config.unavailable_placeholder},
          .schemas = config.schemas,
          .server_name = config.server_name};
}

}  // namespace

size_t MadeRecord::bytes() const {
  size_t bytes = key.size() + body().size();
  for (const auto& [name, value] : headers) bytes += name.size() + value.size() + 4;
  return bytes;
}

RecordMaker::RecordMaker(const KafkaConfig& config, const std::vector<SourceFacts>& sources)
    : format_(config.format),
      tombstones_(config.tombstones),
      debezium_(DebeziumOptionsOf(config), sources) {}

// {"id":1}; of tables that share a topic {"source":"shop","table":"public.orders","key":{"id":1}}.
Status RecordMaker::MakeJsonKey(const Change& change, bool table_in_key, std::string& key) {
  if (table_in_key) {
    key += "{\"source\":";
    TW_TRY(AppendTextJson(change.source, key));
    key += ",\"table\":";
    TW_TRY(AppendTextJson(change.table, key));
    key += ",\"key\":";
  }
  key += '{';
  bool first = true;
  for (const uint32_t i : change.schema->key_columns()) {
    if (!first) key += ',';
    first = false;
    TW_TRY(AppendTextJson(change.schema->columns()[i].name, key));
    key += ':';
    TW_TRY(AppendValueJson(change.key_row()[i], key, {.strict = true}));
  }
  key += table_in_key ? "}}" : "}";
  return {};
}

Status RecordMaker::MakeKey(const Delivery& delivery, std::string_view topic, bool table_in_key,
                            MadeRecord& made) {
  const Change& change = *delivery.change;
  if (format_ == Format::kProtobuf) {
    made.has_key = change.operation != Operation::kTruncate;
    if (made.has_key) made.key = delivery.key;
    return {};
  }
  if (change.operation == Operation::kMessage) {
    made.has_key = true;
    return debezium_.AppendMessageKey(change, made.key);
  }
  made.has_key = change.operation != Operation::kTruncate && !change.schema->keyless();
  if (!made.has_key) return {};
  if (format_ == Format::kJson) return MakeJsonKey(change, table_in_key, made.key);
  return debezium_.AppendKey(change, change.key_row(), topic, table_in_key, made.key);
}

Status RecordMaker::Make(const Delivery& delivery, std::string_view topic, bool table_in_key,
                         const Change* other_half, int64_t now_micros, MadeRecord& made) {
  const Change& change = *delivery.change;
  TW_TRY(MakeKey(delivery, topic, table_in_key, made));
  made.tombstone = tombstones_ && change.operation == Operation::kDelete && made.has_key;
  switch (format_) {
    case Format::kProtobuf:
      made.value_view = delivery.value;
      made.headers.emplace_back("tailwater.id", Id(change));
      made.headers.emplace_back("tailwater.version", std::to_string(change.version));
      made.headers.emplace_back("content-type", kProtobufType);
      return {};
    case Format::kJson:
      made.headers.emplace_back("tailwater.id", Id(change));
      made.headers.emplace_back("tailwater.version", std::to_string(change.version));
      made.headers.emplace_back("content-type", "application/json");
      TW_TRY(AppendChangeJson(change, made.value));
      if (made.value.ends_with('\n')) made.value.pop_back();
      return {};
    case Format::kDebeziumJson:
      break;
  }
  if (change.operation == Operation::kMessage) {
    return debezium_.AppendMessageValue(change, now_micros, made.value);
  }
  TW_TRY(debezium_.AppendValue(change, topic, now_micros, made.value));
  if (other_half != nullptr && made.has_key) {
    std::string key;
    TW_TRY(debezium_.AppendKeyHeader(*other_half, other_half->key_row(), topic, key));
    made.headers.emplace_back(
        change.operation == Operation::kDelete ? "__debezium.newkey" : "__debezium.oldkey",
        std::move(key));
  }
  return {};
}

}  // namespace tailwater::kafka_sink
