#include "kafka/connect_type.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <vector>

#include "kafka/connect_time.h"
#include "kafka/encoding.h"
#include "support/change_json.h"
#include "support/shortest_float.h"
#include "support/text.h"
#include "tailwater/array.h"

namespace tailwater::kafka_sink {
namespace {

// "timestamp(3) without time zone" is "timestamp without time zone" with the modifier 3.
struct TypeName {
  std::string base;
  std::vector<int> modifiers;
};
TypeName SplitTypeName(std::string_view text) {
  TypeName name{std::string(text), {}};
  const size_t open = text.find('(');
  const size_t close = text.find(')', open == text.npos ? 0 : open);
  if (open == text.npos || close == text.npos) return name;
  name.base = std::string(text.substr(0, open)) + std::string(text.substr(close + 1));
  const char* at = text.data() + open + 1;
  const char* const end = text.data() + close;
  while (at < end) {
    int number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc()) break;
    name.modifiers.push_back(number);
    at = next + (next < end && *next == ',' ? 1 : 0);
  }
  return name;
}

// Of an extension, whatever schema it was installed into.
std::string_view WithoutSchema(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == name.npos ? name : name.substr(dot + 1);
}

void AppendDouble(double number, std::string& out) {
  std::string text;
  AppendReadable(Value::Float64(number), text);
  // The JSON converter quotes what JSON has no number for.
  if (std::isfinite(number)) {
    out += text;
  } else {
    out.append("\"").append(text).append("\"");
  }
}

// hstore's text, "a"=>"1", "b"=>NULL, as JSON.
bool AppendHstore(std::string_view text, std::string& json) {
  size_t at = 0;
  const auto quoted = [&](std::string& out) {
    if (at >= text.size() || text[at] != '"') return false;
    for (++at; at < text.size() && text[at] != '"'; ++at) {
      if (text[at] == '\\' && ++at >= text.size()) return false;
      out += text[at];
    }
    return at++ < text.size();
  };
  json += '{';
  while (at < text.size()) {
    std::string key;
    std::string value;
    if (!quoted(key) || text.substr(at, 2) != "=>") return false;
    at += 2;
    if (json.size() > 1) json += ',';
    if (!AppendTextJson(key, json)) return false;
    json += ':';
    if (text.substr(at, 4) == "NULL") {
      at += 4;
      json += "null";
    } else if (!quoted(value) || !AppendTextJson(value, json)) {
      return false;
    }
    if (at < text.size()) {
      if (text.substr(at, 2) != ", ") return false;
      at += 2;
    }
  }
  json += '}';
  return true;
}

// Little-endian, without zero bytes at the end, as BitSet.toByteArray().
std::string BitsOf(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[text.size() - 1 - i] != '1') continue;
    bytes.resize(std::max(bytes.size(), i / 8 + 1), '\0');
    bytes[i / 8] = static_cast<char>(bytes[i / 8] | 1 << i % 8);
  }
  return bytes;
}

bool AppendPoint(std::string_view text, std::string& out) {
  if (text.size() < 2 || text.front() != '(' || text.back() != ')') return false;
  double coordinates[2] = {};
  const char* at = text.data() + 1;
  const char* const end = text.data() + text.size() - 1;
  for (double& coordinate : coordinates) {
    const auto [next, error] = std::from_chars(at, end, coordinate);
    if (error != std::errc()) return false;
    at = next + (next < end && *next == ',' ? 1 : 0);
  }
  if (at != end) return false;
  std::string binary("\x01\x01\0\0\0", 5);  // well-known binary: little-endian, a point
  for (const double coordinate : coordinates) {
    const auto bits = std::bit_cast<uint64_t>(coordinate);
    for (int shift = 0; shift < 64; shift += 8) binary += static_cast<char>(bits >> shift & 0xff);
  }
  out += "{\"x\":";
  AppendDouble(coordinates[0], out);
  out += ",\"y\":";
  AppendDouble(coordinates[1], out);
  out += ",\"wkb\":\"";
  AppendBase64(binary, out);
  out += "\",\"srid\":null}";
  return true;
}

}  // namespace

Error ConnectType::NotConvertible() const {
  return {Disposition::kReject, "value_not_convertible",
          fmt::format("a value of type {} cannot be written as Debezium does it; use format: json "
                      "or protobuf",
                      type_name_)};
}

