// What a topic holds, read by librdkafka directly: judges what our own code wrote.
#pragma once

#include <librdkafka/rdkafka.h>

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/kafka/connection.h"

namespace tailwater {

struct StoredRecord {
  int32_t partition = 0;
  int64_t offset = 0;
  int64_t timestamp_millis = 0;
  std::string key;
  std::optional<std::string> value;
  std::map<std::string, std::string> headers;
};

// All records of a partition, up to the end that a reader of this kind sees now.
inline std::vector<StoredRecord> ReadBack(const std::string& brokers, const std::string& topic,
                                          int32_t partition, bool committed = true) {
  char text[256];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  const auto set = [&](const char* name, const std::string& value) {
    if (rd_kafka_conf_set(conf, name, value.c_str(), text, sizeof text) != RD_KAFKA_CONF_OK) {
      throw std::runtime_error(text);
    }
  };
  set("bootstrap.servers", brokers);
  set("group.id", "read-back");
  set("isolation.level", committed ? "read_committed" : "read_uncommitted");
  set("enable.partition.eof", "true");
  set("enable.auto.commit", "false");
  set("auto.offset.reset", "error");
  rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
  if (consumer == nullptr) throw std::runtime_error(text);
  const auto destroy = [](rd_kafka_t* rk) {
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);  // it is in no group
  };
  const std::unique_ptr<rd_kafka_t, decltype(destroy)> owner(consumer, destroy);
  rd_kafka_poll_set_consumer(consumer);
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, topic.c_str(), partition)->offset =
      RD_KAFKA_OFFSET_BEGINNING;
  rd_kafka_assign(consumer, list);
  rd_kafka_topic_partition_list_destroy(list);

  std::vector<StoredRecord> records;
  while (true) {
    rd_kafka_message_t* message = rd_kafka_consumer_poll(consumer, 30'000);
    if (message == nullptr) throw std::runtime_error("nothing came of " + topic);
    const std::unique_ptr<rd_kafka_message_t, decltype(&rd_kafka_message_destroy)> keep(
        message, rd_kafka_message_destroy);
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) break;
    if (message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) continue;  // just made
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      throw std::runtime_error(rd_kafka_message_errstr(message));
    }
    StoredRecord record;
    record.partition = message->partition;
    record.offset = message->offset;
    record.timestamp_millis = rd_kafka_message_timestamp(message, nullptr);
    record.key.assign(static_cast<const char*>(message->key), message->key_len);
    if (message->payload != nullptr) {
      record.value.emplace(static_cast<const char*>(message->payload), message->len);
    }
    rd_kafka_headers_t* headers = nullptr;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
      const char* name = nullptr;
      const void* value = nullptr;
      size_t size = 0;
      for (size_t i = 0;
           rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
           ++i) {
        record.headers[name] = std::string(static_cast<const char*>(value), size);
      }
    }
    records.push_back(std::move(record));
  }
  return records;
}

// Only the values.
inline std::vector<std::string> ValuesOf(const std::vector<StoredRecord>& records) {
  std::vector<std::string> values;
  for (const StoredRecord& record : records) values.push_back(record.value.value_or("(none)"));
  return values;
}

}  // namespace tailwater
