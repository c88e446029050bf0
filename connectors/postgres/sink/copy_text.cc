#include "postgres/sink/copy_text.h"

#include "support/text.h"
#include "tailwater/array.h"

namespace tailwater::postgres {
namespace {

// FNV-1a, 64 bits, its bits mixed once more: hashes of columns are added up.
uint64_t Hash(std::string_view bytes, uint64_t hash) {
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100'0000'01b3u;
  return hash;
}
uint64_t Mixed(uint64_t hash) {
  hash = (hash ^ (hash >> 33)) * 0xff51'afd7'ed55'8ccdu;
  hash = (hash ^ (hash >> 33)) * 0xc4ce'b9fe'1a85'ec53u;
  return hash ^ (hash >> 33);
}

// False: it holds U+0000, which no text of Postgres can.
bool AppendEscaped(std::string_view text, std::string& out) {
  if (text.find('\0') != std::string_view::npos) return false;
  constexpr std::string_view kSpecial = "\\\n\r\t";
  for (;;) {
    const size_t plain = text.find_first_of(kSpecial);
    out.append(text.substr(0, plain));
    if (plain == std::string_view::npos) return true;
    const char c = text[plain];
    out += '\\';
    out += c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : '\\';
    text.remove_prefix(plain + 1);
  }
}

class ArrayText {
 public:
  ArrayText(const ArrayView& array, char separator) : array_(array), separator_(separator) {}

  std::string Make() {
    if (array_.elements.empty()) return "{}";
    bool shifted = false;
    for (const ArrayDimension& dimension : array_.dimensions) {
      shifted = shifted || dimension.lower_bound != 1;
    }
    if (shifted) {
      for (const ArrayDimension& dimension : array_.dimensions) {
        out_ += fmt::format("[{}:{}]", dimension.lower_bound,
                            int64_t{dimension.lower_bound} + dimension.length - 1);
      }
      out_ += '=';
    }
    Level(0);
    return std::move(out_);
  }

 private:
  void Level(size_t dimension) {
    out_ += '{';
    for (uint32_t i = 0; i < array_.dimensions[dimension].length; ++i) {
      if (i != 0) out_ += separator_;
      if (dimension + 1 < array_.dimensions.size()) {
        Level(dimension + 1);
      } else {
        Element(array_.elements[next_++]);
      }
    }
    out_ += '}';
  }
  // Quoted, whatever it is: then only quotes and backslashes mean something.
  void Element(const Value& element) {
    if (!element.has_value()) {
      out_ += "NULL";
      return;
    }
    text_.clear();
    AppendReadable(element, text_);
    out_ += '"';
    for (const char c : text_) {
      if (c == '"' || c == '\\') out_ += '\\';
      out_ += c;
    }
    out_ += '"';
  }

  const ArrayView& array_;
  const char separator_;
  size_t next_ = 0;
  std::string out_, text_;
};

}  // namespace

Status AppendCopyValue(const Value& value, char element_separator, std::string& out) {
  if (!value.has_value()) {
    out += "\\N";
    return {};
  }
  bool storable = true;
  switch (value.type()) {
    case ValueType::kBytes:
      out += '\\';  // \\x…, of which COPY reads \x…
      [[fallthrough]];
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
      AppendReadable(value, out);
      return {};
    case ValueType::kDecimal:
    case ValueType::kText:
    case ValueType::kJson:
    case ValueType::kEnum:
    case ValueType::kOther:
      storable = AppendEscaped(value.bytes(), out);
      break;
    case ValueType::kArray: {
      auto array = ReadArray(value.bytes());
      if (!array) {
        return Error{Disposition::kReject, array.error().code, std::move(array.error().message)};
      }
      uint64_t places = 1;
      for (const ArrayDimension& dimension : array->dimensions) places *= dimension.length;
      if (array->elements.size() != (array->dimensions.empty() ? 0 : places)) {
        return Error{Disposition::kReject, "record_malformed",
                     "an array has another number of elements than its dimensions say"};
      }
      storable = AppendEscaped(ArrayText(*array, element_separator).Make(), out);
      break;
    }
  }
  if (storable) return {};
  return Error{Disposition::kReject, "pg_value_unreadable",
               "a text holds U+0000, which Postgres cannot store"};
}

char ElementSeparator(std::string_view type_name) { return type_name == "box[]" ? ';' : ','; }

int64_t HashRow(std::span<const Column> columns, Row row) {
  uint64_t sum = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    const Value& value = row[i];
    if (!value.has_value()) continue;
    uint64_t hash = Hash(columns[i].name, 0xcbf2'9ce4'8422'2325u);
    if (Value::IsBytes(value.type())) {
      hash = Hash(value.bytes(), hash);
    } else {
      const int64_t number = value.as_int64();
      hash = Hash({reinterpret_cast<const char*>(&number), sizeof number}, hash);
    }
    sum += Mixed(hash);
  }
  return static_cast<int64_t>(sum);
}

}  // namespace tailwater::postgres
