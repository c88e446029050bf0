#include "support/topic_contents.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "codec/codec.h"
#include "support/matchers.h"

namespace tailwater {
namespace {

std::string Readable(Row row) {
  std::string text;
  for (const Value& value : row) {
    if (!text.empty()) text += ",";
    AppendReadable(value, text);
  }
  return text;
}

}  // namespace

std::vector<TopicRecord> Contents(const StubMemoryTopic& topic, int32_t partitions) {
  std::vector<TopicRecord> records;
  for (int32_t partition = 0; partition < partitions; ++partition) {
    for (const auto& stored : topic.Records(partition)) {
      Decoder decoder;
      ChangeBatch batch;
      EXPECT_OK(decoder.Decode(stored.value, batch));
      if (batch.changes().size() != 1) continue;
      const Change& change = batch.changes()[0];
      TopicRecord& record = records.emplace_back();
      record.partition = partition;
      record.offset = stored.offset;
      record.timestamp_micros = stored.timestamp_micros;
      record.key = stored.key;
      record.operation = change.operation;
      record.id = Id(change);
      record.source = change.source;
      record.table = change.table;
      record.position = change.position;
      record.transaction_id = change.transaction_id;
      record.frontier = change.frontier;
      record.log_id = change.log_id;
      record.epoch = change.epoch;
      record.ordinal = change.ordinal;
      record.part = change.part;
      record.version = change.version;
      record.source_time_micros = change.source_time_micros;
      record.before = Readable(change.before);
      record.after = Readable(change.after);
      record.snapshot = change.snapshot;
      record.addressee = change.addressee;
      record.sweep_below = change.sweep_below;
      record.fence.assign(change.fence.begin(), change.fence.end());
    }
  }
  return records;
}

std::string Describe(const TopicRecord& record) {
  std::string text(OperationName(record.operation));
  for (const std::string& part : {record.table, record.frontier, record.before, record.after}) {
    if (!part.empty()) text += " " + part;
  }
  return text;
}

std::vector<std::string> Describe(const std::vector<TopicRecord>& records) {
  std::vector<std::string> texts;
  for (const TopicRecord& record : records) texts.push_back(Describe(record));
  return texts;
}

std::vector<TopicRecord> Rows(std::vector<TopicRecord> records) {
  std::erase_if(records, [](const TopicRecord& record) { return IsControl(record.operation); });
  std::sort(records.begin(), records.end(),
            [](const TopicRecord& a, const TopicRecord& b) { return a.version < b.version; });
  return records;
}

}  // namespace tailwater
