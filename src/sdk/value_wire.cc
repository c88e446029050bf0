#include "sdk/value_wire.h"

#include <limits>

namespace tailwater::wire {
namespace {

// Field numbers of tailwater.v1.Value.kind.
enum ValueField : uint32_t {
  kAbsenceField = 1,
  kBoolField = 2,
  kInt64Field = 3,
  kUint64Field = 4,
  kFloat64Field = 5,
  kDecimalField = 6,
  kTextField = 7,
  kBytesField = 8,
  kDateField = 9,
  kTimeField = 10,
  kTimestampField = 11,
  kTimestampTzField = 12,
  kUuidField = 13,
  kJsonField = 14,
  kEnumField = 15,
  kIntervalField = 16,
  kArrayField = 17,
  kOtherField = 18,
};
constexpr uint64_t kNullValue = 1;
constexpr uint64_t kUnchangedValue = 2;

constexpr uint32_t FieldOf(ValueType type) {
  switch (type) {
    case ValueType::kBool:
      return kBoolField;
    case ValueType::kInt64:
      return kInt64Field;
    case ValueType::kUint64:
      return kUint64Field;
    case ValueType::kFloat64:
      return kFloat64Field;
    case ValueType::kDecimal:
      return kDecimalField;
    case ValueType::kText:
      return kTextField;
    case ValueType::kBytes:
      return kBytesField;
    case ValueType::kDate:
      return kDateField;
    case ValueType::kTime:
      return kTimeField;
    case ValueType::kTimestamp:
      return kTimestampField;
    case ValueType::kTimestampTz:
      return kTimestampTzField;
    case ValueType::kInterval:
      return kIntervalField;
    case ValueType::kUuid:
      return kUuidField;
    case ValueType::kJson:
      return kJsonField;
    case ValueType::kArray:
      return kArrayField;
    case ValueType::kEnum:
      return kEnumField;
    case ValueType::kOther:
      return kOtherField;
  }
  return kOtherField;
}

size_t IntervalSize(const Interval& interval) {
  size_t size = 0;
  if (interval.months != 0) size += 1 + VarintSize(ZigZag32(interval.months));
  if (interval.days != 0) size += 1 + VarintSize(ZigZag32(interval.days));
  if (interval.micros != 0) size += 1 + VarintSize(ZigZag(interval.micros));
  return size;
}

char* PutInterval(char* out, const Interval& interval) {
  if (interval.months != 0) {
    *out++ = Tag(1, kVarint);
    out = PutVarint(out, ZigZag32(interval.months));
  }
  if (interval.days != 0) {
    *out++ = Tag(2, kVarint);
    out = PutVarint(out, ZigZag32(interval.days));
  }
  if (interval.micros != 0) {
    *out++ = Tag(3, kVarint);
    out = PutVarint(out, ZigZag(interval.micros));
  }
  return out;
}

bool ReadInterval(std::string_view bytes, Interval& interval) {
  interval = {};
  Reader reader(bytes);
  for (Field field; reader.Next(field);) {
    if (field.number > 3) continue;
    if (field.type != kVarint) return false;
    if (field.number == 3) {
      interval.micros = UnZigZag(field.number_value);
      continue;
    }
    if (field.number_value > std::numeric_limits<uint32_t>::max()) return false;
    const auto number = static_cast<int32_t>(UnZigZag(field.number_value));
    (field.number == 1 ? interval.months : interval.days) = number;
  }
  return reader.ok();
}

}  // namespace

size_t ValueSize(const Value& value) {
  switch (value.state()) {
    case ColumnState::kOmitted:
      return 0;
    case ColumnState::kNull:
    case ColumnState::kUnchanged:
      return 2;
    case ColumnState::kValue:
      break;
  }
  switch (value.type()) {
    case ValueType::kBool:
      return 2;
    case ValueType::kInt64:
    case ValueType::kDate:
    case ValueType::kTime:
    case ValueType::kTimestamp:
    case ValueType::kTimestampTz:
      return 1 + VarintSize(ZigZag(value.as_int64()));
    case ValueType::kUint64:
      return 1 + VarintSize(value.as_uint64());
    case ValueType::kFloat64:
      return 9;
    case ValueType::kInterval:  // from here on the tag needs two bytes
      return 2 + DelimitedSize(IntervalSize(value.as_interval()));
    case ValueType::kArray:
    case ValueType::kOther:
      return 2 + DelimitedSize(value.bytes().size());
    case ValueType::kDecimal:
    case ValueType::kText:
    case ValueType::kBytes:
    case ValueType::kUuid:
    case ValueType::kJson:
    case ValueType::kEnum:
      return 1 + DelimitedSize(value.bytes().size());
  }
  return 0;
}

char* PutValue(char* out, const Value& value) {
  switch (value.state()) {
    case ColumnState::kOmitted:
      return out;
    case ColumnState::kNull:
      *out++ = Tag(kAbsenceField, kVarint);
      *out++ = kNullValue;
      return out;
    case ColumnState::kUnchanged:
      *out++ = Tag(kAbsenceField, kVarint);
      *out++ = kUnchangedValue;
      return out;
    case ColumnState::kValue:
      break;
  }
  const uint32_t field = FieldOf(value.type());
  switch (value.type()) {
    case ValueType::kBool:
      *out++ = static_cast<char>(Tag(field, kVarint));
      *out++ = value.as_bool() ? 1 : 0;
      return out;
    case ValueType::kInt64:
    case ValueType::kDate:
    case ValueType::kTime:
    case ValueType::kTimestamp:
    case ValueType::kTimestampTz:
      *out++ = static_cast<char>(Tag(field, kVarint));
      return PutVarint(out, ZigZag(value.as_int64()));
    case ValueType::kUint64:
      *out++ = static_cast<char>(Tag(field, kVarint));
      return PutVarint(out, value.as_uint64());
    case ValueType::kFloat64:
      *out++ = static_cast<char>(Tag(field, kFixed64));
      return PutFixed64(out, value.as_uint64());
    case ValueType::kInterval: {
      const Interval interval = value.as_interval();
      out = PutVarint(out, Tag(field, kBytes));
      out = PutVarint(out, IntervalSize(interval));
      return PutInterval(out, interval);
    }
    case ValueType::kArray:
    case ValueType::kOther:
      out = PutVarint(out, Tag(field, kBytes));
      return PutDelimited(out, value.bytes());
    case ValueType::kDecimal:
    case ValueType::kText:
    case ValueType::kBytes:
    case ValueType::kUuid:
    case ValueType::kJson:
    case ValueType::kEnum:
      *out++ = static_cast<char>(Tag(field, kBytes));
      return PutDelimited(out, value.bytes());
  }
  return out;
}

bool ReadValue(std::string_view bytes, Value& value, Interval& interval, bool& is_interval) {
  is_interval = false;
  value = Value::Omitted();
  if (bytes.empty()) return true;
  Reader reader(bytes);
  bool known = false;
  for (Field field; reader.Next(field);) {
    is_interval = false;
    uint32_t expected = kBytes;
    switch (field.number) {
      case kAbsenceField:
        expected = kVarint;
        if (field.number_value == kNullValue) {
          value = Value::Null();
        } else if (field.number_value == kUnchangedValue) {
          value = Value::Unchanged();
        } else {
          return false;
        }
        break;
      case kBoolField:
        expected = kVarint;
        value = Value::Bool(field.number_value != 0);
        break;
      case kInt64Field:
        expected = kVarint;
        value = Value::Int64(UnZigZag(field.number_value));
        break;
      case kUint64Field:
        expected = kVarint;
        value = Value::Uint64(field.number_value);
        break;
      case kFloat64Field:
        expected = kFixed64;
        value = Value::Float64(std::bit_cast<double>(field.number_value));
        break;
      case kDecimalField:
        value = Value::Decimal(field.bytes);
        break;
      case kTextField:
        value = Value::Text(field.bytes);
        break;
      case kBytesField:
        value = Value::Blob(field.bytes);
        break;
      case kDateField:
        expected = kVarint;
        value = Value::Date(UnZigZag(field.number_value));
        break;
      case kTimeField:
        expected = kVarint;
        value = Value::Time(UnZigZag(field.number_value));
        break;
      case kTimestampField:
        expected = kVarint;
        value = Value::Timestamp(UnZigZag(field.number_value));
        break;
      case kTimestampTzField:
        expected = kVarint;
        value = Value::TimestampTz(UnZigZag(field.number_value));
        break;
      case kUuidField:
        if (field.bytes.size() != 16) return false;
        value = Value::Uuid(field.bytes);
        break;
      case kJsonField:
        value = Value::Json(field.bytes);
        break;
      case kEnumField:
        value = Value::Enum(field.bytes);
        break;
      case kIntervalField:
        if (field.type != kBytes || !ReadInterval(field.bytes, interval)) return false;
        is_interval = true;
        break;
      case kArrayField:
        value = Value::Array(field.bytes);
        break;
      case kOtherField:
        value = Value::Other(field.bytes);
        break;
      default:
        continue;  // an unknown field; counts only if a known one stands beside it
    }
    if (field.type != expected) return false;
    known = true;
  }
  return reader.ok() && known;
}

}  // namespace tailwater::wire
