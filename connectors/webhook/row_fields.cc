#include "webhook/row_fields.h"

#include <algorithm>
#include <utility>

#include "support/change_json.h"

namespace tailwater::webhook {
namespace {

bool IsWord(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || static_cast<unsigned char>(c) >= 0x80;
  });
}

constexpr std::pair<std::string_view, Reference::Kind> kNames[] = {
    {"op", Reference::Kind::kOp},           {"id", Reference::Kind::kId},
    {"source", Reference::Kind::kSource},   {"table", Reference::Kind::kTable},
    {"version", Reference::Kind::kVersion}, {"time", Reference::Kind::kTime}};

}  // namespace

std::string Reference::ToString() const {
  if (kind == Kind::kNew) return "NEW." + column;
  if (kind == Kind::kOld) return "OLD." + column;
  for (const auto& [name, named] : kNames) {
    if (named == kind) return std::string(name);
  }
  return {};
}

std::optional<Reference> Reference::Parse(std::string_view text, std::string& problem) {
  for (const auto& [name, kind] : kNames) {
    if (text == name) return Reference{kind, {}};
  }
  const bool is_new = text.starts_with("NEW.");
  if (!is_new && !text.starts_with("OLD.")) {
    problem = "'{" + std::string(text) +
              "}' is unknown; write {NEW.column}, {OLD.column}, {op}, {id}, {source}, {table}, "
              "{version} or {time}, or {{ for a brace";
    return std::nullopt;
  }
  Reference reference{is_new ? Kind::kNew : Kind::kOld, {}};
  std::string_view name = text.substr(4);
  if (name.size() > 2 && name.starts_with('"') && name.ends_with('"')) {
    name = name.substr(1, name.size() - 2);
    for (size_t i = 0; i < name.size(); ++i) {
      reference.column += name[i];
      if (name[i] != '"') continue;
      if (i + 1 < name.size() && name[i + 1] == '"') {
        ++i;
      } else {
        problem = "'{" + std::string(text) + "}' has a single quote sign in the name; double it";
        return std::nullopt;
      }
    }
    return reference;
  }
  if (!IsWord(name)) {
    problem = "'{" + std::string(text) +
              "}' names no column; a name with other signs than letters, digits and _ is written "
              "{NEW.\"my column\"}";
    return std::nullopt;
  }
  reference.column = name;
  return reference;
}

Value RowFields::Column(size_t index, bool before) const {
  const Row row = before ? change_.before : change_.after;
  const Row other = before ? change_.after : change_.before;
  if (!row.empty()) {
    // `unchanged` means: as in the old row.
    if (!before && row[index].is_unchanged() && !other.empty() && !other[index].is_unchanged()) {
      return other[index];
    }
    return row[index].is_unchanged() ? Value::Omitted() : row[index];
  }
  const Operation operation = change_.operation;
  const bool row_exists = before ? operation == Operation::kUpdate : false;
  if (!row_exists) return Value::Null();
  // The log sent no old row: the key is as in the new one, or the change would be two.
  const bool key = change_.schema->columns()[index].key;
  return key && !other.empty() && !other[index].is_unchanged() ? other[index] : Value::Omitted();
}

FieldValue RowFields::Get(const Reference& reference) const {
  switch (reference.kind) {
    case Reference::Kind::kOp:
      return {Value::Text(OperationName(change_.operation))};
    case Reference::Kind::kId:
      return {Value::Text(id_)};
    case Reference::Kind::kSource:
      return {Value::Text(change_.source)};
    case Reference::Kind::kTable:
      return {Value::Text(change_.table)};
    case Reference::Kind::kVersion:
      return {Value::Int64(change_.version)};
    case Reference::Kind::kTime:
      return {change_.source_time_micros == 0 ? Value::Null()
                                              : Value::TimestampTz(change_.source_time_micros)};
    case Reference::Kind::kNew:
    case Reference::Kind::kOld:
      break;
  }
  if (change_.before.empty() && change_.after.empty()) return {Value::Null()};
  const auto& columns = change_.schema->columns();
  const auto column = std::find_if(columns.begin(), columns.end(), [&](const auto& candidate) {
    return candidate.name == reference.column;
  });
  if (column == columns.end()) return {Value::Omitted()};
  return {Column(static_cast<size_t>(column - columns.begin()),
                 reference.kind == Reference::Kind::kOld),
          HasWideIntegers(*column)};
}

Status AppendFieldText(const Value& value, std::string& out) {
  if (!value.has_value()) {
    out += "null";
    return {};
  }
  switch (value.type()) {
    case ValueType::kJson:
    case ValueType::kArray:
      return AppendValueJson(value, out, {.strict = true});
    case ValueType::kTimestamp:
    case ValueType::kTimestampTz: {
      std::string json;
      TW_TRY(AppendValueJson(value, json));
      out.append(json, 1, json.size() - 2);  // holds nothing that JSON escapes
      return {};
    }
    default:
      AppendReadable(value, out);
      return {};
  }
}

}  // namespace tailwater::webhook
