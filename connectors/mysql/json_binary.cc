#include "mysql/json_binary.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "mysql/packed_decimal.h"
#include "mysql/table_map.h"
#include "mysql/wire_bytes.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

// Inlined into the table of a container: what fits into an offset's place.
bool IsInlined(JsonType type, uint8_t offset_size) {
  switch (type) {
    case JsonType::kLiteral:
    case JsonType::kInt16:
    case JsonType::kUint16:
      return true;
    case JsonType::kInt32:
    case JsonType::kUint32:
      return offset_size == 4;
    default:
      return false;
  }
}

bool IsKnown(uint8_t type) { return type <= 12 || type == 15; }

template <class T>
bool AppendInteger(std::string_view bytes, std::string& out) {
  T number;
  if (!TakeInt(bytes, number)) return false;
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  return true;
}

// Shortest digits; fixed notation from 1e-15 up to below 1e15; always to be told from an integer.
bool AppendDouble(std::string_view bytes, std::string& out) {
  double number;
  if (bytes.size() < sizeof number) return false;
  std::memcpy(&number, bytes.data(), sizeof number);
  if (!std::isfinite(number)) return false;
  char digits[64];
  const double size = std::fabs(number);
  if (size == 0 || (size >= 1e-15 && size < 1e15)) {
    const char* const end =
        std::to_chars(digits, digits + sizeof digits, number, std::chars_format::fixed).ptr;
    const std::string_view text(digits, static_cast<size_t>(end - digits));
    out += text;
    if (text.find('.') == std::string_view::npos) out += ".0";
    return true;
  }
  const char* const end =
      std::to_chars(digits, digits + sizeof digits, number, std::chars_format::scientific).ptr;
  const std::string_view text(digits, static_cast<size_t>(end - digits));
  const size_t exponent = text.find('e');
  out += text.substr(0, exponent);
  out += 'e';
  const char* next = digits + exponent + 1;
  if (*next == '-') out += '-';
  out.append(text.substr(exponent + 2 + (text[exponent + 2] == '0' ? 1 : 0)));  // "e+09", "e-324"
  return true;
}

// 7 bits a byte, low ones first.
bool TakeLength(std::string_view& rest, uint32_t& length) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 35; shift += 7) {
    uint8_t byte = 0;
    if (!TakeInt(rest, byte)) return false;
    value |= uint64_t{byte & 0x7FU} << shift;
    if ((byte & 0x80) != 0) continue;
    length = static_cast<uint32_t>(value);
    return value <= UINT32_MAX;
  }
  return false;
}

void AppendBase64(std::string_view bytes, std::string& out) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < bytes.size(); i += 3) {
    if (i != 0 && i % 57 == 0) out += "\\n";  // the server's lines have 76 characters
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < count ? static_cast<uint8_t>(bytes[i + j]) : 0U);
    }
    out += kDigits[group >> 18];
    out += kDigits[group >> 12 & 63];
    out += count > 1 ? kDigits[group >> 6 & 63] : '=';
    out += count > 2 ? kDigits[group & 63] : '=';
  }
}

// Times as the server packs them in memory, always printed with six digits of the fraction.
bool AppendTime(FieldType type, std::string_view bytes, std::string& out) {
  int64_t packed;
  if (bytes.size() != sizeof packed || !TakeInt(bytes, packed)) return false;
  const bool negative = packed < 0;
  const uint64_t size =
      negative ? 0 - static_cast<uint64_t>(packed) : static_cast<uint64_t>(packed);
  const uint64_t micros = size & 0xFFFFFF, whole = size >> 24;
  const unsigned second = whole & 0x3F, minute = whole >> 6 & 0x3F;
  if (type == FieldType::kTime) {
    out += fmt::format("\"{}{:02}:{:02}:{:02}.{:06}\"", negative ? "-" : "", whole >> 12 & 0x3FF,
                       minute, second, micros);
    return true;
  }
  if (negative) return false;
  const uint64_t date = whole >> 17;
  const unsigned day = date & 0x1F;
  const uint64_t months = date >> 5;
  out += fmt::format("\"{:04}-{:02}-{:02}", months / 13, months % 13, day);
  if (type != FieldType::kDate) {
    out += fmt::format(" {:02}:{:02}:{:02}.{:06}", whole >> 12 & 0x1F, minute, second, micros);
  }
  out += '"';
  return true;
}

bool AppendOpaque(std::string_view bytes, size_t& budget, std::string& out) {
  uint8_t type = 0;
  uint32_t length = 0;
  std::string_view value;
  if (!TakeInt(bytes, type) || !TakeLength(bytes, length) || !TakeBytes(bytes, length, value) ||
      budget < length) {
    return false;
  }
  budget -= length;
  switch (static_cast<FieldType>(type)) {
    case FieldType::kDecimal: {
      uint8_t precision = 0, scale = 0;
      if (!TakeInt(value, precision) || !TakeInt(value, scale)) return false;
      char text[kMostDecimalText];
      const size_t size = UnpackDecimal(value, precision, scale, text);
      out.append(text, size);
      return size != 0;
    }
    case FieldType::kDate:
    case FieldType::kTime:
    case FieldType::kDatetime:
    case FieldType::kTimestamp:
      return AppendTime(static_cast<FieldType>(type), value, out);
    default:
      out += fmt::format("\"base64:type{}:", type);
      AppendBase64(value, out);
      out += '"';
      return true;
  }
}

class TextWriter {
 public:
  TextWriter(size_t budget, std::string& out) : budget_(budget), out_(out) {}

