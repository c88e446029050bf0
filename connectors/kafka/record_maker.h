// What a change becomes: key, value and headers of the records in the target.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kafka/debezium_json.h"
#include "kafka/kafka_options.h"
#include "support/kafka/client.h"
#include "tailwater/registry.h"
#include "tailwater/sink.h"

namespace tailwater::kafka_sink {

struct MadeRecord {
  std::string key;
  bool has_key = false;
  std::string value;            // empty if `value_view` is set
  std::string_view value_view;  // the record's own bytes, format: protobuf
  bool tombstone = false;       // a record without value follows
  std::vector<std::pair<std::string, std::string>> headers;

  std::string_view body() const { return value_view.data() != nullptr ? value_view : value; }
  size_t bytes() const;
};

class RecordMaker {
 public:
  RecordMaker(const KafkaConfig& config, const std::vector<SourceFacts>& sources);

  // Rows, TRUNCATE and logical messages. `other_half` of a key change, if it stands in the same
  // batch. kReject: the change has no such form.
  Status Make(const Delivery& delivery, std::string_view topic, bool table_in_key,
              const Change* other_half, int64_t now_micros, MadeRecord& made);
  uint64_t TakeOmitted() { return debezium_.TakeOmitted(); }

 private:
  Status MakeKey(const Delivery& delivery, std::string_view topic, bool table_in_key,
                 MadeRecord& made);
  Status MakeJsonKey(const Change& change, bool table_in_key, std::string& key);

  const Format format_;
  const bool tombstones_;
  DebeziumJson debezium_;
};

}  // namespace tailwater::kafka_sink