ConnectType::ConnectType(const Column& column, const Conversion& conversion, TypeNames names)
    : ConnectType(column.type, column.type_name, conversion, names) {}

ConnectType::ConnectType(ValueType type, std::string_view type_name, const Conversion& conversion,
                         TypeNames names)
    : conversion_(&conversion), type_name_(type_name) {
  if (names == TypeNames::kPostgres || !ChooseOfMysql(type, type_name)) Choose(type, type_name);
}

void ConnectType::Set(Form form, std::string_view type, std::string_view name) {
  form_ = form;
  type_ = type;
  name_ = name;
}

void ConnectType::SetDecimal(std::string_view type_name) {
  switch (conversion_->decimal) {
    case DecimalMode::kDouble:
      return Set(Form::kDecimalAsDouble, "double");
    case DecimalMode::kString:
      return Set(Form::kDecimalAsText, "string");
    case DecimalMode::kPrecise:
      break;
  }
  const TypeName name = SplitTypeName(type_name);
  if (name.base != "numeric" || name.modifiers.empty()) {
    return Set(Form::kVariableDecimal, "struct", "io.debezium.data.VariableScaleDecimal");
  }
  Set(Form::kDecimal, "bytes", kConnectDecimal);
  scale_ = name.modifiers.size() > 1 ? name.modifiers[1] : 0;
  parameters_ = fmt::format(R"({{"scale":"{}","connect.decimal.precision":"{}"}})", scale_,
                            name.modifiers[0]);
}

void ConnectType::SetBinary() {
  Set(Form::kBytes, conversion_->binary == BinaryMode::kBytes ? "bytes" : "string");
}

void ConnectType::SetTime(int precision) {
  const TimePrecision mode = conversion_->time_precision;
  if (mode == TimePrecision::kConnect) {
    Set(Form::kTime, "int32", "org.apache.kafka.connect.data.Time");
    micros_per_unit_ = 1000;
  } else if (mode == TimePrecision::kAdaptive && precision <= 3) {
    Set(Form::kTime, "int32", "io.debezium.time.Time");
    micros_per_unit_ = 1000;
  } else {
    Set(Form::kTime, "int64", "io.debezium.time.MicroTime");
  }
}

void ConnectType::SetTimestamp(int precision) {
  if (conversion_->time_precision == TimePrecision::kConnect) {
    Set(Form::kTimestamp, "int64", "org.apache.kafka.connect.data.Timestamp");
    micros_per_unit_ = 1000;
  } else if (precision <= 3) {
    Set(Form::kTimestamp, "int64", "io.debezium.time.Timestamp");
    micros_per_unit_ = 1000;
  } else {
    Set(Form::kTimestamp, "int64", "io.debezium.time.MicroTimestamp");
  }
}