  bool Append(const JsonValue& value, int depth) {
    if (!value.is_object() && !value.is_array()) return AppendJsonScalar(value, budget_, out_);
    JsonContainer container;
    if (depth >= kMostJsonDepth || !container.Open(value)) return false;
    if (budget_ < container.own_bytes()) return false;
    budget_ -= container.own_bytes();
    out_ += value.is_object() ? '{' : '[';
    for (uint32_t i = 0; i < container.count(); ++i) {
      if (i != 0) out_ += ", ";
      if (value.is_object()) {
        std::string_view key;
        if (!container.Key(i, key) || budget_ < key.size()) return false;
        budget_ -= key.size();
        AppendJsonString(key, out_);
        out_ += ": ";
      }
      JsonValue element;
      if (!container.Element(i, element) || !Append(element, depth + 1)) return false;
    }
    out_ += value.is_object() ? '}' : ']';
    return true;
  }

 private:
  size_t budget_;
  std::string& out_;
};

}  // namespace

bool JsonValue::OfDocument(std::string_view document, JsonValue& out) {
  static constexpr std::string_view kNull("\x04\x00", 2);
  const std::string_view bytes = document.empty() ? kNull : document;
  if (!IsKnown(static_cast<uint8_t>(bytes[0]))) return false;
  out = {static_cast<JsonType>(bytes[0]), bytes.substr(1)};
  return true;
}

bool JsonContainer::Open(const JsonValue& value) {
  offset_size_ =
      value.type == JsonType::kLargeObject || value.type == JsonType::kLargeArray ? 4 : 2;
  std::string_view rest = value.bytes;
  uint64_t count = 0, size = 0;
  if (!TakeInt(rest, offset_size_, count) || !TakeInt(rest, offset_size_, size) ||
      size > value.bytes.size()) {
    return false;
  }
  bytes_ = value.bytes.substr(0, size);
  count_ = static_cast<uint32_t>(count);
  keys_at_ = 2 * size_t{offset_size_};
  values_at_ = keys_at_ + (value.is_object() ? count * (offset_size_ + 2U) : 0);
  value_entry_ = 1 + size_t{offset_size_};
  return own_bytes() <= size;
}

bool JsonContainer::Key(uint32_t index, std::string_view& out) const {
  const char* const entry = bytes_.data() + keys_at_ + index * (offset_size_ + size_t{2});
  const uint64_t offset = LoadLittle(entry, offset_size_);
  const uint64_t size = LoadLittle<uint16_t>(entry + offset_size_);
  if (offset > bytes_.size() || size > bytes_.size() - offset) return false;
  out = bytes_.substr(offset, size);
  return true;
}

bool JsonContainer::Element(uint32_t index, JsonValue& out) const {
  const char* const entry = bytes_.data() + values_at_ + index * value_entry_;
  if (!IsKnown(static_cast<uint8_t>(*entry))) return false;
  out.type = static_cast<JsonType>(*entry);
  if (IsInlined(out.type, offset_size_)) {
    out.bytes = {entry + 1, offset_size_};
    return true;
  }
  const uint64_t offset = LoadLittle(entry + 1, offset_size_);
  // Values stand behind the tables: a value that holds itself is none.
  if (offset < own_bytes() || offset >= bytes_.size()) return false;
  out.bytes = bytes_.substr(offset);
  return true;
}

void AppendJsonString(std::string_view text, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  size_t plain = 0;  // from where on nothing was appended yet
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<uint8_t>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out += text.substr(plain, i - plain);
    plain = i + 1;
    out += '\\';
    switch (c) {
      case '"':
      case '\\':
        out += static_cast<char>(c);
        break;
      case '\b':
        out += 'b';
        break;
      case '\t':
        out += 't';
        break;
      case '\n':
        out += 'n';
        break;
      case '\f':
        out += 'f';
        break;
      case '\r':
        out += 'r';
        break;
      default:
        out += "u00";
        out += kHex[c >> 4];
        out += kHex[c & 15];
    }
  }
  out += text.substr(plain);
  out += '"';
}

bool AppendJsonScalar(const JsonValue& value, size_t& budget, std::string& out) {
  switch (value.type) {
    case JsonType::kLiteral:
      if (value.bytes.empty() || static_cast<uint8_t>(value.bytes[0]) > 2) return false;
      out += value.bytes[0] == 0 ? "null" : value.bytes[0] == 1 ? "true" : "false";
      return true;
    case JsonType::kInt16:
      return AppendInteger<int16_t>(value.bytes, out);
    case JsonType::kUint16:
      return AppendInteger<uint16_t>(value.bytes, out);
    case JsonType::kInt32:
      return AppendInteger<int32_t>(value.bytes, out);
    case JsonType::kUint32:
      return AppendInteger<uint32_t>(value.bytes, out);
    case JsonType::kInt64:
      return AppendInteger<int64_t>(value.bytes, out);
    case JsonType::kUint64:
      return AppendInteger<uint64_t>(value.bytes, out);
    case JsonType::kDouble:
      return AppendDouble(value.bytes, out);
    case JsonType::kString: {
      std::string_view rest = value.bytes, text;
      uint32_t length = 0;
      if (!TakeLength(rest, length) || !TakeBytes(rest, length, text) || budget < length) {
        return false;
      }
      budget -= length;
      AppendJsonString(text, out);
      return true;
    }
    case JsonType::kOpaque:
      return AppendOpaque(value.bytes, budget, out);
    case JsonType::kSmallObject:
    case JsonType::kLargeObject:
    case JsonType::kSmallArray:
    case JsonType::kLargeArray:
      break;
  }
  return false;
}

bool AppendJsonText(std::string_view document, std::string& out) {
  JsonValue value;
  return JsonValue::OfDocument(document, value) &&
         TextWriter(document.size(), out).Append(value, 0);
}

}  // namespace tailwater::mysql
