#include "support/topic_feeder.h"

#include <gtest/gtest.h>

#include <utility>

namespace tailwater {

TopicFeeder::TopicFeeder(Topic& topic, std::string source) : source_(std::move(source)) {
  auto writer = topic.OpenWriter({}, [](const std::string&) {});
  EXPECT_TRUE(writer.has_value());
  writer_ = *std::move(writer);
}

int64_t TopicFeeder::Insert(const SchemaPtr& schema, const Values& after) {
  return Append({.operation = Operation::kInsert, .schema = schema.get(), .after = after});
}

int64_t TopicFeeder::Update(const SchemaPtr& schema, const Values& after, const Values& before) {
  return Append(
      {.operation = Operation::kUpdate, .schema = schema.get(), .before = before, .after = after});
}

int64_t TopicFeeder::Delete(const SchemaPtr& schema, const Values& before) {
  return Append({.operation = Operation::kDelete, .schema = schema.get(), .before = before});
}

void TopicFeeder::Complete(Change& change) {
  change.source = source_;
  if (change.schema != nullptr) change.table = change.schema->table();
  if (change.version == 0) change.version = ++version_;
  version_ = std::max(version_, change.version);
  change.epoch = 1;
  change.source_time_micros = source_time_micros_;
}

void TopicFeeder::Encode(const Change& change, int32_t partition, bool fence, bool fenced,
                         AppendBatch& batch) {
  const size_t start = batch.buffer().size();
  encoder_.EncodeKey(change, batch.buffer());
  const size_t key_size = batch.buffer().size() - start;
  encoder_.EncodeChange(change, batch.buffer());
  batch.Add(start, key_size, partition, change.source_time_micros, fence, fenced);
}

void TopicFeeder::Store(AppendBatch batch) {
  writer_->Append(std::move(batch),
                  [](const Result<AppendReceipt>& receipt) { EXPECT_TRUE(receipt.has_value()); });
}

int64_t TopicFeeder::Append(Change change) {
  Complete(change);
  change.position = "0/1000";
  change.ordinal = ordinal_++;
  std::string key;
  encoder_.EncodeKey(change, key);
  AppendBatch batch;
  Encode(change, tailwater::PartitionOf(key, writer_->partitions()), false, false, batch);
  Store(std::move(batch));
  return change.version;
}

int64_t TopicFeeder::Control(Change change) {
  Complete(change);
  const std::string position = "v" + std::to_string(change.version);
  change.position = position;
  if (change.operation == Operation::kSweep && change.sweep_below == 0) {
    change.sweep_below = change.version;
  }
  const bool marker =
      change.operation == Operation::kTruncate || change.operation == Operation::kSweep;
  AppendBatch batch;
  for (int32_t partition = 1; partition < writer_->partitions(); ++partition) {
    Encode(change, partition, false, marker, batch);
  }
  Encode(change, 0, marker, false, batch);
  Store(std::move(batch));
  return change.version;
}

int64_t TopicFeeder::Truncate(const SchemaPtr& schema) {
  return Control({.operation = Operation::kTruncate, .schema = schema.get()});
}

int64_t TopicFeeder::Frontier(std::string_view position) {
  return Control(
      {.operation = Operation::kFrontier, .frontier = position, .log_id = writer_->log_id()});
}

int32_t TopicFeeder::PartitionOf(const SchemaPtr& schema, const Values& row) {
  std::string key;
  encoder_.EncodeKey(source_, *schema, row, key);
  return tailwater::PartitionOf(key, writer_->partitions());
}

SchemaPtr TestSchema(std::string_view table, std::initializer_list<std::string_view> columns) {
  std::vector<Column> made;
  for (const std::string_view text : columns) {
    const size_t colon = text.find(':');
    Column& column = made.emplace_back();
    column.name = text.substr(0, colon);
    column.type_name = text.substr(colon + 1);
    if (column.name.ends_with('*')) {
      column.key = true;
      column.name.pop_back();
    }
    for (int type = 1; type <= static_cast<int>(ValueType::kOther); ++type) {
      if (ValueTypeName(static_cast<ValueType>(type)) == column.type_name) {
        column.type = static_cast<ValueType>(type);
      }
    }
  }
  return TableSchema::Make({"public", std::string(table)}, std::move(made));
}

}  // namespace tailwater