// The server's own types; an array's elements are known by name alone.
bool ConnectType::ChooseByName(std::string_view type_name) {
  const TypeName name = SplitTypeName(type_name);
  const std::string_view base = name.base;
  const int modifier = name.modifiers.empty() ? -1 : name.modifiers[0];
  if (base == "boolean") return Set(Form::kBoolean, "boolean"), true;
  if (base == "smallint") return Set(Form::kInteger, "int16"), true;
  if (base == "integer") return Set(Form::kInteger, "int32"), true;
  if (base == "bigint" || base == "oid") return Set(Form::kInteger, "int64"), true;
  if (base == "real") return Set(Form::kFloat, "float"), true;
  if (base == "double precision") return Set(Form::kFloat, "double"), true;
  if (base == "numeric") return SetDecimal(type_name), true;
  if (base == "bytea") return SetBinary(), true;
  if (base == "date") {
    Set(Form::kDate, "int32",
        conversion_->time_precision == TimePrecision::kConnect
            ? "org.apache.kafka.connect.data.Date"
            : "io.debezium.time.Date");
    return true;
  }
  if (base == "time without time zone") return SetTime(modifier < 0 ? 6 : modifier), true;
  if (base == "timestamp without time zone") {
    return SetTimestamp(modifier < 0 ? 6 : modifier), true;
  }
  if (base == "timestamp with time zone") {
    Set(Form::kZonedTimestamp, "string", "io.debezium.time.ZonedTimestamp");
    fraction_digits_ = modifier < 0 ? 6 : modifier;
    return true;
  }
  if (base == "time with time zone") {
    return Set(Form::kZonedTime, "string", "io.debezium.time.ZonedTime"), true;
  }
  if (base == "interval" || base.starts_with("interval ")) {
    conversion_->interval == IntervalMode::kString
        ? Set(Form::kInterval, "string", "io.debezium.time.Interval")
        : Set(Form::kInterval, "int64", "io.debezium.time.MicroDuration");
    return true;
  }
  if (base == "uuid") return Set(Form::kText, "string", "io.debezium.data.Uuid"), true;
  if (base == "json" || base == "jsonb") {
    return Set(Form::kText, "string", "io.debezium.data.Json"), true;
  }
  if (base == "xml") return Set(Form::kText, "string", "io.debezium.data.Xml"), true;
  if (base == "tsvector") return Set(Form::kText, "string", "io.debezium.data.Tsvector"), true;
  if (base == "point") {
    return Set(Form::kPoint, "struct", "io.debezium.data.geometry.Point"), true;
  }
  if (base == "bit" || base == "\"bit\"" || base == "bit varying") {
    // Without a length: bit is one, bit varying any.
    const int length = modifier > 0 ? modifier : base == "bit varying" ? 2147483647 : 1;
    if (length == 1) return Set(Form::kBit, "boolean"), true;
    Set(Form::kBits, "bytes", "io.debezium.data.Bits");
    parameters_ = fmt::format(R"({{"length":"{}"}})", length);
    return true;
  }
  if (WithoutSchema(base) == "hstore") {
    return Set(Form::kHstore, "string", "io.debezium.data.Json"), true;
  }
  if (WithoutSchema(base) == "ltree") {
    return Set(Form::kText, "string", "io.debezium.data.Ltree"), true;
  }
  return false;
}

void ConnectType::Choose(ValueType type, std::string_view type_name) {
  if (type == ValueType::kArray) {
    const std::string_view element =
        type_name.ends_with("[]") ? type_name.substr(0, type_name.size() - 2) : "";
    Set(Form::kArray, "array");
    element_ = std::shared_ptr<const ConnectType>(
        new ConnectType(ValueType::kOther, element, *conversion_, TypeNames::kPostgres));
    return;
  }
  if (ChooseByName(type_name)) return;
  // A domain, or a type of another database.
  switch (type) {
    case ValueType::kBool:
      return Set(Form::kBoolean, "boolean");
    case ValueType::kInt64:
      return Set(Form::kInteger, "int64");
    case ValueType::kFloat64:
      return Set(Form::kFloat, "double");
    case ValueType::kDecimal:
      return SetDecimal({});
    case ValueType::kBytes:
      return SetBinary();
    case ValueType::kDate:
      return static_cast<void>(ChooseByName("date"));
    case ValueType::kTime:
      return SetTime(6);
    case ValueType::kTimestamp:
      return SetTimestamp(6);
    case ValueType::kTimestampTz:
      return static_cast<void>(ChooseByName("timestamp with time zone"));
    case ValueType::kInterval:
      return static_cast<void>(ChooseByName("interval"));
    case ValueType::kUuid:
      return static_cast<void>(ChooseByName("uuid"));
    case ValueType::kJson:
      return static_cast<void>(ChooseByName("json"));
    case ValueType::kEnum:
      // The log does not say which labels there are.
      return Set(Form::kText, "string", "io.debezium.data.Enum");
    case ValueType::kUint64:
    case ValueType::kText:
    case ValueType::kOther:
    case ValueType::kArray:
      return Set(Form::kText, "string");
  }
}

