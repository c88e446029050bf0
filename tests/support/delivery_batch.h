// Builds batches for a sink by hand: changes with identity and version, encoded as in the topic.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "codec/codec.h"
#include "tailwater/sink.h"

namespace tailwater {

class DeliveryBatchBuilder {
 public:
  using Values = std::vector<Value>;

  DeliveryBatchBuilder& Add(Change change, Values after = {}, Values before = {}) {
    Entry& entry = entries_.emplace_back();
    entry.after = std::move(after);
    entry.before = std::move(before);
    entry.change = change;
    entry.change.after = entry.after;
    entry.change.before = entry.before;
    if (entry.change.source.empty()) entry.change.source = "shop";
    if (change.schema != nullptr) entry.change.table = change.schema->table();
    entry.change.epoch = 1;
    entry.change.position = "0/1000";
    entry.change.ordinal = static_cast<uint64_t>(change.version);
    Encoder encoder;
    encoder.EncodeKey(entry.change, entry.key);
    encoder.EncodeChange(entry.change, entry.value);
    return *this;
  }
  DeliveryBatchBuilder& Insert(const SchemaPtr& schema, int64_t version, Values after) {
    return Add({.operation = Operation::kInsert, .schema = schema.get(), .version = version},
               std::move(after));
  }
  DeliveryBatchBuilder& Update(const SchemaPtr& schema, int64_t version, Values after,
                               Values before = {}) {
    return Add({.operation = Operation::kUpdate, .schema = schema.get(), .version = version},
               std::move(after), std::move(before));
  }
  DeliveryBatchBuilder& Delete(const SchemaPtr& schema, int64_t version, Values before) {
    return Add({.operation = Operation::kDelete, .schema = schema.get(), .version = version}, {},
               std::move(before));
  }

  // Valid until the next Add().
  DeliveryBatch Build(int64_t first_offset = 0) {
    deliveries_.clear();
    for (const Entry& entry : entries_) {
      deliveries_.push_back({&entry.change, entry.key, entry.value, 0, first_offset++, false});
    }
    return {deliveries_};
  }
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    Change change;
    Values before, after;
    std::string key, value;
  };
  std::deque<Entry> entries_;
  std::vector<Delivery> deliveries_;
};

}  // namespace tailwater
