#include "kafka/offset_store.h"

#include <rapidjson/document.h>

#include <charconv>

#include "support/change_json.h"
#include "support/kafka/consumer.h"
#include "support/text.h"

namespace tailwater::kafka_sink {
namespace {

constexpr int kFormat = 1;
constexpr std::string_view kTopicPrefix = "topic:";
constexpr std::chrono::seconds kReadTimeout{60};

std::string Quoted(std::string_view text) {
  std::string out;
  if (!AppendTextJson(text, out)) out = "\"\"";  // log ids and names are UTF-8
  return out;
}

Error Malformed(std::string_view key) {
  return {Disposition::kNeedsOperator, "kafka_offsets_malformed",
          fmt::format("the record '{}' of the offsets topic is not one of this sink; give the sink "
                      "an offsets_topic of its own",
                      key)};
}

}  // namespace

std::string PlaceKey(int32_t partition) { return std::to_string(partition); }

std::string PlaceValue(const StoredPlace& place) {
  return fmt::format(R"({{"format":{},"log_id":{},"next_offset":{}}})", kFormat,
                     Quoted(place.log_id), place.next_offset);
}

std::string OwnerKey(std::string_view topic) { return std::string(kTopicPrefix).append(topic); }

std::string OwnerValue(std::string_view table) {
  return fmt::format(R"({{"format":{},"table":{}}})", kFormat, Quoted(table));
}

Status Apply(std::string_view key, std::string_view value, StoredRecords& records) {
  int32_t partition = 0;
  const bool owner = key.starts_with(kTopicPrefix);
  if (!owner) {
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), partition);
    if (key.empty() || error != std::errc() || end != key.data() + key.size()) {
      return Malformed(key);
    }
  }
  const std::string topic(owner ? key.substr(kTopicPrefix.size()) : "");
  if (value.empty()) {
    owner ? records.owners.erase(topic) : records.places.erase(partition);
    return {};
  }
  rapidjson::Document json;
  json.Parse(value.data(), value.size());
  if (json.HasParseError() || !json.IsObject() || !json.HasMember("format") ||
      !json["format"].IsInt()) {
    return Malformed(key);
  }
  if (json["format"].GetInt() > kFormat) {
    return Error{Disposition::kNeedsOperator, "kafka_offsets_newer",
                 fmt::format("the offsets were stored by a newer version (format {}); run that "
                             "version",
                             json["format"].GetInt())};
  }
  const auto text = [&](const char* name) -> std::optional<std::string> {
    if (!json.HasMember(name) || !json[name].IsString()) return std::nullopt;
    return std::string(json[name].GetString(), json[name].GetStringLength());
  };
  if (owner) {
    const auto table = text("table");
    if (!table) return Malformed(key);
    records.owners.try_emplace(topic, *table);  // who came first has it
    return {};
  }
  const auto log_id = text("log_id");
  if (!log_id || !json.HasMember("next_offset") || !json["next_offset"].IsInt64()) {
    return Malformed(key);
  }
  records.places[partition] = {*log_id, json["next_offset"].GetInt64()};
  return {};
}

Result<StoredRecords> ReadStoredRecords(const kafka::ClientOptions& client,
                                        const std::string& topic) {
  StoredRecords records;
  TW_TRY(kafka::ReadToEnd(client, topic, 0, std::stop_token(), kReadTimeout,
                          [&](const kafka::IncomingRecord& record) {
                            return Apply(record.key, record.value, records);
                          }));
  return records;
}

}  // namespace tailwater::kafka_sink