void ConnectType::AppendSchema(std::string_view field, bool optional, std::string& out) const {
  fmt::format_to(std::back_inserter(out), R"({{"type":"{}")", type_);
  switch (form_) {
    case Form::kArray:
      out += ",\"items\":";
      element_->AppendSchema({}, true, out);
      break;
    case Form::kVariableDecimal:
      out += R"(,"fields":[{"type":"int32","optional":false,"field":"scale"},)"
             R"({"type":"bytes","optional":false,"field":"value"}])";
      break;
    case Form::kPoint:
      out += R"(,"fields":[{"type":"double","optional":false,"field":"x"},)"
             R"({"type":"double","optional":false,"field":"y"},)"
             R"({"type":"bytes","optional":true,"field":"wkb"},)"
             R"({"type":"int32","optional":true,"field":"srid"}])";
      break;
    case Form::kGeometry:
      out += R"(,"fields":[{"type":"bytes","optional":false,"field":"wkb"},)"
             R"({"type":"int32","optional":true,"field":"srid"}])";
      break;
    default:
      break;
  }
  fmt::format_to(std::back_inserter(out), R"(,"optional":{})", optional);
  if (!name_.empty()) fmt::format_to(std::back_inserter(out), R"(,"name":"{}","version":1)", name_);
  if (form_ == Form::kVariableDecimal) out += R"(,"doc":"Variable scaled decimal")";
  if (form_ == Form::kPoint) out += ",\"doc\":\"Geometry (POINT)\"";
  if (form_ == Form::kGeometry) out += ",\"doc\":\"Geometry\"";
  if (!parameters_.empty()) out.append(",\"parameters\":").append(parameters_);
  if (!field.empty()) {
    out += ",\"field\":";
    // A column's name is what the source's catalog holds: UTF-8.
    static_cast<void>(AppendTextJson(field, out));
  }
  out += '}';
}

Status ConnectType::AppendValue(const Value& value, std::string& out) const {
  if (!value.has_value()) {
    out += "null";
    return {};
  }
  const ValueType type = value.type();
  switch (form_) {
    case Form::kBoolean:
      if (type != ValueType::kBool) return NotConvertible();
      out += value.as_bool() ? "true" : "false";
      return {};
    case Form::kInteger:
      return AppendInteger(value, out);
    case Form::kFloat:
      if (type != ValueType::kFloat64) return NotConvertible();
      AppendDouble(type_ == "float" ? ShortestDouble(static_cast<float>(value.as_float64()))
                                    : value.as_float64(),
                   out);
      return {};
    case Form::kText:
      return AppendText(value, out);
    case Form::kBytes:
      if (type != ValueType::kBytes) return NotConvertible();
      return AppendBytes(value.bytes(), out);
    case Form::kDecimal:
    case Form::kVariableDecimal:
    case Form::kDecimalAsDouble:
    case Form::kDecimalAsText:
      if (type == ValueType::kUint64) {
        return AppendDecimal(Value::Decimal(fmt::format_int(value.as_uint64()).str()), out);
      }
      if (type != ValueType::kDecimal) return NotConvertible();
      return AppendDecimal(value, out);
    case Form::kDate:
    case Form::kTime:
    case Form::kTimestamp:
    case Form::kZonedTimestamp:
    case Form::kZonedTime:
    case Form::kInterval:
      return AppendTemporal(value, out);
    case Form::kHstore: {
      std::string json;
      if (type != ValueType::kOther || !AppendHstore(value.bytes(), json)) {
        return NotConvertible();
      }
      return AppendTextJson(json, out);
    }
    case Form::kBit:
    case Form::kBits:
      return AppendBits(value, out);
    case Form::kPoint:
    case Form::kGeometry:
      return AppendGeometry(value, out);
    case Form::kArray:
      if (type != ValueType::kArray) return NotConvertible();
      return AppendArray(value, out);
  }
  return NotConvertible();
}

Status ConnectType::AppendInteger(const Value& value, std::string& out) const {
  if (value.type() == ValueType::kUint64) {
    if (value.as_uint64() > INT64_MAX) {
      return Error{Disposition::kReject, "integer_too_large",
                   fmt::format("a value of type {} is larger than Kafka Connect's integers; set "
                               "unsigned_bigint: precise",
                               type_name_)};
    }
  } else if (value.type() != ValueType::kInt64) {
    return NotConvertible();
  }
  fmt::format_to(std::back_inserter(out), "{}", value.as_int64());
  return {};
}

// Postgres's are text of ones and zeros, MySQL's a number.
Status ConnectType::AppendBits(const Value& value, std::string& out) const {
  std::string bytes;
  if (value.type() == ValueType::kOther) {
    bytes = BitsOf(value.bytes());
  } else if (value.type() == ValueType::kUint64) {
    for (uint64_t rest = value.as_uint64(); rest != 0; rest >>= 8) {
      bytes += static_cast<char>(rest & 0xff);
    }
    bytes.resize(std::max(bytes.size(), bit_bytes_), '\0');
  } else {
    return NotConvertible();
  }
  if (form_ == Form::kBit) {
    out += bytes.find_first_not_of('\0') == bytes.npos ? "false" : "true";
    return {};
  }
  out += '"';
  AppendBase64(bytes, out);
  out += '"';
  return {};
}

