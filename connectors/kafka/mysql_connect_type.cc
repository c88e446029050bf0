// MySQL's and MariaDB's types as Debezium's connectors for them write them.
#include <array>
#include <charconv>

#include "kafka/connect_type.h"
#include "support/change_json.h"
#include "support/text.h"

namespace tailwater::kafka_sink {
namespace {

// The number behind the name: varchar(20), decimal(12,2), datetime(6); -1: none.
int FirstNumber(std::string_view type_name) {
  const size_t open = type_name.find('(');
  int number = -1;
  if (open != type_name.npos) {
    std::from_chars(type_name.data() + open + 1, type_name.data() + type_name.size(), number);
  }
  return number;
}

// 'a','it''s' as {"allowed":"a,it's"}.
std::string AllowedLabels(std::string_view type_name) {
  std::string labels;
  bool inside = false;
  for (size_t i = type_name.find('(') + 1; i < type_name.size(); ++i) {
    const char c = type_name[i];
    if (c != '\'') {
      if (inside || c == ',') labels += c;
    } else if (inside && i + 1 < type_name.size() && type_name[i + 1] == '\'') {
      labels += c;
      ++i;
    } else {
      inside = !inside;
    }
  }
  std::string json = "{\"allowed\":";
  static_cast<void>(AppendTextJson(labels, json));  // names of types are UTF-8
  return json += '}';
}

bool IsGeometry(std::string_view base) {
  constexpr std::array<std::string_view, 7> kNames = {
      "geometry",        "linestring",   "polygon",           "multipoint",
      "multilinestring", "multipolygon", "geometrycollection"};
  for (const std::string_view name : kNames) {
    if (base == name) return true;
  }
  return false;
}

}  // namespace

// Names that Postgres has, too, and means alike are left to Choose().
bool ConnectType::ChooseOfMysql(ValueType type, std::string_view type_name) {
  std::string_view name = type_name;
  constexpr std::string_view kUnsigned = " unsigned";
  const bool is_unsigned = name.ends_with(kUnsigned);
  if (is_unsigned) name.remove_suffix(kUnsigned.size());
  const std::string_view base = name.substr(0, name.find('('));
  const int number = FirstNumber(name);
  const int digits = number < 0 ? 0 : number;
  if (base == "tinyint") return Set(Form::kInteger, "int16"), true;
  if (base == "smallint" && is_unsigned) return Set(Form::kInteger, "int32"), true;
  if (base == "mediumint") return Set(Form::kInteger, "int32"), true;
  if (base == "int") return Set(Form::kInteger, is_unsigned ? "int64" : "int32"), true;
  if (base == "bigint" && is_unsigned) {
    if (conversion_->unsigned_bigint == UnsignedBigintMode::kLong) {
      return Set(Form::kInteger, "int64"), true;
    }
    // Whatever the mode of decimals is.
    Set(Form::kDecimal, "bytes", kConnectDecimal);
    parameters_ = R"({"scale":"0","connect.decimal.precision":"20"})";
    return true;
  }
  if (base == "year") return Set(Form::kInteger, "int32", "io.debezium.time.Year"), true;
  if (base == "float") return Set(Form::kFloat, "float"), true;
  if (base == "double") return Set(Form::kFloat, "double"), true;
  if (base == "decimal") {
    return SetDecimal(fmt::format("numeric{}", name.substr(base.size()))), true;
  }
  if (base == "time" && type == ValueType::kTime) {
    return SetTime(6), true;  // it has no adaptive form here: hours go to 838
  }
  if (base == "datetime") return SetTimestamp(digits), true;
  if (base == "timestamp" && type == ValueType::kTimestampTz) {
    Set(Form::kZonedTimestamp, "string", "io.debezium.time.ZonedTimestamp");
    fraction_digits_ = digits;
    return true;
  }
  if (base == "enum" || base == "set") {
    Set(Form::kText, "string",
        base == "enum" ? "io.debezium.data.Enum" : "io.debezium.data.EnumSet");
    parameters_ = AllowedLabels(type_name);
    return true;
  }
  if (base == "bit" && type == ValueType::kUint64) {
    if (number == 1) return Set(Form::kBit, "boolean"), true;
    Set(Form::kBits, "bytes", "io.debezium.data.Bits");
    parameters_ = fmt::format(R"({{"length":"{}"}})", number);
    bit_bytes_ = (static_cast<size_t>(digits) + 7) / 8;
    return true;
  }
  if (type == ValueType::kBytes && base == "point") {
    return Set(Form::kPoint, "struct", "io.debezium.data.geometry.Point"), true;
  }
  if (type == ValueType::kBytes && IsGeometry(base)) {
    return Set(Form::kGeometry, "struct", "io.debezium.data.geometry.Geometry"), true;
  }
  if (type == ValueType::kArray && base == "vector" && number > 0) {
    Set(Form::kArray, "array", "io.debezium.data.FloatVector");
    element_ = std::shared_ptr<const ConnectType>(
        new ConnectType(ValueType::kFloat64, "real", *conversion_, TypeNames::kPostgres));
    return true;
  }
  return false;
}

}  // namespace tailwater::kafka_sink
