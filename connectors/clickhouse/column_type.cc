#include "clickhouse/column_type.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>

namespace tailwater::clickhouse {
namespace {

std::string_view Trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// What stands between the brackets of "Name(…)"; nothing if it is not that.
std::optional<std::string_view> Inside(std::string_view text, std::string_view name) {
  if (!text.starts_with(name) || !text.ends_with(')')) return std::nullopt;
  text.remove_prefix(name.size());
  if (!text.starts_with('(')) return std::nullopt;
  return text.substr(1, text.size() - 2);
}

uint32_t Number(std::string_view text, uint32_t otherwise = 0) {
  text = Trim(text);
  uint32_t number = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// A quoted text at the front, with the server's escapes undone.
bool TakeQuoted(std::string_view& text, std::string& out) {
  text = Trim(text);
  if (!text.starts_with('\'')) return false;
  out.clear();
  size_t at = 1;
  for (; at < text.size() && text[at] != '\''; ++at) {
    if (text[at] != '\\') {
      out += text[at];
      continue;
    }
    if (++at >= text.size()) return false;
    constexpr std::string_view kEscaped = "btnfr0", kMeaning("\b\t\n\f\r\0", 6);
    const size_t known = kEscaped.find(text[at]);
    out += known == kEscaped.npos ? text[at] : kMeaning[known];
  }
  if (at >= text.size()) return false;
  text.remove_prefix(at + 1);
  return true;
}

bool ParseLabels(std::string_view text, Type& type) {
  while (!text.empty()) {
    std::string label;
    if (!TakeQuoted(text, label)) return false;
    text = Trim(text);
    if (!text.starts_with('=')) return false;
    text = Trim(text.substr(1));
    int16_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return false;
    text = Trim(text.substr(static_cast<size_t>(end - text.data())));
    type.labels.emplace_back(std::move(label), number);
    if (text.starts_with(',')) text.remove_prefix(1);
  }
  return !type.labels.empty();
}

uint32_t DecimalBytes(uint32_t precision) {
  return precision <= 9 ? 4 : precision <= 18 ? 8 : precision <= 38 ? 16 : 32;
}

void ParseZone(std::string_view text, Type& type) {
  std::string zone;
  if (TakeQuoted(text, zone)) type.timezone = std::move(zone);
}

struct Plain {
  std::string_view name;
  Kind kind;
  uint32_t bytes;
};
constexpr Plain kPlain[] = {
    {"Int8", Kind::kInt, 1},        {"Int16", Kind::kInt, 2},         {"Int32", Kind::kInt, 4},
    {"Int64", Kind::kInt, 8},       {"Int128", Kind::kInt, 16},       {"Int256", Kind::kInt, 32},
    {"UInt8", Kind::kUint, 1},      {"UInt16", Kind::kUint, 2},       {"UInt32", Kind::kUint, 4},
    {"UInt64", Kind::kUint, 8},     {"UInt128", Kind::kUint, 16},     {"UInt256", Kind::kUint, 32},
    {"Float32", Kind::kFloat32, 4}, {"Float64", Kind::kFloat64, 8},   {"String", Kind::kString, 0},
    {"UUID", Kind::kUuid, 16},      {"Bool", Kind::kBool, 1},         {"Date", Kind::kDate, 2},
    {"Date32", Kind::kDate32, 4},   {"DateTime", Kind::kDateTime, 4}, {"JSON", Kind::kJson, 0},
};

void ParseInto(std::string_view text, Type& type) {
  if (const auto inner = Inside(text, "Nullable")) {
    ParseInto(Trim(*inner), type);
    type.nullable = true;
    return;
  }
  if (const auto inner = Inside(text, "LowCardinality")) return ParseInto(Trim(*inner), type);
  if (const auto inner = Inside(text, "Array")) {
    type.kind = Kind::kArray;
    type.element.push_back(ParseType(*inner));
    if (type.element[0].kind == Kind::kUnsupported) type.kind = Kind::kUnsupported;
    return;
  }
  for (const Plain& plain : kPlain) {
    if (text != plain.name) continue;
    type.kind = plain.kind;
    type.bytes = plain.bytes;
    return;
  }
  if (const auto inner = Inside(text, "DateTime")) {
    type.kind = Kind::kDateTime;
    type.bytes = 4;
    return ParseZone(*inner, type);
  }
  if (const auto inner = Inside(text, "DateTime64")) {
    type.kind = Kind::kDateTime64;
    type.bytes = 8;
    const size_t comma = std::min(inner->find(','), inner->size());
    type.scale = Number(inner->substr(0, comma), 3);
    if (comma < inner->size()) ParseZone(inner->substr(comma + 1), type);
    return;
  }
  if (const auto inner = Inside(text, "Decimal")) {
    const size_t comma = std::min(inner->find(','), inner->size());
    type.kind = Kind::kDecimal;
    type.precision = Number(inner->substr(0, comma));
    if (comma < inner->size()) type.scale = Number(inner->substr(comma + 1));
    type.bytes = DecimalBytes(type.precision);
    return;
  }
  for (const auto& [name, precision] : {std::pair<std::string_view, uint32_t>{"Decimal32", 9},
                                        {"Decimal64", 18},
                                        {"Decimal128", 38},
                                        {"Decimal256", 76}}) {
    const auto inner = Inside(text, name);
    if (!inner) continue;
    type.kind = Kind::kDecimal;
    type.precision = precision;
    type.scale = Number(*inner);
    type.bytes = DecimalBytes(precision);
    return;
  }
  if (const auto inner = Inside(text, "FixedString")) {
    type.kind = Kind::kFixedString;
    type.bytes = Number(*inner);
    return;
  }
  for (const auto& [name, bytes] :
       {std::pair<std::string_view, uint32_t>{"Enum8", 1}, {"Enum16", 2}}) {
    const auto inner = Inside(text, name);
    if (inner && ParseLabels(*inner, type)) {
      type.kind = Kind::kEnum;
      type.bytes = bytes;
    }
  }
  if (Inside(text, "JSON")) type.kind = Kind::kJson;
}

bool TakeBytes(std::string_view& in, uint64_t count) {
  if (in.size() < count) return false;
  in.remove_prefix(count);
  return true;
}

}  // namespace

Type ParseType(std::string_view text) {
  Type type;
  text = Trim(text);
  type.text = text;
  ParseInto(text, type);
  return type;
}

void AppendLength(uint64_t length, std::string& out) {
  for (; length >= 0x80; length >>= 7) out += static_cast<char>((length & 0x7f) | 0x80);
  out += static_cast<char>(length);
}

bool TakeLength(std::string_view& in, uint64_t& length) {
  length = 0;
  for (unsigned shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(in.front());
    in.remove_prefix(1);
    length |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

void AppendText(std::string_view text, std::string& out) {
  AppendLength(text.size(), out);
  out += text;
}

bool SkipValue(const Type& type, std::string_view& in) {
  if (type.nullable) {
    if (in.empty()) return false;
    const bool null = in.front() != 0;
    in.remove_prefix(1);
    if (null) return true;
  }
  uint64_t length = 0;
  switch (type.kind) {
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kFloat32:
    case Kind::kFloat64:
    case Kind::kDecimal:
    case Kind::kFixedString:
    case Kind::kUuid:
    case Kind::kBool:
    case Kind::kDate:
    case Kind::kDate32:
    case Kind::kDateTime:
    case Kind::kDateTime64:
    case Kind::kEnum:
      return TakeBytes(in, type.bytes);
    case Kind::kString:
    case Kind::kJson:
      return TakeLength(in, length) && TakeBytes(in, length);
    case Kind::kArray:
      if (!TakeLength(in, length)) return false;
      for (; length > 0; --length) {
        if (!SkipValue(type.element[0], in)) return false;
      }
      return true;
    case Kind::kUnsupported:
      return false;
  }
  return false;
}

void AppendDefault(const Type& type, std::string& out) {
  if (type.nullable) {
    out += '\x01';
    return;
  }
  switch (type.kind) {
    case Kind::kEnum: {
      const auto number = static_cast<uint16_t>(type.labels.front().second);
      for (uint32_t i = 0; i < type.bytes; ++i) out += static_cast<char>(number >> (8 * i));
      return;
    }
    case Kind::kJson:
      return AppendText("{}", out);
    case Kind::kString:
    case Kind::kArray:
      out += '\0';
      return;
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kFloat32:
    case Kind::kFloat64:
    case Kind::kDecimal:
    case Kind::kFixedString:
    case Kind::kUuid:
    case Kind::kBool:
    case Kind::kDate:
    case Kind::kDate32:
    case Kind::kDateTime:
    case Kind::kDateTime64:
    case Kind::kUnsupported:
      out.append(type.bytes, '\0');
      return;
  }
}

}  // namespace tailwater::clickhouse