// Postgres's points are text; MySQL's geometries well-known binary behind the number of their
// reference system.
Status ConnectType::AppendGeometry(const Value& value, std::string& out) const {
  if (value.type() == ValueType::kOther && form_ == Form::kPoint) {
    return AppendPoint(value.bytes(), out) ? Status() : NotConvertible();
  }
  constexpr size_t kSridBytes = 4;
  constexpr size_t kPointBytes = kSridBytes + 21;
  const std::string_view bytes = value.bytes();
  if (value.type() != ValueType::kBytes || bytes.size() < kSridBytes) return NotConvertible();
  uint32_t srid = 0;
  for (size_t i = kSridBytes; i-- > 0;) srid = srid << 8 | static_cast<uint8_t>(bytes[i]);
  out += '{';
  if (form_ == Form::kPoint) {
    // MySQL stores little-endian alone.
    if (bytes.size() != kPointBytes || bytes[kSridBytes] != 1) return NotConvertible();
    double coordinates[2] = {};
    std::memcpy(coordinates, bytes.data() + kSridBytes + 5, sizeof coordinates);
    out += "\"x\":";
    AppendDouble(coordinates[0], out);
    out += ",\"y\":";
    AppendDouble(coordinates[1], out);
    out += ',';
  }
  out += "\"wkb\":\"";
  AppendBase64(bytes.substr(kSridBytes), out);
  out += "\",\"srid\":";
  if (srid == 0) {
    out += "null}";
  } else {
    fmt::format_to(std::back_inserter(out), "{}}}", srid);
  }
  return {};
}

Status ConnectType::AppendText(const Value& value, std::string& out) const {
  switch (value.type()) {
    case ValueType::kText:
    case ValueType::kJson:
    case ValueType::kEnum:
    case ValueType::kOther:
      return AppendTextJson(value.bytes(), out);
    default: {
      std::string text;
      AppendReadable(value, text);
      return AppendTextJson(text, out);
    }
  }
}

Status ConnectType::AppendBytes(std::string_view bytes, std::string& out) const {
  out += '"';
  switch (conversion_->binary) {
    case BinaryMode::kBytes:  // which the JSON converter writes so, too
    case BinaryMode::kBase64:
      AppendBase64(bytes, out);
      break;
    case BinaryMode::kBase64UrlSafe:
      AppendBase64Url(bytes, out);
      break;
    case BinaryMode::kHex:
      AppendHex(bytes, out);
      break;
  }
  out += '"';
  return {};
}

Status ConnectType::AppendDecimal(const Value& value, std::string& out) const {
  const std::string_view text = value.bytes();
  const bool finite = text != "NaN" && text != "Infinity" && text != "-Infinity";
  if (form_ == Form::kDecimalAsText) {
    // Debezium's names of what is no number.
    return AppendTextJson(finite           ? text
                          : text == "NaN"  ? "NAN"
                          : text[0] == '-' ? "NEGATIVE_INFINITY"
                                           : "POSITIVE_INFINITY",
                          out);
  }
  if (form_ == Form::kDecimalAsDouble) {
    AppendDouble(std::strtod(std::string(text).c_str(), nullptr), out);
    return {};
  }
  if (!finite) {
    return Error{Disposition::kReject, "decimal_not_finite",
                 fmt::format("{} cannot be written as a precise decimal; set decimal: string or "
                             "double",
                             text)};
  }
  const auto number = form_ == Form::kDecimal ? ParseDecimal(text, scale_) : ParseDecimal(text);
  if (!number) return NotConvertible();
  if (form_ == Form::kVariableDecimal) {
    fmt::format_to(std::back_inserter(out), R"({{"scale":{},"value":)", number->scale);
  }
  out += '"';
  AppendBase64(number->unscaled, out);
  out += '"';
  if (form_ == Form::kVariableDecimal) out += '}';
  return {};
}

