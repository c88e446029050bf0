#include "clickhouse/table_plan.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

#include "clickhouse/sql_text.h"
#include "support/text.h"

namespace tailwater::clickhouse {
namespace {

Error Unfit(const TableSchema& schema, std::string message) {
  return {Disposition::kNeedsOperator, "clickhouse_options_unfit",
          fmt::format("table {}: {}", schema.table(), message)};
}

bool Contains(const std::vector<std::string>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// "numeric(12,2)" and "decimal(12, 2)": precision and scale.
std::optional<std::pair<int, int>> DecimalOf(std::string_view type_name) {
  const size_t open = type_name.find('(');
  if (open == type_name.npos) return std::nullopt;
  const std::string_view base = type_name.substr(0, open);
  if (base != "numeric" && base != "decimal") return std::nullopt;
  int precision = 0;
  int scale = 0;
  const char* const end = type_name.data() + type_name.size();
  auto read = std::from_chars(type_name.data() + open + 1, end, precision);
  if (read.ec != std::errc()) return std::nullopt;
  if (read.ptr < end && *read.ptr == ',') {
    const char* begin = read.ptr + 1;
    while (begin < end && *begin == ' ') ++begin;
    if (std::from_chars(begin, end, scale).ec != std::errc()) return std::nullopt;
  }
  return std::pair(precision, scale);
}

// Empty: it goes as text.
std::string DecimalType(std::string_view type_name, const ServerFacts& server) {
  const auto digits = DecimalOf(type_name);
  if (!digits) return {};
  const auto [precision, scale] = *digits;
  const int most = server.modern() ? 76 : 38;
  if (precision < 1 || precision > most || scale < 0 || scale > precision) return {};
  return fmt::format("Decimal({}, {})", precision, scale);
}

constexpr char kInstant[] = "DateTime64(6, 'UTC')";

// Of the elements of an array, by the name of its type: "integer[]", "timestamp(3) with time
// zone[]", "vector(3)".
std::string ElementType(std::string_view type_name, const ServerFacts& server) {
  while (type_name.ends_with("[]")) type_name.remove_suffix(2);
  if (std::string decimal = DecimalType(type_name, server); !decimal.empty()) return decimal;
  const size_t bracket = std::min(type_name.find('('), type_name.size());
  std::string_view base = type_name.substr(0, bracket);
  static constexpr std::string_view kWhole[] = {"smallint", "integer", "bigint", "int2",
                                                "int4",     "int8",    "oid"};
  static constexpr std::string_view kFloat[] = {"real", "double precision", "float4", "float8",
                                                "vector"};
  const auto is = [&](const auto& names) {
    return std::find(std::begin(names), std::end(names), base) != std::end(names);
  };
  if (is(kWhole)) return "Int64";
  if (is(kFloat)) return "Float64";
  if (!server.modern()) return "String";
  if (base == "boolean" || base == "bool") return "Bool";
  if (base == "uuid") return "UUID";
  if (base == "date") return "Date32";
  if (base.starts_with("timestamp")) return kInstant;
  return "String";
}

// Of columns that hold names of columns.
std::string_view NamesType(const ServerFacts& server) {
  return server.modern() ? "Array(LowCardinality(String))" : "Array(String)";
}

}  // namespace

const MetaColumn* TablePlan::Find(Meta meta_column) const {
  for (const MetaColumn& column : meta) {
    if (column.meta == meta_column) return &column;
  }
  return nullptr;
}

std::string OriginOf(std::string_view source, std::string_view table) {
  return fmt::format("{}:{}", source, table);
}

std::string CreatedType(const Column& column, bool key, const ClickHouseConfig& config,
                        const ServerFacts& server) {
  std::string type;
  switch (column.type) {
    case ValueType::kBool:
      type = server.modern() ? "Bool" : "UInt8";
      break;
    // A key that the source widens, from int4 to int8, could not be altered here.
    case ValueType::kInt64:
      type = "Int64";
      break;
    case ValueType::kUint64:
      type = "UInt64";
      break;
    case ValueType::kFloat64:
      type = "Float64";
      break;
    case ValueType::kDecimal:
      type = DecimalType(column.type_name, server);
      break;
    case ValueType::kDate:
      if (server.modern()) type = "Date32";
      break;
    case ValueType::kTimestamp:
    case ValueType::kTimestampTz:
      if (server.modern()) type = kInstant;
      break;
    case ValueType::kUuid:
      type = "UUID";
      break;
    case ValueType::kJson:
      if (config.json == JsonColumns::kNative && server.native_json()) type = "JSON";
      break;
    case ValueType::kEnum:
      if (server.modern())
        return key ? "LowCardinality(String)" : "LowCardinality(Nullable(String))";
      break;
    case ValueType::kArray:
      if (config.arrays == Arrays::kArray) {
        return fmt::format("Array(Nullable({}))", ElementType(column.type_name, server));
      }
      break;
    case ValueType::kText:
    case ValueType::kBytes:
    case ValueType::kTime:
    case ValueType::kInterval:
    case ValueType::kOther:
      break;
  }
  if (type.empty()) type = "String";
  return key ? type : fmt::format("Nullable({})", type);
}

std::vector<MetaColumn> OwnColumns(const ClickHouseConfig& config, const ServerFacts& server) {
  std::vector<MetaColumn> columns;
  const auto add = [&](Meta meta, std::string name, std::string_view type) {
    columns.push_back({meta, std::move(name), ParseType(type)});
  };
  const char* const word = server.modern() ? "LowCardinality(String)" : "String";
  add(Meta::kVersion, config.version_column, "UInt64");
  if (config.mode == Mode::kMirror) {
    add(Meta::kDeleted, config.deleted_column, "UInt8");
  } else {
    add(Meta::kOperation, "_op", word);
    add(Meta::kId, "_id", "String");
    add(Meta::kTime, "_time",
        server.modern() ? "Nullable(DateTime64(6, 'UTC'))" : "Nullable(String)");
    add(Meta::kTransaction, "_transaction", "String");
    add(Meta::kMissing, "_missing", NamesType(server));
  }
  if (!config.origin_column.empty()) add(Meta::kOrigin, config.origin_column, word);
  return columns;
}

Result<TablePlan> PlanTable(const ClickHouseConfig& config, const ClickHouseTableOptions* options,
                            std::string_view source, const TableSchema& schema,
                            const ServerFacts& server) {
  static const ClickHouseTableOptions kNone;
  if (options == nullptr) options = &kNone;
  const bool mirror = config.mode == Mode::kMirror;
  if (schema.keyless() && mirror) {
    return Error{Disposition::kReject, "clickhouse_key_missing",
                 fmt::format("table {} has no key, so that a row could not be found again; give it "
                             "a primary key, exclude it from the sink's tables, or use mode: "
                             "changelog",
                             schema.table())};
  }
  TablePlan plan;
  plan.source = source;
  plan.table = schema.table();
  plan.origin = OriginOf(source, schema.table());
  plan.target = TargetOf(config, options, source, schema.name());
  plan.qualified = Name(config.database) + "." + Name(plan.target);
  if (plan.target == config.state_table) {
    return Unfit(schema, "its target has the name of the sink's own table; set `table:`");
  }

  plan.meta = OwnColumns(config, server);
  const bool any_array =
      std::any_of(schema.columns().begin(), schema.columns().end(),
                  [](const Column& column) { return column.type == ValueType::kArray; });
  if (any_array && config.arrays == Arrays::kArray) {
    plan.meta.push_back({Meta::kNullArrays, kNullArraysColumn, ParseType(NamesType(server))});
  }

  const Columns& chosen = options->columns;
  std::set<std::string> names;
  for (const MetaColumn& column : plan.meta) names.insert(column.name);
  for (uint32_t i = 0; i < schema.columns().size(); ++i) {
    const Column& column = schema.columns()[i];
    const bool wanted = chosen.include.empty() || Contains(chosen.include, column.name);
    if (!wanted || Contains(chosen.exclude, column.name)) {
      if (!column.key) continue;
      return Unfit(schema,
                   fmt::format("`columns:` leaves out {}, which is part of the key", column.name));
    }
    const std::string* const renamed = chosen.rename.Find(column.name);
    const std::string* const typed = chosen.types.Find(column.name);
    PlannedColumn planned;
    planned.column = i;
    planned.name = renamed != nullptr ? *renamed : column.name;
    planned.key = column.key;
    planned.type =
        ParseType(typed != nullptr ? *typed : CreatedType(column, column.key, config, server));
    if (!names.insert(planned.name).second) {
      return Unfit(schema,
                   fmt::format("the name '{}' of column {} is taken in the target; write columns: "
                               "{{rename: {{{}: …}}}}",
                               planned.name, column.name, column.name));
    }
    plan.columns.push_back(std::move(planned));
  }
  std::vector<std::string> order = options->order_by;
  if (order.empty()) {
    for (const uint32_t column : schema.key_columns()) {
      order.push_back(schema.columns()[column].name);
    }
  }
  for (const std::string& name : order) {
    for (size_t i = 0; i < plan.columns.size(); ++i) {
      if (plan.columns[i].key && schema.columns()[plan.columns[i].column].name == name &&
          std::find(plan.key.begin(), plan.key.end(), i) == plan.key.end()) {
        plan.key.push_back(i);
      }
    }
  }
  if (plan.key.size() != order.size() || plan.key.size() != schema.key_columns().size()) {
    std::vector<std::string> key;
    for (const uint32_t column : schema.key_columns()) key.push_back(schema.columns()[column].name);
    return Unfit(schema, fmt::format("`order_by` has to name each column of the key ({}) once",
                                     Joined(key)));
  }
  return plan;
}

std::string CreateStatement(const TablePlan& plan, const ClickHouseConfig& config,
                            const ServerFacts& server) {
  std::vector<std::string> columns, order;
  for (const PlannedColumn& column : plan.columns) {
    columns.push_back(Name(column.name) + " " + column.type.text);
  }
  for (const MetaColumn& column : plan.meta) {
    columns.push_back(Name(column.name) + " " + column.type.text);
  }
  for (const size_t i : plan.key) order.push_back(Name(plan.columns[i].name));
  if (const MetaColumn* origin = plan.Find(Meta::kOrigin)) order.push_back(Name(origin->name));
  std::string engine;
  if (config.mode == Mode::kChangelog) {
    order.push_back(Name(config.version_column));
    order.push_back(Name("_id"));
    engine = "ReplacingMergeTree";
  } else {
    engine = fmt::format("ReplacingMergeTree({}{})", Name(config.version_column),
                         server.deleted_flag() ? ", " + Name(config.deleted_column) : "");
  }
  return fmt::format("CREATE TABLE IF NOT EXISTS {} ({}) ENGINE = {} ORDER BY ({}){}",
                     plan.qualified, Joined(columns), engine, Joined(order),
                     server.modern() ? fmt::format(" SETTINGS {}, "
                                                   "non_replicated_deduplication_window = 1000",
                                                   kDurableTable)
                                     : "");
}

void FinishPlan(TablePlan& plan, const ServerFacts& server) {
  std::vector<std::pair<const std::string*, const Type*>> all;
  for (const PlannedColumn& column : plan.columns) all.emplace_back(&column.name, &column.type);
  for (const MetaColumn& column : plan.meta) all.emplace_back(&column.name, &column.type);
  std::string names;
  plan.header.clear();
  plan.sends_json = false;
  if (server.modern()) {
    AppendLength(all.size(), plan.header);
    for (const auto& [name, unused] : all) AppendText(*name, plan.header);
    for (const auto& [unused, type] : all) AppendText(type->text, plan.header);
  }
  for (const auto& [name, type] : all) {
    names += (names.empty() ? "" : ", ") + Name(*name);
    plan.sends_json = plan.sends_json || type->kind == Kind::kJson;
  }
  plan.insert = fmt::format("INSERT INTO {} ({}) FORMAT {}", plan.qualified, names,
                            server.modern() ? "RowBinaryWithNamesAndTypes" : "RowBinary");
  plan.prepared = true;
}

}  // namespace tailwater::clickhouse
