// One column value of a change, as a view: a tag and a number, or a tag and borrowed bytes.
//
// Values are typed and lossless: snapshot and stream yield identical values for the same row. A
// Value never owns memory; whatever it points to belongs to the ChangeBatch (or the source's
// receive buffer) that it was made for.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tailwater {

// The numbers are part of the wire format (change.proto, Column.type): never renumber.
enum class ValueType : uint8_t {
  kBool = 1,
  kInt64 = 2,
  kUint64 = 3,
  kFloat64 = 4,
  kDecimal = 5,  // exact decimal text as the server prints it; may be NaN, Infinity, -Infinity
  kText = 6,     // UTF-8
  kBytes = 7,
  kDate = 8,  // days since 1970-01-01, proleptic Gregorian
  kTime = 9,  // microseconds since midnight; 24:00:00 is 86,400,000,000
  kTimestamp =
      10,  // zoneless: microseconds since 1970-01-01 00:00:00 of an unnamed zone, never converted
  kTimestampTz = 11,  // an instant: microseconds since 1970-01-01 00:00:00 UTC
  kInterval = 12,     // months, days, microseconds
  kUuid = 13,         // 16 bytes
  kJson = 14,         // JSON text exactly as the server has it
  kArray = 15,        // n dimensions with NULLs; bytes are a wire-form tailwater.v1.Array
  kEnum = 16,         // the label
  kOther = 17,  // text as the server prints it; Column::type_name says of what. Also infinite, BC
                // and out-of-range dates and timestamps of kDate/kTimestamp/kTimestampTz columns,
                // and timetz.
};

// "bool", "int64", "timestamptz", …: lower case, as documentation, `check` and JSON output name
// them.
std::string_view ValueTypeName(ValueType type);

enum class ColumnState : uint8_t {
  kOmitted = 0,  // there was a value, this record lacks it (row sinks write NULL and count it)
  kNull = 1,
  kUnchanged = 2,  // as in the row's last image; the log did not repeat it (TOAST). Never to be
                   // taken for NULL
  kValue = 3,
};

struct Interval {
  int32_t months = 0;
  int32_t days = 0;
  int64_t micros = 0;
  bool operator==(const Interval&) const = default;
};

class Value {
 public:
  Value() = default;  // omitted
  static Value Omitted() { return {}; }
  static Value Null() { return Value(ColumnState::kNull); }
  static Value Unchanged() { return Value(ColumnState::kUnchanged); }
  static Value Bool(bool value) { return Number(ValueType::kBool, value ? 1 : 0); }
  static Value Int64(int64_t value) { return Number(ValueType::kInt64, value); }
  static Value Uint64(uint64_t value) {
    return Number(ValueType::kUint64, static_cast<int64_t>(value));
  }
  static Value Float64(double value) {
    int64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return Number(ValueType::kFloat64, bits);
  }
  static Value Date(int64_t days) { return Number(ValueType::kDate, days); }
  static Value Time(int64_t micros) { return Number(ValueType::kTime, micros); }
  static Value Timestamp(int64_t micros) { return Number(ValueType::kTimestamp, micros); }
  static Value TimestampTz(int64_t micros) { return Number(ValueType::kTimestampTz, micros); }
  static Value Decimal(std::string_view text) { return Bytes(ValueType::kDecimal, text); }
  static Value Text(std::string_view text) { return Bytes(ValueType::kText, text); }
  static Value Blob(std::string_view bytes) { return Bytes(ValueType::kBytes, bytes); }
  static Value Json(std::string_view text) { return Bytes(ValueType::kJson, text); }
  static Value Enum(std::string_view label) { return Bytes(ValueType::kEnum, label); }
  static Value Other(std::string_view text) { return Bytes(ValueType::kOther, text); }
  static Value Uuid(std::string_view sixteen_bytes) {
    return Bytes(ValueType::kUuid, sixteen_bytes);
  }
  static Value Array(std::string_view wire_array) { return Bytes(ValueType::kArray, wire_array); }
  // `interval` is borrowed: allocate it in the batch.
  static Value OfInterval(const Interval* interval) {
    return Bytes(ValueType::kInterval, {reinterpret_cast<const char*>(interval), sizeof *interval});
  }

  ColumnState state() const { return state_; }
  bool has_value() const { return state_ == ColumnState::kValue; }
  bool is_null() const { return state_ == ColumnState::kNull; }
  bool is_unchanged() const { return state_ == ColumnState::kUnchanged; }
  bool is_omitted() const { return state_ == ColumnState::kOmitted; }
  ValueType type() const { return type_; }  // meaningful only if has_value()

  bool as_bool() const { return number_ != 0; }
  int64_t as_int64() const { return number_; }  // also date, time, timestamp, timestamptz
  uint64_t as_uint64() const { return static_cast<uint64_t>(number_); }
  double as_float64() const {
    double value;
    std::memcpy(&value, &number_, sizeof value);
    return value;
  }
  Interval as_interval() const {
    Interval value;
    std::memcpy(&value, data_, sizeof value);
    return value;
  }
  std::string_view bytes() const { return {data_, size_}; }  // every type that is not a number

  // True for types whose payload is bytes() and not a number.
  static bool IsBytes(ValueType type) {
    return type == ValueType::kDecimal || type == ValueType::kText || type == ValueType::kBytes ||
           type >= ValueType::kInterval;
  }

  // Same state, and for values same type and same payload. NaN equals NaN of the same bits.
  bool operator==(const Value& other) const {
    if (state_ != other.state_) return false;
    if (state_ != ColumnState::kValue) return true;
    if (type_ != other.type_) return false;
    return IsBytes(type_) ? bytes() == other.bytes() : number_ == other.number_;
  }

 private:
  explicit Value(ColumnState state) : state_(state) {}
  static Value Number(ValueType type, int64_t number) {
    Value value(ColumnState::kValue);
    value.type_ = type;
    value.number_ = number;
    return value;
  }
  static Value Bytes(ValueType type, std::string_view bytes) {
    Value value(ColumnState::kValue);
    value.type_ = type;
    value.data_ = bytes.data();
    value.size_ = static_cast<uint32_t>(bytes.size());
    return value;
  }

  union {
    int64_t number_ = 0;
    const char* data_;
  };
  uint32_t size_ = 0;
  ColumnState state_ = ColumnState::kOmitted;
  ValueType type_ = ValueType::kText;
};
static_assert(sizeof(Value) == 16);

// Appends the value as people and databases write it: t/f as true/false, ISO dates and times, bytes
// as \x hex, arrays as {a,b}. Null, unchanged and omitted print as NULL, (unchanged) and (omitted);
// for people only, never for a data path.
void AppendReadable(const Value& value, std::string& out);

}  // namespace tailwater