Status ConnectType::AppendTemporal(const Value& value, std::string& out) const {
  const ValueType type = value.type();
  const bool as_text = type == ValueType::kOther;
  const auto number = [&](int64_t n) {
    fmt::format_to(std::back_inserter(out), "{}", n);
    return Status();
  };
  switch (form_) {
    case Form::kDate:
      if (type == ValueType::kDate) return number(value.as_int64());
      if (const auto days = as_text ? DaysOfText(value.bytes()) : std::nullopt) {
        return number(*days);
      }
      break;
    case Form::kTime: {
      const auto micros = type == ValueType::kTime ? value.as_int64()
                          : as_text                ? MicrosOfTime(value.bytes())
                                                   : std::optional<int64_t>();
      if (!micros) break;
      const int64_t units = FloorDivide(*micros, micros_per_unit_);
      if (type_ == "int32" && static_cast<int32_t>(units) != units) break;
      return number(units);
    }
    case Form::kTimestamp:
      if (type == ValueType::kTimestamp) {
        return number(FloorDivide(value.as_int64(), micros_per_unit_));
      }
      if (const auto micros = as_text ? MicrosOfText(value.bytes()) : std::nullopt) {
        return number(FloorDivide(*micros, micros_per_unit_));
      }
      break;
    case Form::kZonedTimestamp: {
      if (as_text && value.bytes().ends_with("infinity")) {
        return AppendTextJson(value.bytes(), out);
      }
      const auto micros = type == ValueType::kTimestampTz ? value.as_int64()
                          : as_text                       ? MicrosOfText(value.bytes())
                                                          : std::optional<int64_t>();
      if (!micros) break;
      out += '"';
      AppendZonedTimestamp(*micros, fraction_digits_, out);
      out += '"';
      return {};
    }
    case Form::kZonedTime: {
      std::string text;
      if (!as_text || !AppendZonedTime(value.bytes(), text)) break;
      return AppendTextJson(text, out);
    }
    case Form::kInterval: {
      if (type != ValueType::kInterval) break;
      if (conversion_->interval == IntervalMode::kNumeric) {
        return number(IntervalMicros(value.as_interval()));
      }
      std::string text;
      AppendIsoInterval(value.as_interval(), text);
      return AppendTextJson(text, out);
    }
    default:
      break;
  }
  return NotConvertible();
}

Status ConnectType::AppendArray(const Value& value, std::string& out) const {
  TW_ASSIGN_OR_RETURN(const ArrayView array, ReadArray(value.bytes()));
  if (array.dimensions.size() > 1) {
    return Error{Disposition::kReject, "array_nested",
                 fmt::format("an array of {} dimensions has no Kafka Connect type; use format: "
                             "json or protobuf",
                             array.dimensions.size())};
  }
  out += '[';
  for (size_t i = 0; i < array.elements.size(); ++i) {
    if (i > 0) out += ',';
    TW_TRY(element_->AppendValue(array.elements[i], out));
  }
  out += ']';
  return {};
}

Status ConnectType::AppendPlaceholder(std::string& out) const {
  const std::string& placeholder = conversion_->placeholder;
  switch (form_) {
    case Form::kText:
      return AppendTextJson(placeholder, out);
    case Form::kBytes:
      return conversion_->binary == BinaryMode::kBytes ? AppendBytes(placeholder, out)
                                                       : AppendTextJson(placeholder, out);
    case Form::kHstore: {
      std::string text;
      TW_TRY(AppendTextJson(placeholder, text));
      return AppendTextJson("{" + text + ":" + text + "}", out);
    }
    case Form::kArray:
      if (element_->form_ == Form::kText && element_->name_ != "io.debezium.data.Uuid") {
        out += '[';
        TW_TRY(AppendTextJson(placeholder, out));
        out += ']';
        return {};
      }
      if (element_->form_ == Form::kBytes) {
        out += '[';
        TW_TRY(element_->AppendPlaceholder(out));
        out += ']';
        return {};
      }
      if (element_->form_ == Form::kInteger || element_->form_ == Form::kDate) {
        out += '[';
        for (size_t i = 0; i < placeholder.size(); ++i) {
          fmt::format_to(std::back_inserter(out), "{}{}", i > 0 ? "," : "",
                         static_cast<int>(static_cast<signed char>(placeholder[i])));
        }
        out += ']';
        return {};
      }
      break;
    default:
      break;
  }
  return Error{Disposition::kReject, "unchanged_not_representable",
               fmt::format("the log did not repeat a value of type {}, and nothing can stand for "
                           "it; set REPLICA IDENTITY FULL on the table, or use format: json",
                           type_name_)};
}

}  // namespace tailwater::kafka_sink
