#include <xxhash.h>

#include <limits>
#include <string>

#include "codec/codec.h"
#include "codec/fields.h"
#include "sdk/value_wire.h"
#include "sdk/wire.h"
#include "support/text.h"

namespace tailwater {
namespace {

using wire::Field;
using wire::Reader;

Error Malformed(std::string_view what) {
  return {
      Disposition::kFatal, "record_malformed",
      fmt::format("a record of the topic cannot be read ({}): it is damaged, or was not written "
                  "by Tailwater; check the topic's disk, and that nothing else writes to it",
                  what)};
}

Error UnknownFormat(uint64_t format) {
  return {Disposition::kFatal, "record_format_unknown",
          fmt::format("a record of the topic has format {}, this version reads up to {}: upgrade "
                      "tailwater on this machine",
                      format, kChangeFormat)};
}

// The wire type that proto3 gives each field of Change; anything above kSweepBelow is unknown.
constexpr uint32_t TypeOf(uint32_t field) {
  switch (field) {
    case fields::kFormat:
    case fields::kOperation:
    case fields::kSnapshot:
    case fields::kVersion:
    case fields::kEpoch:
    case fields::kOrdinal:
    case fields::kPart:
    case fields::kSourceTime:
    case fields::kSweepBelow:
      return wire::kVarint;
    case fields::kSchemaFingerprint:
      return wire::kFixed64;
    default:
      return wire::kBytes;
  }
}

constexpr bool Fits32(uint64_t number) { return number <= std::numeric_limits<uint32_t>::max(); }

bool ReadColumn(std::string_view bytes, Column& column) {
  uint64_t type = 0;
  Reader reader(bytes);
  for (Field field; reader.Next(field);) {
    if (field.number > 5) continue;
    const bool is_text = field.number == 1 || field.number == 3;
    if (field.type != (is_text ? wire::kBytes : wire::kVarint)) return false;
    if (field.number == 1) column.name = field.bytes;
    if (field.number == 2) type = field.number_value;
    if (field.number == 3) column.type_name = field.bytes;
    if (field.number == 4) column.key = field.number_value != 0;
    if (field.number == 5) column.generated = field.number_value != 0;
  }
  if (!reader.ok() || type < static_cast<uint64_t>(ValueType::kBool) ||
      type > static_cast<uint64_t>(ValueType::kOther)) {
    return false;
  }
  column.type = static_cast<ValueType>(type);
  return true;
}

SchemaPtr ReadSchema(std::string_view block) {
  TableName name;
  std::vector<Column> columns;
  Reader reader(block);
  for (Field field; reader.Next(field);) {
    if (field.number > 3) continue;
    if (field.type != wire::kBytes) return nullptr;
    if (field.number == 1) name.schema = field.bytes;
    if (field.number == 2) name.name = field.bytes;
    if (field.number == 3 && !ReadColumn(field.bytes, columns.emplace_back())) return nullptr;
  }
  if (!reader.ok()) return nullptr;
  return TableSchema::Make(std::move(name), std::move(columns));
}

bool ReadRow(std::string_view bytes, size_t columns, ChangeBatch& batch, Row& row) {
  const std::span<Value> values = batch.NewRow(columns);
  size_t count = 0;
  Reader reader(bytes);
  for (Field field; reader.Next(field);) {
    if (field.number != 1) continue;
    if (field.type != wire::kBytes || count == columns) return false;
    Interval interval;
    bool is_interval;
    Value& value = values[count++];
    if (!wire::ReadValue(field.bytes, value, interval, is_interval)) return false;
    if (is_interval) value = Value::OfInterval(batch.NewInterval(interval));
  }
  row = values;
  return reader.ok() && count == columns;
}

// A message of two strings or bytes: Message and Frontier.
bool ReadPair(std::string_view bytes, std::string_view& first, std::string_view& second) {
  Reader reader(bytes);
  for (Field field; reader.Next(field);) {
    if (field.number > 2) continue;
    if (field.type != wire::kBytes) return false;
    (field.number == 1 ? first : second) = field.bytes;
  }
  return reader.ok();
}

bool ReadFence(std::string_view bytes, PartitionOffset& fence) {
  Reader reader(bytes);
  for (Field field; reader.Next(field);) {
    if (field.number > 2) continue;
    if (field.type != wire::kVarint) return false;
    if (field.number == 1) fence.partition = static_cast<int32_t>(field.number_value);
    if (field.number == 2) fence.offset = static_cast<int64_t>(field.number_value);
  }
  return reader.ok() && fence.partition >= 0 && fence.offset >= 0;
}

// The fields in front of the schema, which headers and changes share. False: out of range.
template <class Target>
bool ReadHeader(const Field& field, Target& target) {
  switch (field.number) {
    case fields::kOperation:
      if (field.number_value < 1 || field.number_value > static_cast<uint64_t>(Operation::kSweep)) {
        return false;
      }
      target.operation = static_cast<Operation>(field.number_value);
      return true;
    case fields::kSource:
      target.source = field.bytes;
      return true;
    case fields::kTable:
      target.table = field.bytes;
      return true;
    case fields::kSnapshot:
      if (field.number_value > static_cast<uint64_t>(SnapshotMark::kLastOfTable)) return false;
      target.snapshot = static_cast<SnapshotMark>(field.number_value);
      return true;
    case fields::kVersion:
      target.version = static_cast<int64_t>(field.number_value);
      return true;
    case fields::kEpoch:
      target.epoch = static_cast<uint32_t>(field.number_value);
      return Fits32(field.number_value);
    case fields::kPosition:
      target.position = field.bytes;
      return true;
    case fields::kOrdinal:
      target.ordinal = field.number_value;
      return true;
    case fields::kPart:
      target.part = static_cast<uint32_t>(field.number_value);
      return Fits32(field.number_value);
    case fields::kSourceTime:
      target.source_time_micros = static_cast<int64_t>(field.number_value);
      return true;
    case fields::kAddressee:
      target.addressee = field.bytes;
      return true;
    default:
      return true;
  }
}

// The format stands first in every record, so that an unknown one is named before it is misread.
Status ReadFormat(Reader& reader) {
  Field field;
  if (!reader.Next(field) || field.number != fields::kFormat || field.type != wire::kVarint) {
    return Malformed("it does not begin with its format");
  }
  if (field.number_value != kChangeFormat) return UnknownFormat(field.number_value);
  return {};
}

// What every record of an operation must hold. A record that was cut off between two fields would
// otherwise pass for a smaller one.
Status CheckWhole(const Change& change, bool has_message, bool has_frontier) {
  switch (change.operation) {
    case Operation::kMessage:
      return has_message ? Status() : Malformed("a message without content");
    case Operation::kFrontier:
      return has_frontier ? Status() : Malformed("a frontier record without frontier");
    case Operation::kInsert:
    case Operation::kUpdate:
    case Operation::kRead:
    case Operation::kDelete:
    case Operation::kTruncate:
    case Operation::kSchema:
    case Operation::kSweep:
      break;
    default:
      return Malformed("no operation");
  }
  if (change.schema == nullptr) return Malformed("no schema");
  if (change.schema->columns().empty()) return {};  // its rows are empty, too
  switch (change.operation) {
    case Operation::kInsert:
    case Operation::kUpdate:
    case Operation::kRead:
      return change.after.empty() ? Malformed("a row change without the new row") : Status();
    case Operation::kDelete:
      return change.before.empty() ? Malformed("a delete without the old row") : Status();
    default:
      return {};
  }
}

}  // namespace

Result<RecordHeaders> PeekHeaders(std::string_view value) {
  RecordHeaders headers;
  Reader reader(value);
  TW_TRY(ReadFormat(reader));
  for (Field field; reader.Next(field);) {
    if (field.number >= fields::kSchemaFingerprint) break;
    if (field.type != TypeOf(field.number) || !ReadHeader(field, headers)) {
      return Malformed("a header field is out of range");
    }
  }
  if (!reader.ok()) return Malformed("it ends too early");
  if (headers.operation == Operation{}) return Malformed("no operation");
  return headers;
}

Result<const TableSchema*> Decoder::FindSchema(uint64_t fingerprint, std::string_view block,
                                               ChangeBatch& batch) {
  SchemaPtr& schema = schemas_[fingerprint];
  // Bytes decide: a fingerprint alone would let a damaged record borrow another table's columns.
  if (schema == nullptr || schema->wire_block() != block) {
    if (XXH3_64bits(block.data(), block.size()) != fingerprint) {
      return Malformed("the schema does not match its fingerprint");
    }
    if (schema == nullptr) schema = ReadSchema(block);
    if (schema == nullptr) return Malformed("its schema");
  }
  batch.Keep(schema);
  return schema.get();
}

Status Decoder::Decode(std::string_view value, ChangeBatch& batch) {
  if (value.size() > std::numeric_limits<uint32_t>::max()) return Malformed("it is over 4 GB");
  Change change;
  uint64_t fingerprint = 0;
  bool has_schema = false, has_before = false, has_after = false;
  bool has_message = false, has_frontier = false;
  std::string_view schema_block, before, after;
  fences_.clear();

  Reader reader(value);
  TW_TRY(ReadFormat(reader));
  for (Field field; reader.Next(field);) {
    if (field.number > fields::kSweepBelow) continue;
    if (field.type != TypeOf(field.number)) return Malformed("a field of another type");
    switch (field.number) {
      case fields::kFormat:
        return Malformed("a second format");
      case fields::kTransactionId:
        change.transaction_id = field.bytes;
        break;
      case fields::kTraceparent:
        change.traceparent = field.bytes;
        break;
      case fields::kSchemaFingerprint:
        fingerprint = field.number_value;
        break;
      case fields::kSchema:
        if (std::exchange(has_schema, true)) return Malformed("a second schema");
        schema_block = field.bytes;
        break;
      case fields::kBefore:
        if (std::exchange(has_before, true)) return Malformed("a second old row");
        before = field.bytes;
        break;
      case fields::kAfter:
        if (std::exchange(has_after, true)) return Malformed("a second new row");
        after = field.bytes;
        break;
      case fields::kMessage:
        has_message = true;
        if (!ReadPair(field.bytes, change.message_prefix, change.message_content)) {
          return Malformed("its message");
        }
        break;
      case fields::kFrontier:
        has_frontier = true;
        if (!ReadPair(field.bytes, change.frontier, change.log_id)) {
          return Malformed("its frontier");
        }
        break;
      case fields::kSweepBelow:
        change.sweep_below = static_cast<int64_t>(field.number_value);
        break;
      case fields::kFence:
        if (!ReadFence(field.bytes, fences_.emplace_back())) return Malformed("its fence");
        break;
      default:
        if (!ReadHeader(field, change)) return Malformed("a header field is out of range");
    }
  }
  if (!reader.ok()) return Malformed("it ends too early");
  if (has_schema) {
    TW_ASSIGN_OR_RETURN(change.schema, FindSchema(fingerprint, schema_block, batch));
  } else if (fingerprint != 0 || has_before || has_after) {
    return Malformed("no schema");
  }
  const size_t columns = change.schema == nullptr ? 0 : change.schema->columns().size();
  if (has_before && !ReadRow(before, columns, batch, change.before))
    return Malformed("its old row");
  if (has_after && !ReadRow(after, columns, batch, change.after)) return Malformed("its new row");
  if (!fences_.empty()) {
    const size_t bytes = fences_.size() * sizeof(PartitionOffset);
    auto* copy =
        reinterpret_cast<PartitionOffset*>(batch.arena().Allocate(bytes, alignof(PartitionOffset)));
    std::uninitialized_copy(fences_.begin(), fences_.end(), copy);
    change.fence = {copy, fences_.size()};
  }
  TW_TRY(CheckWhole(change, has_message, has_frontier));
  batch.Append() = change;
  return {};
}

}  // namespace tailwater
