#include "opensearch/table_plan.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "opensearch/document_id.h"
#include "opensearch/json_view.h"
#include "support/text.h"

namespace tailwater::opensearch {
namespace {

// A longer keyword would make the server refuse the document.
constexpr char kKeyword[] = R"({"type":"keyword","ignore_above":8191})";
constexpr char kText[] =
    R"({"type":"text","fields":{"keyword":{"type":"keyword","ignore_above":256}}})";
// What no date or number is (infinity, NaN, years beyond 9999) stays in the document, unsearched.
constexpr char kDate[] = R"({"type":"date","ignore_malformed":true})";
constexpr char kDouble[] = R"({"type":"double","ignore_malformed":true})";
constexpr char kLong[] = R"({"type":"long"})";
constexpr char kBoolean[] = R"({"type":"boolean"})";

Error Unfit(std::string message) {
  return {Disposition::kNeedsOperator, "opensearch_options_unfit", std::move(message)};
}

bool Contains(const std::vector<std::string>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

Result<uint32_t> KeyColumn(const TableSchema& schema, const std::string& name,
                           std::string_view option) {
  for (const uint32_t column : schema.key_columns()) {
    if (schema.columns()[column].name == name) return column;
  }
  std::string key;
  for (const uint32_t column : schema.key_columns()) {
    key += (key.empty() ? "" : ", ") + schema.columns()[column].name;
  }
  return Unfit(fmt::format(
      "table {}: {} names '{}', which is not part of the key ({}): deletes carry the key only. "
      "Choose key columns, or make a unique index the key with REPLICA IDENTITY USING INDEX",
      schema.table(), option, name, key));
}

// The number of decimals of "numeric(12,2)".
std::optional<int> ScaleOf(std::string_view type_name) {
  const size_t comma = type_name.find(',');
  if (comma == type_name.npos) return std::nullopt;
  int scale = 0;
  const char* begin = type_name.data() + comma + 1;
  while (*begin == ' ') ++begin;
  const auto [end, error] = std::from_chars(begin, type_name.data() + type_name.size(), scale);
  static_cast<void>(end);
  if (error != std::errc() || scale < 0 || scale > 15) return std::nullopt;
  return scale;
}

std::string ArrayMapping(std::string_view type_name) {
  while (type_name.ends_with("[]")) type_name.remove_suffix(2);
  type_name = type_name.substr(0, type_name.find('('));
  static const std::map<std::string_view, std::string_view> kElements = {
      {"int2", kLong},
      {"int4", kLong},
      {"int8", kLong},
      {"smallint", kLong},
      {"integer", kLong},
      {"bigint", kLong},
      {"oid", kLong},
      {"bool", kBoolean},
      {"boolean", kBoolean},
      {"text", kText},
      {"varchar", kText},
      {"character varying", kText},
      {"float4", kDouble},
      {"float8", kDouble},
      {"real", kDouble},
      {"date", kDate},
      {"double precision", kDouble},
      {"timestamp", kDate},
      {"timestamptz", kDate},
      {"timestamp without time zone", kDate},
      {"timestamp with time zone", kDate}};
  const auto element = kElements.find(type_name);
  if (element != kElements.end()) return std::string(element->second);
  if (type_name == "json" || type_name == "jsonb") return R"({"type":"object","enabled":false})";
  return kKeyword;
}

// Settings as "index.name": value, so that a setting has one name however it is written.
void Flatten(const JsonView& json, const std::string& prefix,
             std::map<std::string, std::string>& out) {
  json.ForEachMember([&](const std::string& name, JsonView value) {
    const std::string path = prefix.empty() ? name : prefix + "." + name;
    if (value.is_object()) return Flatten(value, path, out);
    const bool rooted = path.starts_with("index.");
    out[rooted ? path : "index." + path] = value.raw();
  });
}

std::string Object(const std::map<std::string, std::string>& members) {
  std::string out = "{";
  for (const auto& [name, value] : members) {
    if (out.size() > 1) out += ',';
    AppendQuoted(name, out);
    out += ':';
    out += value;
  }
  return out + '}';
}

}  // namespace

Result<TablePlan> PlanTable(const OpenSearchConfig& config, const OpenSearchTableOptions* options,
                            std::string_view source, const TableSchema& schema) {
  static const OpenSearchTableOptions kNone;
  if (options == nullptr) options = &kNone;
  if (schema.keyless()) {
    return Error{Disposition::kReject, "opensearch_key_missing",
                 fmt::format("table {} has no key, so the document of a row cannot be found again; "
                             "give it a primary key, or exclude it from the sink's tables",
                             schema.table())};
  }
  TablePlan plan;
  plan.origin = OriginOf(source, schema.table());
  for (const uint32_t column : schema.key_columns()) {
    plan.key += (plan.key.empty() ? "" : ", ") + schema.columns()[column].name;
  }
  plan.index = IndexOf(config, options, source, schema.table());
  plan.alias = options->alias.empty() ? config.alias : options->alias;
  plan.settings = options->settings.empty() ? config.settings : options->settings;
  plan.mappings = options->mappings.empty() ? config.mappings : options->mappings;
  for (const std::string& name : options->id) {
    TW_ASSIGN_OR_RETURN(const uint32_t column, KeyColumn(schema, name, "id"));
    plan.id_columns.push_back(column);
  }
  if (plan.id_columns.empty()) plan.id_columns = schema.key_columns();
  if (!options->routing.empty()) {
    TW_ASSIGN_OR_RETURN(plan.routing, KeyColumn(schema, options->routing, "routing"));
  }
  const Fields& fields = options->fields;
  std::set<std::string> names;
  for (uint32_t i = 0; i < schema.columns().size(); ++i) {
    const std::string& column = schema.columns()[i].name;
    if (!fields.include.empty() && !Contains(fields.include, column)) continue;
    if (Contains(fields.exclude, column)) continue;
    PlannedField field{i, column, {}};
    for (const Fields::Rename& rename : fields.rename) {
      if (rename.column == column) field.name = rename.field;
    }
    if (field.name == kMetaField) {
      return Unfit(
          fmt::format("table {}: column {} has the name of Tailwater's own field; write "
                      "fields: {{rename: {{{}: …}}}}",
                      schema.table(), column, column));
    }
    if (!names.insert(field.name).second) {
      return Unfit(fmt::format("table {}: two columns become the field '{}'; correct fields.rename",
                               schema.table(), field.name));
    }
    if (!IsUtf8(field.name)) {
      return Unfit(fmt::format("table {}: the name of a column is no UTF-8; rename or exclude it",
                               schema.table()));
    }
    AppendQuoted(field.name, field.quoted);
    field.quoted += ':';
    plan.fields.push_back(std::move(field));
  }
  return plan;
}

bool TakesValuesOf(std::string_view mapped_type, const Column& column,
                   const OpenSearchConfig& config) {
  const bool is_object = column.type == ValueType::kJson && config.json != JsonColumns::kStored;
  switch (column.type) {
    case ValueType::kBool:
      return mapped_type != "long" && mapped_type != "unsigned_long" && mapped_type != "double" &&
             mapped_type != "scaled_float" && mapped_type != "binary";
    case ValueType::kInt64:
    case ValueType::kUint64:
      return mapped_type != "boolean" && mapped_type != "binary";
    case ValueType::kFloat64:
    case ValueType::kDecimal:
      return mapped_type != "boolean" && mapped_type != "binary" && mapped_type != "long" &&
             mapped_type != "unsigned_long";
    case ValueType::kBytes:
    case ValueType::kText:
    case ValueType::kTime:
    case ValueType::kInterval:
    case ValueType::kUuid:
    case ValueType::kEnum:
    case ValueType::kOther:
    case ValueType::kDate:
    case ValueType::kTimestamp:
    case ValueType::kTimestampTz:
      if (mapped_type == "date") {
        return column.type == ValueType::kDate || column.type == ValueType::kTimestamp ||
               column.type == ValueType::kTimestampTz;
      }
      if (mapped_type == "binary") return column.type == ValueType::kBytes;
      return mapped_type != "long" && mapped_type != "unsigned_long" && mapped_type != "double" &&
             mapped_type != "scaled_float" && mapped_type != "boolean";
    case ValueType::kJson:
    case ValueType::kArray:
      break;
  }
  if (!is_object && column.type == ValueType::kArray) return true;  // its elements tell
  return mapped_type == "object" || mapped_type == "flat_object" || mapped_type == "flattened";
}

std::string FieldMapping(const Column& column, const OpenSearchConfig& config,
                         const ServerFacts& server) {
  switch (column.type) {
    case ValueType::kBool:
      return kBoolean;
    case ValueType::kInt64:
      return kLong;
    case ValueType::kUint64:
      return server.unsigned_long ? R"({"type":"unsigned_long"})" : kKeyword;
    case ValueType::kFloat64:
      return kDouble;
    case ValueType::kDecimal:
      if (config.decimals == Decimals::kKeyword) return kKeyword;
      if (const auto scale = ScaleOf(column.type_name);
          scale && config.decimals == Decimals::kScaled) {
        return fmt::format(
            R"({{"type":"scaled_float","scaling_factor":1{},"ignore_malformed":true}})",
            std::string(static_cast<size_t>(*scale), '0'));
      }
      return kDouble;
    case ValueType::kText:
      return kText;
    case ValueType::kBytes:
      return R"({"type":"binary"})";
    case ValueType::kDate:
    case ValueType::kTimestamp:
    case ValueType::kTimestampTz:
      return kDate;
    case ValueType::kJson:
      if (config.json == JsonColumns::kObject) return R"({"type":"object"})";
      if (config.json == JsonColumns::kFlattened && server.flattened) {
        return server.opensearch ? R"({"type":"flat_object"})" : R"({"type":"flattened"})";
      }
      return R"({"type":"object","enabled":false})";
    case ValueType::kArray:
      return ArrayMapping(column.type_name);
    case ValueType::kTime:
    case ValueType::kInterval:
    case ValueType::kUuid:
    case ValueType::kEnum:
    case ValueType::kOther:
      return kKeyword;
  }
  return kKeyword;
}

std::string MetaMapping() {
  return R"({"properties":{"origin":{"type":"keyword"},"version":{"type":"long"},)"
         R"("refused":{"type":"long"}}})";
}

Result<std::string> IndexBody(const TablePlan& plan, const TableSchema& schema,
                              const OpenSearchConfig& config, const ServerFacts& server,
                              std::string_view meta) {
  // Deletes are remembered for so long; by default a minute.
  std::map<std::string, std::string> settings = {{"index.gc_deletes", "\"1h\""}};
  TW_ASSIGN_OR_RETURN(const std::string own_settings, plan.settings.Read());
  if (const auto json = JsonView::Parse(own_settings)) Flatten(*json, "", settings);

  std::map<std::string, std::string> properties;
  for (const PlannedField& field : plan.fields) {
    properties[field.name] = FieldMapping(schema.columns()[field.column], config, server);
  }
  std::map<std::string, std::string> mappings = {{"date_detection", "false"}};
  TW_ASSIGN_OR_RETURN(const std::string own_mappings, plan.mappings.Read());
  if (const auto json = JsonView::Parse(own_mappings)) {
    json->ForEachMember([&](const std::string& name, JsonView value) {
      if (name != "properties") {
        mappings[name] = value.raw();
        return;
      }
      value.ForEachMember(
          [&](const std::string& field, JsonView mapping) { properties[field] = mapping.raw(); });
    });
  }
  properties[kMetaField] = MetaMapping();
  mappings["properties"] = Object(properties);
  mappings["_meta"] = meta;
  std::string body =
      fmt::format(R"({{"settings":{},"mappings":{})", Object(settings), Object(mappings));
  if (!plan.alias.empty()) {
    body += R"(,"aliases":{)";
    AppendQuoted(plan.alias, body);
    body += ":{}}";
  }
  return body + '}';
}

}  // namespace tailwater::opensearch
