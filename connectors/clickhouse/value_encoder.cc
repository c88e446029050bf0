#include "clickhouse/value_encoder.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "clickhouse/wide_number.h"
#include "support/change_json.h"
#include "support/shortest_float.h"
#include "support/text.h"
#include "tailwater/array.h"

namespace tailwater::clickhouse {
namespace {

constexpr int64_t kMicros = 1'000'000;
constexpr int64_t kDaySeconds = 86'400;
// 1900-01-01 and 2299-12-31, which Date32 and DateTime64 hold; nanoseconds end in 2262.
constexpr int64_t kFirstDay = -25'567;
constexpr int64_t kLastDay = 120'529;
constexpr int64_t kLastNanosecondDay = 106'750;

void AppendNumber(uint64_t number, uint32_t bytes, std::string& out) {
  for (uint32_t i = 0; i < bytes; ++i) {
    out += i < 8 ? static_cast<char>(number >> (8 * i)) : '\0';
  }
}

void AppendSigned(int64_t number, uint32_t bytes, std::string& out) {
  const char fill = number < 0 ? '\xff' : '\0';
  for (uint32_t i = 0; i < bytes; ++i) {
    out += i < 8 ? static_cast<char>(static_cast<uint64_t>(number) >> (8 * i)) : fill;
  }
}

// A whole number with its sign, as two halves of what the source has.
struct Whole {
  bool negative = false;
  uint64_t magnitude = 0;
};

Whole WholeOf(const Value& value) {
  if (value.type() == ValueType::kUint64) return {false, value.as_uint64()};
  if (value.type() == ValueType::kBool) return {false, value.as_bool() ? 1u : 0u};
  const int64_t number = value.as_int64();
  return {number < 0,
          number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number)};
}

// Of text such as NaN, Infinity, 5874897-12-31 and 0044-03-15 BC.
Fit FarText(std::string_view text) {
  if (text.ends_with("BC")) return Fit::kBelow;
  if (text == "infinity" || text == "Infinity") return Fit::kAbove;
  if (text == "-infinity" || text == "-Infinity") return Fit::kBelow;
  size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  return digits > 4 ? Fit::kAbove : Fit::kNone;
}

Fit DecimalFit(DecimalDigits& number, const Type& type) {
  if (!Rescale(number, type.scale)) {
    // A number that is too large as well is called so.
    const size_t whole =
        number.digits.size() > number.fraction ? number.digits.size() - number.fraction : 0;
    if (whole <= type.precision - type.scale) return Fit::kPrecision;
  } else if (number.digits.size() <= type.precision) {
    return Fit::kExact;
  }
  return number.negative ? Fit::kBelow : Fit::kAbove;
}

Fit Decimal(const Value& value, const Type& type, std::string& out) {
  DecimalDigits number;
  if (value.type() == ValueType::kDecimal) {
    if (!ParseDecimalDigits(value.bytes(), number)) return FarText(value.bytes());
  } else {
    const Whole whole = WholeOf(value);
    number.negative = whole.negative;
    if (whole.magnitude != 0) number.digits = std::to_string(whole.magnitude);
  }
  if (const Fit fit = DecimalFit(number, type); fit != Fit::kExact) return fit;
  AppendWhole(number, type.bytes, out);
  return Fit::kExact;
}

Fit Integer(const Value& value, const Type& type, std::string& out) {
  const bool is_signed = type.kind == Kind::kInt;
  Whole whole;
  if (value.type() == ValueType::kDecimal) {
    DecimalDigits number;
    if (!ParseDecimalDigits(value.bytes(), number)) return FarText(value.bytes());
    if (!Rescale(number, 0)) return Fit::kPrecision;
    if (type.bytes > 8) {  // 38 digits are sure to fit into 128 bits, 76 into 256
      const size_t most = type.bytes == 16 ? 38 : 76;
      if (number.negative && !is_signed) return Fit::kBelow;
      if (number.digits.size() > most) return number.negative ? Fit::kBelow : Fit::kAbove;
      AppendWhole(number, type.bytes, out);
      return Fit::kExact;
    }
    const auto& digits = number.digits;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), whole.magnitude);
    static_cast<void>(end);
    if (!digits.empty() && error != std::errc()) {
      return number.negative ? Fit::kBelow : Fit::kAbove;
    }
    whole.negative = number.negative;
  } else {
    whole = WholeOf(value);
  }
  const uint32_t bits = std::min(type.bytes * 8, 64u);
  if (!is_signed) {
    if (whole.negative) return Fit::kBelow;
    if (bits < 64 && whole.magnitude >> bits != 0) return Fit::kAbove;
    AppendNumber(whole.magnitude, type.bytes, out);
    return Fit::kExact;
  }
  if (type.bytes > 8) {
    DecimalDigits number;
    number.negative = whole.negative;
    if (whole.magnitude != 0) number.digits = std::to_string(whole.magnitude);
    AppendWhole(number, type.bytes, out);
    return Fit::kExact;
  }
  const uint64_t half = uint64_t{1} << (bits - 1);
  if (whole.negative && whole.magnitude > half) return Fit::kBelow;
  if (!whole.negative && whole.magnitude >= half) return Fit::kAbove;
  AppendSigned(static_cast<int64_t>(whole.negative ? 0 - whole.magnitude : whole.magnitude),
               type.bytes, out);
  return Fit::kExact;
}

