// Appends changes to a topic as the capture half would: versions, identities, keys, partitions,
// control copies and fences.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "codec/codec.h"
#include "tailwater/schema.h"
#include "topic/topic.h"

namespace tailwater {

class TopicFeeder {
 public:
  using Values = std::vector<Value>;

  explicit TopicFeeder(Topic& topic, std::string source = "shop");

  // Each appends one change and answers its version.
  int64_t Insert(const SchemaPtr& schema, const Values& after);
  int64_t Update(const SchemaPtr& schema, const Values& after, const Values& before = {});
  int64_t Delete(const SchemaPtr& schema, const Values& before);
  // Fills source, identity and version (if it has none); puts it into the partition of its key.
  int64_t Append(Change change);
  // The same, into every partition; the copy for partition 0 bears the fence.
  int64_t Control(Change change);
  int64_t Truncate(const SchemaPtr& schema);
  int64_t Frontier(std::string_view position);

  int64_t last_version() const { return version_; }
  void set_source_time_micros(int64_t micros) { source_time_micros_ = micros; }
  // The partition that a row's key belongs to.
  int32_t PartitionOf(const SchemaPtr& schema, const Values& row);
  TopicWriter& writer() { return *writer_; }

 private:
  void Complete(Change& change);
  void Encode(const Change& change, int32_t partition, bool fence, bool fenced, AppendBatch& batch);
  void Store(AppendBatch batch);

  std::string source_;
  std::unique_ptr<TopicWriter> writer_;
  Encoder encoder_;
  int64_t version_ = int64_t{1} << 31;
  uint64_t ordinal_ = 0;
  int64_t source_time_micros_ = 1'700'000'000'000'000;
};

// public.<table> with columns "name:type", the key ones with a star: {"id*:int64", "note:text"}.
SchemaPtr TestSchema(std::string_view table, std::initializer_list<std::string_view> columns);

}  // namespace tailwater
