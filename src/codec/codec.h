// Changes to wire bytes and back: the hand encoder and decoder of tailwater.v1.Change.
//
// The encoder's bytes equal those of the protobuf runtime (tests/codec proves it on random
// changes). Nothing here allocates per change. Not thread-safe: one Encoder and one Decoder per
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tailwater/change.h"
#include "tailwater/result.h"

namespace tailwater {

inline constexpr uint32_t kChangeFormat = 1;

class Encoder {
 public:
  // Appends the wire form of `change` to `out`.
  void EncodeChange(const Change& change, std::string& out);
  // Appends the canonical record key: (source, table, key columns of key_row()). Keyless tables,
  // and what has no table: (source, table).
  void EncodeKey(const Change& change, std::string& out);
  // The key that `row` would have; for comparing before and after.
  void EncodeKey(std::string_view source, const TableSchema& schema, Row row, std::string& out);

 private:
  std::vector<uint32_t> sizes_;  // scratch of the two-pass row encoder
};

// Appends one tailwater.v1.PartitionOffset as Change.fence to an encoded sweep marker.
void AppendFence(PartitionOffset offset, std::string& encoded_change);

// What a record says in front of its rows, read without decoding them: the record headers.
struct RecordHeaders {
  Operation operation{};
  SnapshotMark snapshot{};
  std::string_view source, table, position, addressee;
  int64_t version = 0;
  uint32_t epoch = 0;
  uint64_t ordinal = 0;
  uint32_t part = 0;
  int64_t source_time_micros = 0;
};
// kFatal "record_malformed", "record_format_unknown".
Result<RecordHeaders> PeekHeaders(std::string_view value);

class Decoder {
 public:
  // Appends the decoded change to `batch`; its views point into `value`, which the caller keeps
  // alive with the batch. Schemas are shared between batches by fingerprint. kFatal
  // "record_malformed", "record_format_unknown".
  Status Decode(std::string_view value, ChangeBatch& batch);

 private:
  Result<const TableSchema*> FindSchema(uint64_t fingerprint, std::string_view block,
                                        ChangeBatch& batch);

  std::unordered_map<uint64_t, SchemaPtr> schemas_;
  std::vector<PartitionOffset> fences_;  // scratch
};

// Kafka's own partitioner: (murmur2(key) & 0x7fffffff) % partitions.
uint32_t Murmur2(std::string_view bytes);
int32_t PartitionOf(std::string_view key, int32_t partitions);

}  // namespace tailwater
