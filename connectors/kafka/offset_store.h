// The sink's own records in the target cluster: how far each input partition is written, and which
// table a target topic belongs to. They lie in a compacted topic of one partition, and are written
// in the transactions that they tell of.
//
//   key "3"            value {"format":1,"log_id":"…","next_offset":4711}
//   key "topic:a.b.c"  value {"format":1,"table":"shop:public.orders"}
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "support/kafka/client.h"
#include "tailwater/result.h"

namespace tailwater::kafka_sink {

struct StoredPlace {
  std::string log_id;
  int64_t next_offset = 0;
  bool operator==(const StoredPlace&) const = default;
};

struct StoredRecords {
  std::map<int32_t, StoredPlace> places;                   // by input partition
  std::map<std::string, std::string, std::less<>> owners;  // of target topics: "source:table"
};

std::string PlaceKey(int32_t partition);
std::string PlaceValue(const StoredPlace& place);
std::string OwnerKey(std::string_view topic);
std::string OwnerValue(std::string_view table);

// Takes one record in; an empty value takes it out. kNeedsOperator "kafka_offsets_newer",
// "kafka_offsets_malformed".
Status Apply(std::string_view key, std::string_view value, StoredRecords& records);

// Everything that is committed there now.
Result<StoredRecords> ReadStoredRecords(const kafka::ClientOptions& client,
                                        const std::string& topic);

}  // namespace tailwater::kafka_sink
