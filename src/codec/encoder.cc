#include <cassert>

#include "codec/codec.h"
#include "codec/fields.h"
#include "sdk/value_wire.h"
#include "sdk/wire.h"

namespace tailwater {
namespace {

using wire::DelimitedSize;
using wire::Tag;
using wire::VarintSize;

// proto3 leaves out what equals the default. Fields up to 15 have a tag of one byte, the others of
// two.
constexpr size_t TagSize(uint32_t field) { return field < 16 ? 1 : 2; }

constexpr size_t NumberSize(uint32_t field, uint64_t number) {
  return number == 0 ? 0 : TagSize(field) + VarintSize(number);
}
constexpr size_t TextSize(uint32_t field, std::string_view text) {
  return text.empty() ? 0 : TagSize(field) + DelimitedSize(text.size());
}

inline char* PutTag(char* out, uint32_t field, wire::WireType type) {
  return wire::PutVarint(out, Tag(field, type));
}
inline char* PutNumber(char* out, uint32_t field, uint64_t number) {
  return number == 0 ? out : wire::PutVarint(PutTag(out, field, wire::kVarint), number);
}
inline char* PutText(char* out, uint32_t field, std::string_view text) {
  return text.empty() ? out : wire::PutDelimited(PutTag(out, field, wire::kBytes), text);
}

size_t FenceSize(const PartitionOffset& fence) {
  // int32 is sign-extended to 64 bits, as protobuf does it.
  return NumberSize(1, static_cast<uint64_t>(int64_t{fence.partition})) +
         NumberSize(2, static_cast<uint64_t>(fence.offset));
}
char* PutFence(char* out, const PartitionOffset& fence) {
  out = PutTag(out, fields::kFence, wire::kBytes);
  out = wire::PutVarint(out, FenceSize(fence));
  out = PutNumber(out, 1, static_cast<uint64_t>(int64_t{fence.partition}));
  return PutNumber(out, 2, static_cast<uint64_t>(fence.offset));
}

size_t ValueFieldSize(uint32_t size) { return 1 + DelimitedSize(size); }

// Notes the size of each value, for the second pass, and answers with that of the whole message.
size_t RowSize(Row row, std::vector<uint32_t>& sizes) {
  size_t total = 0;
  for (const Value& value : row) {
    const auto size = static_cast<uint32_t>(wire::ValueSize(value));
    sizes.push_back(size);
    total += ValueFieldSize(size);
  }
  return total;
}

char* PutRow(char* out, uint32_t field, Row row, size_t row_size, const uint32_t* sizes) {
  if (row.empty()) return out;
  out = PutTag(out, field, wire::kBytes);
  out = wire::PutVarint(out, row_size);
  for (const Value& value : row) {
    *out++ = Tag(1, wire::kBytes);
    out = wire::PutValue(wire::PutVarint(out, *sizes++), value);
  }
  return out;
}

size_t MessageFieldSize(uint32_t field, bool present, size_t size) {
  return present ? TagSize(field) + DelimitedSize(size) : 0;
}

}  // namespace

void Encoder::EncodeChange(const Change& change, std::string& out) {
  sizes_.clear();
  const size_t before_size = RowSize(change.before, sizes_);
  const size_t after_size = RowSize(change.after, sizes_);
  const bool has_message = change.operation == Operation::kMessage;
  const bool has_frontier = change.operation == Operation::kFrontier;
  const size_t message_size =
      TextSize(1, change.message_prefix) + TextSize(2, change.message_content);
  const size_t frontier_size = TextSize(1, change.frontier) + TextSize(2, change.log_id);
  const uint64_t fingerprint = change.schema == nullptr ? 0 : change.schema->fingerprint();

  size_t total =
      NumberSize(fields::kFormat, kChangeFormat) +
      NumberSize(fields::kOperation, static_cast<uint64_t>(change.operation)) +
      TextSize(fields::kSource, change.source) + TextSize(fields::kTable, change.table) +
      NumberSize(fields::kSnapshot, static_cast<uint64_t>(change.snapshot)) +
      NumberSize(fields::kVersion, static_cast<uint64_t>(change.version)) +
      NumberSize(fields::kEpoch, change.epoch) + TextSize(fields::kPosition, change.position) +
      NumberSize(fields::kOrdinal, change.ordinal) + NumberSize(fields::kPart, change.part) +
      NumberSize(fields::kSourceTime, static_cast<uint64_t>(change.source_time_micros)) +
      TextSize(fields::kTransactionId, change.transaction_id) +
      TextSize(fields::kAddressee, change.addressee) +
      TextSize(fields::kTraceparent, change.traceparent) +
      (fingerprint == 0 ? 0 : 1 + sizeof fingerprint) +
      MessageFieldSize(fields::kBefore, !change.before.empty(), before_size) +
      MessageFieldSize(fields::kAfter, !change.after.empty(), after_size) +
      MessageFieldSize(fields::kMessage, has_message, message_size) +
      MessageFieldSize(fields::kFrontier, has_frontier, frontier_size);
  if (change.schema != nullptr) {
    total += MessageFieldSize(fields::kSchema, true, change.schema->wire_block().size());
  }
  total += NumberSize(fields::kSweepBelow, static_cast<uint64_t>(change.sweep_below));
  for (const PartitionOffset& fence : change.fence) {
    total += MessageFieldSize(fields::kFence, true, FenceSize(fence));
  }

  const size_t start = out.size();
  out.resize(start + total);
  char* at = out.data() + start;
  at = PutNumber(at, fields::kFormat, kChangeFormat);
  at = PutNumber(at, fields::kOperation, static_cast<uint64_t>(change.operation));
  at = PutText(at, fields::kSource, change.source);
  at = PutText(at, fields::kTable, change.table);
  at = PutNumber(at, fields::kSnapshot, static_cast<uint64_t>(change.snapshot));
  at = PutNumber(at, fields::kVersion, static_cast<uint64_t>(change.version));
  at = PutNumber(at, fields::kEpoch, change.epoch);
  at = PutText(at, fields::kPosition, change.position);
  at = PutNumber(at, fields::kOrdinal, change.ordinal);
  at = PutNumber(at, fields::kPart, change.part);
  at = PutNumber(at, fields::kSourceTime, static_cast<uint64_t>(change.source_time_micros));
  at = PutText(at, fields::kTransactionId, change.transaction_id);
  at = PutText(at, fields::kAddressee, change.addressee);
  at = PutText(at, fields::kTraceparent, change.traceparent);
  if (fingerprint != 0) {
    at = wire::PutFixed64(PutTag(at, fields::kSchemaFingerprint, wire::kFixed64), fingerprint);
  }
  if (change.schema != nullptr) {
    at = wire::PutDelimited(PutTag(at, fields::kSchema, wire::kBytes), change.schema->wire_block());
  }
  at = PutRow(at, fields::kBefore, change.before, before_size, sizes_.data());
  at = PutRow(at, fields::kAfter, change.after, after_size, sizes_.data() + change.before.size());
  if (has_message) {
    at = wire::PutVarint(PutTag(at, fields::kMessage, wire::kBytes), message_size);
    at = PutText(at, 1, change.message_prefix);
    at = PutText(at, 2, change.message_content);
  }
  if (has_frontier) {
    at = wire::PutVarint(PutTag(at, fields::kFrontier, wire::kBytes), frontier_size);
    at = PutText(at, 1, change.frontier);
    at = PutText(at, 2, change.log_id);
  }
  at = PutNumber(at, fields::kSweepBelow, static_cast<uint64_t>(change.sweep_below));
  for (const PartitionOffset& fence : change.fence) at = PutFence(at, fence);
  assert(at == out.data() + out.size());
}

void Encoder::EncodeKey(std::string_view source, const TableSchema& schema, Row row,
                        std::string& out) {
  sizes_.clear();
  size_t total = TextSize(1, source) + TextSize(2, schema.table());
  for (const uint32_t column : schema.key_columns()) {
    assert(column < row.size());
    const auto size = static_cast<uint32_t>(wire::ValueSize(row[column]));
    sizes_.push_back(size);
    total += ValueFieldSize(size);
  }
  const size_t start = out.size();
  out.resize(start + total);
  char* at = out.data() + start;
  at = PutText(at, 1, source);
  at = PutText(at, 2, schema.table());
  const uint32_t* size = sizes_.data();
  for (const uint32_t column : schema.key_columns()) {
    *at++ = Tag(3, wire::kBytes);
    at = wire::PutValue(wire::PutVarint(at, *size++), row[column]);
  }
  assert(at == out.data() + out.size());
}

void Encoder::EncodeKey(const Change& change, std::string& out) {
  const Row row = change.key_row();
  if (change.schema != nullptr && !row.empty()) {
    EncodeKey(change.source, *change.schema, row, out);
    return;
  }
  const size_t start = out.size();
  out.resize(start + TextSize(1, change.source) + TextSize(2, change.table));
  PutText(PutText(out.data() + start, 1, change.source), 2, change.table);
}

void AppendFence(PartitionOffset offset, std::string& encoded_change) {
  const size_t start = encoded_change.size();
  encoded_change.resize(start + MessageFieldSize(fields::kFence, true, FenceSize(offset)));
  PutFence(encoded_change.data() + start, offset);
}

}  // namespace tailwater
