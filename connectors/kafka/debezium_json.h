// Changes as the records that Debezium's connectors 3.x for Postgres and MySQL write through
// Kafka's JSON converter, with their schemas or without.
//
//   {"before":null,"after":{"id":1},"source":{…},"transaction":null,"op":"c","ts_ms":…,…}
//
// What differs from Debezium, and why: README.md.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kafka/connect_type.h"
#include "tailwater/change.h"
#include "tailwater/registry.h"
#include "tailwater/result.h"

namespace tailwater::kafka_sink {

struct DebeziumOptions {
  Conversion conversion;
  bool schemas = true;
  std::string server_name;  // Debezium's topic.prefix; empty: the source's name
};

// The field that Debezium's ByLogicalTableRouter adds to keys of tables that share a topic.
inline constexpr std::string_view kTableInKey = "__dbz__physicalTableIdentifier";

class DebeziumJson {
 public:
  DebeziumJson(DebeziumOptions options, const std::vector<SourceFacts>& sources);
  ~DebeziumJson();

  // The key columns of `row`. A keyless table has no key: nothing is appended.
  // kReject: a value has no JSON form, the message names the column.
  Status AppendKey(const Change& change, Row row, std::string_view topic, bool table_in_key,
                   std::string& out);
  // The same without a schema: the form of the headers __debezium.newkey and __debezium.oldkey.
  Status AppendKeyHeader(const Change& change, Row row, std::string_view topic, std::string& out);
  // Rows and TRUNCATE. `now_micros` is when it was handled.
  Status AppendValue(const Change& change, std::string_view topic, int64_t now_micros,
                     std::string& out);

  // A logical message: key and value.
  Status AppendMessageKey(const Change& change, std::string& out) const;
  Status AppendMessageValue(const Change& change, int64_t now_micros, std::string& out) const;

  // Columns written as null because the record lacked them, since the last call.
  uint64_t TakeOmitted() { return std::exchange(omitted_, 0); }

 private:
  struct Plan;  // of one schema of a table in one topic
  Plan& PlanFor(const Change& change, std::string_view topic);
  std::string_view ServerName(const Change& change) const;
  const SourceFacts& FactsOf(std::string_view source) const;
  Status AppendRow(const Plan& plan, Row row, Row base, bool key_alone, std::string& out);
  Status AppendKeyPayload(const Plan& plan, Row row, bool table_in_key, std::string& out);

  const DebeziumOptions options_;
  std::map<std::string, SourceFacts, std::less<>> sources_;
  std::map<std::pair<uint64_t, std::string>, std::unique_ptr<Plan>, std::less<>> plans_;
  Plan* last_ = nullptr;
  uint64_t omitted_ = 0;
};

}  // namespace tailwater::kafka_sink
