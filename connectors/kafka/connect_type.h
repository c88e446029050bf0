// How a column looks in Debezium's JSON: its Kafka Connect type with the semantic name, and its
// values. Names and forms are those of Debezium's connectors 3.x for Postgres and MySQL behind
// Kafka's JSON converter.
//
// What Debezium leaves out of the row (types that it does not know) is a string here: no column is
// dropped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tailwater/result.h"
#include "tailwater/schema.h"

namespace tailwater::kafka_sink {

enum class DecimalMode : uint8_t { kPrecise, kDouble, kString };
enum class TimePrecision : uint8_t { kAdaptive, kAdaptiveTimeMicroseconds, kConnect };
enum class BinaryMode : uint8_t { kBytes, kBase64, kBase64UrlSafe, kHex };
enum class IntervalMode : uint8_t { kNumeric, kString };
enum class UnsignedBigintMode : uint8_t { kLong, kPrecise };

// Debezium's decimal.handling.mode and so on.
struct Conversion {
  DecimalMode decimal = DecimalMode::kPrecise;
  TimePrecision time_precision = TimePrecision::kAdaptive;
  BinaryMode binary = BinaryMode::kBytes;
  IntervalMode interval = IntervalMode::kNumeric;
  UnsignedBigintMode unsigned_bigint = UnsignedBigintMode::kLong;
  std::string placeholder = "__debezium_unavailable_value";
};

inline constexpr std::string_view kConnectDecimal = "org.apache.kafka.connect.data.Decimal";

// Whose names the types of a table's columns have.
enum class TypeNames : uint8_t { kPostgres, kMysql };

class ConnectType {
 public:
  // `conversion` outlives it.
  ConnectType(const Column& column, const Conversion& conversion,
              TypeNames names = TypeNames::kPostgres);

  // {"type":"int32","optional":true,"field":"id"}; without a field if that is empty.
  void AppendSchema(std::string_view field, bool optional, std::string& out) const;

  // NULL and what the record omits are null. kReject: "decimal_not_finite", "integer_too_large",
  // "array_nested", "text_not_utf8", "value_not_convertible". kFatal "record_malformed".
  Status AppendValue(const Value& value, std::string& out) const;

  // What stands for a value that the log did not repeat. kReject "unchanged_not_representable".
  Status AppendPlaceholder(std::string& out) const;

 private:
  enum class Form : uint8_t {
    kBoolean,
    kInteger,
    kFloat,
    kText,
    kBytes,
    kDecimal,
    kVariableDecimal,
    kDecimalAsDouble,
    kDecimalAsText,
    kDate,
    kTime,
    kTimestamp,
    kZonedTimestamp,
    kZonedTime,
    kInterval,
    kHstore,
    kBit,
    kBits,
    kPoint,
    kGeometry,
    kArray,
  };

  ConnectType(ValueType type, std::string_view type_name, const Conversion& conversion,
              TypeNames names);
  void Choose(ValueType type, std::string_view type_name);
  bool ChooseByName(std::string_view type_name);
  bool ChooseOfMysql(ValueType type, std::string_view type_name);  // mysql_connect_type.cc
  void Set(Form form, std::string_view type, std::string_view name = {});
  void SetDecimal(std::string_view type_name);
  void SetBinary();
  void SetTime(int precision);
  void SetTimestamp(int precision);
  Status AppendText(const Value& value, std::string& out) const;
  Status AppendDecimal(const Value& value, std::string& out) const;
  Status AppendArray(const Value& value, std::string& out) const;
  Status AppendTemporal(const Value& value, std::string& out) const;
  Status AppendInteger(const Value& value, std::string& out) const;
  Status AppendBytes(std::string_view bytes, std::string& out) const;
  Status AppendBits(const Value& value, std::string& out) const;
  Status AppendGeometry(const Value& value, std::string& out) const;
  Error NotConvertible() const;

  const Conversion* conversion_;
  std::string type_name_;  // as the server names it
  Form form_ = Form::kText;
  std::string_view type_ = "string";  // Connect's
  std::string_view name_;             // the semantic one; empty: none
  std::string parameters_;            // as JSON; empty: none
  int32_t scale_ = 0;                 // of a decimal
  int64_t micros_per_unit_ = 1;       // of times
  int fraction_digits_ = 6;           // of a ZonedTimestamp
  size_t bit_bytes_ = 0;              // of MySQL's bits: padded to so many
  std::shared_ptr<const ConnectType> element_;
};

}  // namespace tailwater::kafka_sink
