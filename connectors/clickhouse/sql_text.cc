#include "clickhouse/sql_text.h"

#include "clickhouse/value_encoder.h"
#include "support/text.h"
#include "support/utf8.h"

namespace tailwater::clickhouse {

std::string Quoted(std::string_view text) {
  std::string out = "'";
  const bool readable = IsUtf8(text);
  for (const char c : text) {
    if (c == '\'' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 ||
               (!readable && static_cast<unsigned char>(c) >= 0x80)) {
      out += fmt::format("\\x{:02X}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out += '\'';
}

std::string Name(std::string_view name) {
  std::string out = "`";
  for (const char c : name) {
    if (c == '`' || c == '\\') out += '\\';
    out += c;
  }
  return out += '`';
}

std::string Joined(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, ", "));
}

bool AppendLiteral(const Value& value, const Type& type, std::string& out) {
  if (!value.has_value() || !ValueFitsKind(value.type(), type.kind)) return false;
  std::string text;
  switch (type.kind) {
    case Kind::kInt:
    case Kind::kUint:
      if (value.type() == ValueType::kBool) {
        out += value.as_bool() ? '1' : '0';
        return true;
      }
      if (value.type() == ValueType::kDecimal) {
        out += fmt::format("CAST({} AS {})", Quoted(value.bytes()), type.text);
      } else {
        AppendReadable(value, out);
      }
      return true;
    case Kind::kString:
    case Kind::kFixedString:
    case Kind::kEnum: {
      ValueEncoder encoder(Unrepresentable::kReject);
      Type plain = type;
      plain.kind = Kind::kString;
      plain.nullable = false;
      if (encoder.Append(value, plain, text) != Fit::kExact) return false;
      std::string_view rest = text;
      uint64_t length = 0;
      TakeLength(rest, length);
      out += Quoted(rest);
      return true;
    }
    case Kind::kBool:
      out += value.as_bool() ? "true" : "false";
      return true;
    case Kind::kUuid:
    case Kind::kDecimal:
    case Kind::kFloat32:
    case Kind::kFloat64:
    case Kind::kDate:
    case Kind::kDate32:
      if (value.type() == ValueType::kOther) return false;
      AppendReadable(value, text);
      break;
    case Kind::kDateTime:
    case Kind::kDateTime64:
      if (value.type() == ValueType::kOther) return false;
      // In UTC, whatever the column's zone is.
      AppendReadable(value.type() == ValueType::kDate ? value : Value::Timestamp(value.as_int64()),
                     text);
      out += type.kind == Kind::kDateTime
                 ? fmt::format("toDateTime({}, 'UTC')", Quoted(text))
                 : fmt::format("toDateTime64({}, {}, 'UTC')", Quoted(text), type.scale);
      return true;
    case Kind::kArray:
    case Kind::kJson:
    case Kind::kUnsupported:
      return false;
  }
  out += fmt::format("CAST({} AS {})", Quoted(text), type.text);
  return true;
}

}  // namespace tailwater::clickhouse