bool SameNumber(std::string_view text, double number) {
  char buffer[400];
  const auto written = std::to_chars(buffer, buffer + sizeof buffer, number);
  DecimalDigits left, right;
  if (!ParseDecimalDigits(text, left) ||
      !ParseDecimalDigits({buffer, static_cast<size_t>(written.ptr - buffer)}, right)) {
    return false;
  }
  const uint32_t scale = std::max(left.fraction, right.fraction);
  return Rescale(left, scale) && Rescale(right, scale) && left.digits == right.digits &&
         left.negative == right.negative;
}

Fit Float(const Value& value, const Type& type, std::string& out) {
  double number = 0;
  switch (value.type()) {
    case ValueType::kFloat64:
      number = value.as_float64();
      break;
    case ValueType::kDecimal: {
      const std::string text(value.bytes());
      number = std::strtod(text.c_str(), nullptr);
      if (std::isfinite(number) && !SameNumber(text, number)) return Fit::kPrecision;
      DecimalDigits digits;
      if (std::isinf(number) && ParseDecimalDigits(text, digits)) {
        return digits.negative ? Fit::kBelow : Fit::kAbove;
      }
      break;
    }
    default: {
      const Whole whole = WholeOf(value);
      number = static_cast<double>(whole.magnitude);
      if (number >= 18446744073709551616.0 || static_cast<uint64_t>(number) != whole.magnitude) {
        return Fit::kPrecision;
      }
      if (whole.negative) number = -number;
      break;
    }
  }
  if (type.kind == Kind::kFloat64) {
    uint64_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    AppendNumber(bits, 8, out);
    return Fit::kExact;
  }
  const auto single = static_cast<float>(number);
  if (std::isinf(single) && std::isfinite(number)) return number < 0 ? Fit::kBelow : Fit::kAbove;
  if (!std::isnan(number) && static_cast<double>(single) != number &&
      ShortestDouble(single) != number) {
    return Fit::kPrecision;
  }
  uint32_t bits;
  std::memcpy(&bits, &single, sizeof bits);
  AppendNumber(bits, 4, out);
  return Fit::kExact;
}

Fit Day(const Value& value, const Type& type, std::string& out) {
  if (value.type() == ValueType::kOther) return FarText(value.bytes());
  const int64_t day = value.as_int64();
  if (type.kind == Kind::kDate) {
    if (day < 0) return Fit::kBelow;
    if (day > 0xffff) return Fit::kAbove;
  } else {
    if (day < kFirstDay) return Fit::kBelow;
    if (day > kLastDay) return Fit::kAbove;
  }
  AppendSigned(day, type.bytes, out);
  return Fit::kExact;
}

