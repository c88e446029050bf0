#include "postgres/sink/target_types.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "support/text.h"

namespace tailwater::postgres {
namespace {

// "timestamp(3) with time zone[]": base "timestamp with time zone", arguments {3}, an array.
struct TypeName {
  std::string base;
  std::vector<int> arguments;
  bool array = false;
};

TypeName Parse(std::string_view text) {
  TypeName type;
  if (text.ends_with("[]")) {
    type.array = true;
    text.remove_suffix(2);
  }
  const size_t open = text.find('(');
  const size_t close = open == std::string_view::npos ? open : text.find(')', open);
  if (close == std::string_view::npos) {
    type.base = text;
    return type;
  }
  type.base = fmt::format("{}{}", text.substr(0, open), text.substr(close + 1));
  for (std::string_view rest = text.substr(open + 1, close - open - 1); !rest.empty();) {
    int number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error != std::errc()) {  // no number: part of the name
      type.base = text;
      type.arguments.clear();
      return type;
    }
    type.arguments.push_back(number);
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    if (!rest.empty()) rest.remove_prefix(1);  // the comma
  }
  return type;
}

int Argument(const TypeName& type, size_t index, int otherwise) {
  return index < type.arguments.size() ? type.arguments[index] : otherwise;
}

// Digits of whole numbers; 0: no such type.
int WholeDigits(std::string_view base) {
  if (base == "smallint") return 5;
  if (base == "integer") return 10;
  if (base == "oid") return 10;
  if (base == "bigint") return 19;
  return 0;
}

bool IsText(const TypeName& type) {
  return !type.array && type.arguments.empty() &&
         (type.base == "text" || type.base == "character varying");
}

bool NumericHolds(const TypeName& held, const TypeName& wanted) {
  const int digits = WholeDigits(wanted.base);
  if (held.arguments.empty()) return digits > 0 || wanted.base == "numeric";
  const int scale = Argument(held, 1, 0);
  const int whole = Argument(held, 0, 0) - scale;
  if (digits > 0) return whole >= digits && scale >= 0;
  if (wanted.base != "numeric" || wanted.arguments.empty()) return false;
  const int wanted_scale = Argument(wanted, 1, 0);
  return scale >= wanted_scale && whole >= Argument(wanted, 0, 0) - wanted_scale;
}

bool ElementHolds(const TypeName& held, const TypeName& wanted) {
  if (held.base == wanted.base && held.arguments == wanted.arguments) return true;
  if (held.base == "numeric") return NumericHolds(held, wanted);
  if (const int digits = WholeDigits(held.base); digits > 0) {
    const int wanted_digits = WholeDigits(wanted.base);
    if (wanted.base == "oid") return held.base == "bigint";
    return held.base != "oid" && wanted_digits > 0 && wanted_digits <= digits;
  }
  if (held.base == "double precision") return wanted.base == "real";
  if (held.base == "character varying" || held.base == "text") {
    const bool characters = wanted.base == "character varying" || wanted.base == "character" ||
                            wanted.base == "bpchar" || wanted.base == "text";
    if (held.arguments.empty()) return characters;
    return wanted.base != "text" && characters && !wanted.arguments.empty() &&
           held.arguments[0] >= wanted.arguments[0];
  }
  if (held.base.starts_with("timestamp") || held.base.starts_with("time ")) {
    return held.base == wanted.base && Argument(held, 0, 6) >= Argument(wanted, 0, 6);
  }
  if (held.base == "interval" && held.arguments.empty()) return wanted.base.starts_with("interval");
  if (held.base == "bit varying") {
    if (wanted.base != "bit varying" && wanted.base != "bit") return false;
    return held.arguments.empty() ||
           (!wanted.arguments.empty() && held.arguments[0] >= wanted.arguments[0]);
  }
  return false;
}

// MySQL and MariaDB. "int unsigned", "decimal(12,2)", "datetime(6)", "enum('a','b')".
std::string MysqlType(const Column& column) {
  constexpr std::string_view kUnsigned = " unsigned";
  std::string_view name = column.type_name;
  const bool is_unsigned = name.ends_with(kUnsigned);
  if (is_unsigned) name.remove_suffix(kUnsigned.size());
  const TypeName type = Parse(name);
  const std::string_view base = type.base;
  const auto with_scale = [&](std::string_view before, std::string_view after) {
    return fmt::format("{}({}){}", before, Argument(type, 0, 0), after);
  };
  switch (column.type) {
    case ValueType::kInt64:
      if (base == "tinyint" || base == "year") return "smallint";
      if (base == "smallint") return is_unsigned ? "integer" : "smallint";
      if (base == "mediumint") return "integer";
      if (base == "int") return is_unsigned ? "bigint" : "integer";
      return "bigint";
    case ValueType::kUint64:
      if (base == "bit" && Argument(type, 0, 64) < 64) return "bigint";
      return "numeric(20,0)";
    case ValueType::kFloat64:
      return base == "float" ? "real" : "double precision";
    case ValueType::kDecimal:
      return type.arguments.size() == 2
                 ? fmt::format("numeric({},{})", type.arguments[0], type.arguments[1])
                 : "numeric";
    case ValueType::kText:
      if ((base == "varchar" || base == "char") && type.arguments.size() == 1) {
        return fmt::format("character varying({})", std::max(1, type.arguments[0]));
      }
      return "text";
    case ValueType::kTime:
      return "interval";  // MySQL's TIME is one: -838:59:59 to 838:59:59
    case ValueType::kTimestamp:
      return with_scale("timestamp", " without time zone");
    case ValueType::kTimestampTz:
      return with_scale("timestamp", " with time zone");
    case ValueType::kJson:
      return "jsonb";
    case ValueType::kOther:
      return base == "inet4" || base == "inet6" ? "inet" : "text";
    case ValueType::kArray:
      return base == "vector" ? "real[]" : "text";
    case ValueType::kBool:
    case ValueType::kBytes:
    case ValueType::kDate:
    case ValueType::kInterval:
    case ValueType::kUuid:
    case ValueType::kEnum:
      break;
  }
  return PlainType(column.type);
}

}  // namespace

