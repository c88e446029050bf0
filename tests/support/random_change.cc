#include "support/random_change.h"

#include <bit>
#include <limits>

#include "tailwater/array.h"

namespace tailwater {

int64_t RandomChange::Number() {
  switch (Below(8)) {
    case 0:
      return 0;
    case 1:
      return std::numeric_limits<int64_t>::min();
    case 2:
      return std::numeric_limits<int64_t>::max();
    case 3:
      return -static_cast<int64_t>(Below(100));
    default:
      return static_cast<int64_t>(random_() >> Below(64));
  }
}

std::string_view RandomChange::Text(ChangeBatch& batch) {
  static constexpr std::string_view kPieces[] = {"a",  "Z",  "7", " ", "\"",
                                                 "\\", "\n", "é", "→", "🌊"};
  size_t pieces = Below(12);
  if (OneIn(5)) pieces = 0;
  if (OneIn(20)) pieces = 100 + Below(200);
  if (OneIn(200)) pieces = 30'000;
  std::string text;
  for (size_t i = 0; i < pieces; ++i) text += kPieces[Below(std::size(kPieces))];
  return batch.arena().Copy(text);
}

std::string_view RandomChange::Bytes(ChangeBatch& batch, size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random_());
  return batch.arena().Copy(bytes);
}

Value RandomChange::ValueOf(ValueType type, ChangeBatch& batch) {
  switch (type) {
    case ValueType::kBool:
      return Value::Bool(OneIn(2));
    case ValueType::kInt64:
      return Value::Int64(Number());
    case ValueType::kUint64:
      return Value::Uint64(static_cast<uint64_t>(Number()));
    case ValueType::kFloat64:
      return Value::Float64(std::bit_cast<double>(Number()));
    case ValueType::kDecimal:
      return Value::Decimal(Text(batch));
    case ValueType::kText:
      return Value::Text(Text(batch));
    case ValueType::kBytes:
      return Value::Blob(Bytes(batch, Below(40)));
    case ValueType::kDate:
      return Value::Date(Number());
    case ValueType::kTime:
      return Value::Time(Number());
    case ValueType::kTimestamp:
      return Value::Timestamp(Number());
    case ValueType::kTimestampTz:
      return Value::TimestampTz(Number());
    case ValueType::kInterval:
      return Value::OfInterval(batch.NewInterval(
          {static_cast<int32_t>(Number()), static_cast<int32_t>(Number()), Number()}));
    case ValueType::kUuid:
      return Value::Uuid(Bytes(batch, 16));
    case ValueType::kJson:
      return Value::Json(Text(batch));
    case ValueType::kEnum:
      return Value::Enum(Text(batch));
    case ValueType::kOther:
      return Value::Other(Text(batch));
    case ValueType::kArray: {
      std::string wire;
      ArrayWriter writer(wire);
      const auto rows = static_cast<uint32_t>(Below(4));
      const auto columns = static_cast<uint32_t>(1 + Below(3));
      const auto element_type = static_cast<ValueType>(1 + Below(14));  // no arrays in arrays
      if (rows > 0) {
        writer.AddDimension({rows, static_cast<int32_t>(Below(5)) - 2});
        writer.AddDimension({columns, 1});
      }
      for (uint32_t i = 0; i < rows * columns; ++i) {
        writer.AddElement(OneIn(4) ? Value::Null() : ValueOf(element_type, batch));
      }
      return Value::Array(batch.arena().Copy(wire));
    }
  }
  return {};
}

Value RandomChange::AnyValue(ChangeBatch& batch) {
  switch (Below(8)) {
    case 0:
      return Value::Null();
    case 1:
      return Value::Unchanged();
    case 2:
      return Value::Omitted();
    default:
      return ValueOf(static_cast<ValueType>(1 + Below(17)), batch);
  }
}

Row RandomChange::AnyRow(const TableSchema& schema, ChangeBatch& batch) {
  const std::span<Value> row = batch.NewRow(schema.columns().size());
  for (Value& value : row) value = AnyValue(batch);
  return row;
}

SchemaPtr RandomChange::Schema() {
  std::vector<Column> columns(1 + Below(OneIn(20) ? 200 : 8));
  for (size_t i = 0; i < columns.size(); ++i) {
    columns[i].name = "c" + std::to_string(i);
    columns[i].type = static_cast<ValueType>(1 + Below(17));
    columns[i].type_name = OneIn(4) ? "" : "type(" + std::to_string(Below(100)) + ",2)";
    columns[i].key = OneIn(4);
    columns[i].generated = OneIn(6);
  }
  return TableSchema::Make({OneIn(8) ? "" : "public", "t" + std::to_string(Below(1000))},
                           std::move(columns));
}

const Change& RandomChange::Append(ChangeBatch& batch) {
  const auto operation = static_cast<Operation>(1 + Below(9));
  const bool has_schema = operation != Operation::kFrontier && operation != Operation::kMessage;
  Change change;
  change.operation = operation;
  change.snapshot = static_cast<SnapshotMark>(Below(3));
  change.source = OneIn(10) ? "" : "shop";
  if (has_schema) {
    const SchemaPtr schema = Schema();
    batch.Keep(schema);
    change.schema = schema.get();
    change.table = schema->table();
  }
  change.epoch = static_cast<uint32_t>(Number());
  change.position = Text(batch);
  change.ordinal = static_cast<uint64_t>(Number());
  change.part = static_cast<uint32_t>(Number());
  change.version = Number();
  change.source_time_micros = Number();
  change.transaction_id = Text(batch);
  change.addressee = Text(batch);
  change.traceparent = Text(batch);
  switch (operation) {
    case Operation::kInsert:
    case Operation::kRead:
      change.after = AnyRow(*change.schema, batch);
      break;
    case Operation::kUpdate:
      if (OneIn(2)) change.before = AnyRow(*change.schema, batch);
      change.after = AnyRow(*change.schema, batch);
      break;
    case Operation::kDelete:
      change.before = AnyRow(*change.schema, batch);
      break;
    case Operation::kMessage:
      change.message_prefix = Text(batch);
      change.message_content = Bytes(batch, Below(100));
      break;
    case Operation::kFrontier:
      change.frontier = Text(batch);
      change.log_id = Text(batch);
      break;
    case Operation::kSweep: {
      change.sweep_below = 1 + static_cast<int64_t>(random_() >> (2 + Below(62)));
      const size_t size = Below(4);
      auto* fence = reinterpret_cast<PartitionOffset*>(
          batch.arena().Allocate(size * sizeof(PartitionOffset), alignof(PartitionOffset)));
      for (size_t i = 0; i < size; ++i) {
        new (fence + i) PartitionOffset{static_cast<int32_t>(Below(50)),
                                        static_cast<int64_t>(random_() >> (1 + Below(63)))};
      }
      change.fence = {fence, size};
      break;
    }
    case Operation::kTruncate:
    case Operation::kSchema:
      break;
  }
  return batch.Append() = change;
}

}  // namespace tailwater