Fit Instant(const Value& value, const Type& type, std::string& out) {
  if (value.type() == ValueType::kOther) return FarText(value.bytes());
  int64_t micros = value.as_int64();
  if (value.type() == ValueType::kDate) {
    if (micros > kLastDay) return Fit::kAbove;
    if (micros < kFirstDay) return Fit::kBelow;
    micros *= kDaySeconds * kMicros;
  }
  if (type.kind == Kind::kDateTime) {
    if (micros < 0) return Fit::kBelow;
    if (micros / kMicros > 0xffff'ffff) return Fit::kAbove;
    if (micros % kMicros != 0) return Fit::kPrecision;
    AppendNumber(static_cast<uint64_t>(micros / kMicros), 4, out);
    return Fit::kExact;
  }
  const int64_t last_day = type.scale > 8 ? kLastNanosecondDay : kLastDay;
  if (micros < kFirstDay * kDaySeconds * kMicros) return Fit::kBelow;
  if (micros >= (last_day + 1) * kDaySeconds * kMicros) return Fit::kAbove;
  for (uint32_t scale = 6; scale > type.scale; --scale) {
    if (micros % 10 != 0) return Fit::kPrecision;
    micros /= 10;
  }
  for (uint32_t scale = 6; scale < type.scale; ++scale) micros *= 10;
  AppendSigned(micros, 8, out);
  return Fit::kExact;
}

Fit Label(const Value& value, const Type& type, std::string& out) {
  for (const auto& [label, number] : type.labels) {
    if (label != value.bytes()) continue;
    AppendSigned(number, type.bytes, out);
    return Fit::kExact;
  }
  return Fit::kLabel;
}

bool IsWholeNumber(ValueType type) {
  return type == ValueType::kBool || type == ValueType::kInt64 || type == ValueType::kUint64;
}

// The smallest or largest value of a type of dates; false for others.
bool AppendBound(bool largest, const Type& type, std::string& out) {
  Value bound;
  switch (type.kind) {
    case Kind::kDate:
      bound = Value::Date(largest ? 0xffff : 0);
      break;
    case Kind::kDate32:
      bound = Value::Date(largest ? kLastDay : kFirstDay);
      break;
    case Kind::kDateTime:
      bound = Value::Timestamp(largest ? 0xffff'ffff * kMicros : 0);
      break;
    case Kind::kDateTime64: {
      const int64_t day = largest ? (type.scale > 8 ? kLastNanosecondDay : kLastDay) : kFirstDay;
      // A whole second: every scale holds it.
      bound = Value::Timestamp((day * kDaySeconds + (largest ? kDaySeconds - 1 : 0)) * kMicros);
      break;
    }
    default:
      return false;
  }
  if (type.nullable) out += '\0';
  return type.kind == Kind::kDate || type.kind == Kind::kDate32
             ? Day(bound, type, out) == Fit::kExact
             : Instant(bound, type, out) == Fit::kExact;
}

}  // namespace

bool ValueFitsKind(ValueType value, Kind kind) {
  switch (kind) {
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kDecimal:
      return IsWholeNumber(value) || value == ValueType::kDecimal;
    case Kind::kFloat32:
    case Kind::kFloat64:
      return IsWholeNumber(value) || value == ValueType::kDecimal || value == ValueType::kFloat64;
    case Kind::kString:
      return true;
    case Kind::kFixedString:
      return value == ValueType::kText || value == ValueType::kBytes || value == ValueType::kEnum ||
             value == ValueType::kOther;
    case Kind::kUuid:
      return value == ValueType::kUuid;
    case Kind::kBool:
      return value == ValueType::kBool;
    case Kind::kDate:
    case Kind::kDate32:
      return value == ValueType::kDate || value == ValueType::kOther;
    case Kind::kDateTime:
    case Kind::kDateTime64:
      return value == ValueType::kTimestamp || value == ValueType::kTimestampTz ||
             value == ValueType::kDate || value == ValueType::kOther;
    case Kind::kEnum:
      return value == ValueType::kEnum || value == ValueType::kText;
    case Kind::kArray:
      return value == ValueType::kArray;
    case Kind::kJson:
      return value == ValueType::kJson;
    case Kind::kUnsupported:
      return false;
  }
  return false;
}

std::string_view FitText(Fit fit) {
  switch (fit) {
    case Fit::kExact:
      return "fits";
    case Fit::kNull:
      return "is NULL, which the type does not take";
    case Fit::kBelow:
      return "is smaller than the type's smallest";
    case Fit::kAbove:
      return "is larger than the type's largest";
    case Fit::kPrecision:
      return "has digits that the type would lose";
    case Fit::kNone:
      return "is none that the type has (NaN, an infinity, or no real date)";
    case Fit::kLabel:
      return "is not among the labels of the Enum";
    case Fit::kLength:
      return "has not the length of the FixedString";
    case Fit::kShape:
      return "is an array of other dimensions, or one that does not count from 1";
    case Fit::kMalformed:
      return "cannot be read; the topic is damaged or was written by a newer version";
    case Fit::kType:
      return "is no value of that type";
  }
  return "does not fit";
}

bool Takes(const Type& type, const Column& column) {
  if (column.type == ValueType::kOther) {  // text without another meaning
    return type.kind == Kind::kString || type.kind == Kind::kFixedString;
  }
  return ValueFitsKind(column.type, type.kind);
}

Fit ValueEncoder::Append(const Value& value, const Type& type, std::string& out) {
  if (!value.has_value()) {
    if (!type.nullable) return Fit::kNull;
    out += '\x01';
    return Fit::kExact;
  }
  const size_t start = out.size();
  if (type.nullable) out += '\0';
  const Fit fit = Exact(value, type, out);
  if (fit == Fit::kExact) return fit;
  out.resize(start);
  const bool bounded = fit == Fit::kBelow || fit == Fit::kAbove;
  if (policy_ == Unrepresentable::kClamp && bounded && AppendBound(fit == Fit::kAbove, type, out)) {
    ++replaced_;
    return Fit::kExact;
  }
  out.resize(start);
  if (policy_ == Unrepresentable::kNull && type.nullable && (bounded || fit == Fit::kNone)) {
    out += '\x01';
    ++replaced_;
    return Fit::kExact;
  }
  return fit;
}

Fit ValueEncoder::Exact(const Value& value, const Type& type, std::string& out) {
  if (!ValueFitsKind(value.type(), type.kind)) return Fit::kType;
  switch (type.kind) {
    case Kind::kInt:
    case Kind::kUint:
      return Integer(value, type, out);
    case Kind::kFloat32:
    case Kind::kFloat64:
      return Float(value, type, out);
    case Kind::kDecimal:
      return Decimal(value, type, out);
    case Kind::kString:
    case Kind::kFixedString:
      return Text(value, type, out);
    case Kind::kJson:
      AppendText(value.bytes(), out);
      return Fit::kExact;
    case Kind::kUuid:
      if (value.bytes().size() != 16) return Fit::kMalformed;
      for (size_t i = 8; i > 0; --i) out += value.bytes()[i - 1];
      for (size_t i = 16; i > 8; --i) out += value.bytes()[i - 1];
      return Fit::kExact;
    case Kind::kBool:
      out += value.as_bool() ? '\x01' : '\0';
      return Fit::kExact;
    case Kind::kDate:
    case Kind::kDate32:
      return Day(value, type, out);
    case Kind::kDateTime:
    case Kind::kDateTime64:
      return Instant(value, type, out);
    case Kind::kEnum:
      return Label(value, type, out);
    case Kind::kArray:
      return Array(value.bytes(), type, out);
    case Kind::kUnsupported:
      break;
  }
  return Fit::kType;
}

Fit ValueEncoder::Text(const Value& value, const Type& type, std::string& out) {
  std::string_view text;
  switch (value.type()) {
    case ValueType::kDecimal:
    case ValueType::kText:
    case ValueType::kBytes:
    case ValueType::kJson:
    case ValueType::kEnum:
    case ValueType::kOther:
      text = value.bytes();
      break;
    case ValueType::kArray:
      scratch_.clear();
      if (!AppendValueJson(value, scratch_)) return Fit::kMalformed;
      text = scratch_;
      break;
    case ValueType::kBool:
    case ValueType::kInt64:
    case ValueType::kUint64:
    case ValueType::kFloat64:
    case ValueType::kDate:
    case ValueType::kTime:
    case ValueType::kTimestamp:
    case ValueType::kTimestampTz:
    case ValueType::kInterval:
    case ValueType::kUuid:
      scratch_.clear();
      AppendReadable(value, scratch_);
      text = scratch_;
      break;
  }
  if (type.kind == Kind::kString) {
    AppendText(text, out);
    return Fit::kExact;
  }
  if (text.size() != type.bytes) return Fit::kLength;
  out += text;
  return Fit::kExact;
}

Fit ValueEncoder::Array(std::string_view wire, const Type& type, std::string& out) {
  const Result<ArrayView> array = ReadArray(wire);
  if (!array) return Fit::kMalformed;
  if (array->elements.empty()) {
    out += '\0';
    return Fit::kExact;
  }
  std::vector<const Type*> levels;  // of the elements, outermost first
  for (const Type* level = &type; level->kind == Kind::kArray; level = &level->element[0]) {
    levels.push_back(&level->element[0]);
  }
  if (levels.size() != array->dimensions.size()) return Fit::kShape;
  for (const ArrayDimension& dimension : array->dimensions) {
    if (dimension.lower_bound != 1) return Fit::kShape;
  }
  size_t next = 0;
  const auto append = [&](const auto& self, size_t depth) -> Fit {
    const uint32_t length = array->dimensions[depth].length;
    AppendLength(length, out);
    for (uint32_t i = 0; i < length; ++i) {
      const Fit fit = depth + 1 < levels.size()
                          ? self(self, depth + 1)
                          : Append(array->elements[next++], *levels[depth], out);
      if (fit != Fit::kExact) return fit;
    }
    return Fit::kExact;
  };
  return append(append, 0);
}

}  // namespace tailwater::clickhouse