std::string PlainType(ValueType type) {
  switch (type) {
    case ValueType::kBool:
      return "boolean";
    case ValueType::kInt64:
      return "bigint";
    case ValueType::kUint64:
      return "numeric(20,0)";
    case ValueType::kFloat64:
      return "double precision";
    case ValueType::kDecimal:
      return "numeric";
    case ValueType::kBytes:
      return "bytea";
    case ValueType::kDate:
      return "date";
    case ValueType::kTime:
      return "time without time zone";
    case ValueType::kTimestamp:
      return "timestamp without time zone";
    case ValueType::kTimestampTz:
      return "timestamp with time zone";
    case ValueType::kInterval:
      return "interval";
    case ValueType::kUuid:
      return "uuid";
    case ValueType::kJson:
      return "json";
    case ValueType::kText:
    case ValueType::kArray:
    case ValueType::kEnum:
    case ValueType::kOther:
      return "text";
  }
  return "text";
}

std::string TargetType(const Column& column, SourceKind kind) {
  switch (kind) {
    case SourceKind::kPostgres:
      return column.type_name;
    case SourceKind::kMysql:
      return MysqlType(column);
    case SourceKind::kOther:
      break;
  }
  return PlainType(column.type);
}

bool Holds(std::string_view held, std::string_view wanted) {
  if (held == wanted) return true;
  const TypeName a = Parse(held);
  const TypeName b = Parse(wanted);
  if (IsText(a)) return true;
  return a.array == b.array && ElementHolds(a, b);
}

bool Accepts(std::string_view held, std::string_view wanted, const Column& column) {
  if (Holds(held, wanted)) return true;
  const TypeName a = Parse(held);
  const TypeName b = Parse(wanted);
  if (a.array || b.array) return false;
  if (a.base == "json" || a.base == "jsonb") return b.base == "json" || b.base == "jsonb";
  if (a.base == "boolean") return b.base == "smallint" || column.type == ValueType::kUint64;
  // MySQL's TIME, of which most hold times of a day.
  if (a.base == "time without time zone") return b.base == "interval";
  // An enum of the target for one of the source: labels that it lacks are refused row by row.
  return column.type == ValueType::kEnum && a.base.find('.') != std::string::npos;
}

}  // namespace tailwater::postgres
