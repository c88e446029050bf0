#include "clickhouse/row_writer.h"

#include <algorithm>
#include <utility>

#include "clickhouse/sql_text.h"
#include "support/text.h"

namespace tailwater::clickhouse {
namespace {

std::string_view CodeOf(Fit fit) {
  switch (fit) {
    case Fit::kExact:
      return {};
    case Fit::kNull:
      return "clickhouse_null";
    case Fit::kBelow:
    case Fit::kAbove:
    case Fit::kNone:
      return "clickhouse_out_of_range";
    case Fit::kPrecision:
      return "clickhouse_precision";
    case Fit::kMalformed:
      return "record_malformed";
    case Fit::kLabel:
    case Fit::kLength:
    case Fit::kShape:
    case Fit::kType:
      break;
  }
  return "clickhouse_value_unfit";
}

// The type that takes NULL too, as the server allows it to be written.
std::string WithNull(const Type& type) {
  constexpr std::string_view kLowCardinality = "LowCardinality(";
  const std::string_view text = type.text;
  if (type.kind == Kind::kArray) return fmt::format("Array({})", WithNull(type.element[0]));
  if (type.nullable) return type.text;
  if (!text.starts_with(kLowCardinality)) return fmt::format("Nullable({})", text);
  return fmt::format("LowCardinality(Nullable({}))",
                     text.substr(kLowCardinality.size(), text.size() - kLowCardinality.size() - 1));
}

std::string Remedy(Fit fit, const TablePlan& plan, const PlannedColumn& column,
                   const Value& value) {
  switch (fit) {
    case Fit::kNull:
      if (!value.has_value() && column.type.kind == Kind::kArray) {
        return fmt::format(
            "an Array is never NULL: ALTER TABLE {} ADD COLUMN {} Array(String), "
            "which names those that are",
            plan.qualified, Name(kNullArraysColumn));
      }
      return fmt::format("ALTER TABLE {} MODIFY COLUMN {} {}", plan.qualified, Name(column.name),
                         WithNull(column.type));
    case Fit::kBelow:
    case Fit::kAbove:
    case Fit::kNone:
      return "give the column a type that holds it (String holds everything), or set "
             "unrepresentable: null or clamp";
    case Fit::kPrecision:
      return "give the column a type with more digits (String holds everything)";
    case Fit::kLabel:
      return fmt::format(
          "ALTER TABLE {} MODIFY COLUMN {} with the label, or LowCardinality(String)",
          plan.qualified, Name(column.name));
    case Fit::kShape:
      return "set arrays: json and make the column anew, as String";
    case Fit::kLength:
    case Fit::kType:
      return "give the column the type String";
    case Fit::kExact:
    case Fit::kMalformed:
      break;
  }
  return "check the topic's disk, or upgrade";
}

Error Misfit(Fit fit, const TablePlan& plan, const Change& change, const PlannedColumn& column,
             const Value& value) {
  const Column& source = change.schema->columns()[column.column];
  return {Disposition::kReject, CodeOf(fit),
          fmt::format("column {}: a value of type {}{} {} ({}): {}", source.name,
                      ValueTypeName(source.type),
                      source.type_name.empty() ? "" : fmt::format(" ({})", source.type_name),
                      FitText(fit), column.type.text, Remedy(fit, plan, column, value))};
}

}  // namespace

RowWriter::RowWriter(const ClickHouseConfig& config, Metrics& metrics)
    : encoder_(config.unrepresentable),
      omitted_total_(metrics.GetCounter("tailwater_sink_omitted_columns_total",
                                        "Columns written as NULL because the record lacked them.")),
      left_out_total_(metrics.GetCounter(
          "tailwater_sink_left_out_columns_total",
          "Values left out because the target lacks their column (schema_changes: ignore).")),
      replaced_total_(metrics.GetCounter(
          "tailwater_sink_replaced_values_total",
          "Values that the target's type does not have, written as NULL or the nearest one "
          "(unrepresentable: null, clamp).")) {}

Status RowWriter::AppendValue(const TablePlan& plan, const Change& change,
                              const PlannedColumn& column, const Value& value, std::string& out) {
  const uint64_t replaced = encoder_.replaced();
  const Fit fit = encoder_.Append(value, column.type, out);
  if (encoder_.replaced() != replaced) {
    replaced_total_.Add(static_cast<double>(encoder_.replaced() - replaced));
  }
  if (fit != Fit::kExact) return Misfit(fit, plan, change, column, value);
  return {};
}

Status RowWriter::AppendRow(const TablePlan& plan, const Change& change, std::span<const Value> row,
                            const HeldRow* base, std::string& out) {
  const size_t start = out.size();
  const bool names_nulls = plan.Find(Meta::kNullArrays) != nullptr;
  std::vector<std::string_view> null_arrays;
  if (plan.left_out > 0) left_out_total_.Add(static_cast<double>(plan.left_out));
  for (size_t i = 0; i < plan.columns.size(); ++i) {
    const PlannedColumn& column = plan.columns[i];
    const Value& value = row[column.column];
    if (value.is_unchanged() && base != nullptr) {
      out += base->values[i];
      const bool held_null = std::find(base->null_arrays.begin(), base->null_arrays.end(),
                                       column.name) != base->null_arrays.end();
      if (held_null) null_arrays.push_back(column.name);
      continue;
    }
    if (value.is_omitted()) omitted_total_.Add();
    if (!value.has_value() && names_nulls && column.type.kind == Kind::kArray) {
      AppendDefault(column.type, out);
      null_arrays.push_back(column.name);
      continue;
    }
    if (Status written = AppendValue(plan, change, column, value, out); !written) {
      out.resize(start);
      return written;
    }
  }
  Status written = AppendMeta(plan, change, false, null_arrays, out);
  if (!written) out.resize(start);
  return written;
}

Status RowWriter::AppendDeleted(const TablePlan& plan, const Change& change, std::string& out) {
  const size_t start = out.size();
  const Row row = change.key_row();
  for (const PlannedColumn& column : plan.columns) {
    if (!column.key) {
      AppendDefault(column.type, out);
      continue;
    }
    if (Status written = AppendValue(plan, change, column, row[column.column], out); !written) {
      out.resize(start);
      return written;
    }
  }
  Status written = AppendMeta(plan, change, true, {}, out);
  if (!written) out.resize(start);
  return written;
}

Status RowWriter::AppendChange(const TablePlan& plan, const Change& change, std::string& out) {
  const size_t start = out.size();
  const bool names_nulls = plan.Find(Meta::kNullArrays) != nullptr;
  std::vector<std::string_view> null_arrays, missing;
  const Row row = change.key_row();
  if (plan.left_out > 0) left_out_total_.Add(static_cast<double>(plan.left_out));
  for (const PlannedColumn& column : plan.columns) {
    if (row.empty()) {  // a TRUNCATE
      AppendDefault(column.type, out);
      continue;
    }
    const Value& value = row[column.column];
    if (value.is_unchanged() || value.is_omitted()) {
      missing.push_back(column.name);
      AppendDefault(column.type, out);
      continue;
    }
    if (value.is_null() && names_nulls && column.type.kind == Kind::kArray) {
      AppendDefault(column.type, out);
      null_arrays.push_back(column.name);
      continue;
    }
    if (Status written = AppendValue(plan, change, column, value, out); !written) {
      out.resize(start);
      return written;
    }
  }
  for (const MetaColumn& column : plan.meta) {
    const auto& names = column.meta == Meta::kMissing ? missing : null_arrays;
    if (AppendMetaValue(column, change, false, names, out) != Fit::kExact) {
      out.resize(start);
      return Error{Disposition::kReject, "clickhouse_value_unfit",
                   fmt::format("column {} ({}) does not take what the sink writes there",
                               column.name, column.type.text)};
    }
  }
  return {};
}

Status RowWriter::AppendKey(const TablePlan& plan, const Change& change, std::string& out) {
  const size_t start = out.size();
  const Row row = change.key_row();
  for (const size_t i : plan.key) {
    const PlannedColumn& column = plan.columns[i];
    if (Status written = AppendValue(plan, change, column, row[column.column], out); !written) {
      out.resize(start);
      return written;
    }
  }
  return {};
}

Status RowWriter::AppendKeyLiteral(const TablePlan& plan, const Change& change,
                                   std::string& out) const {
  const size_t start = out.size();
  const Row row = change.key_row();
  out += '(';
  for (const size_t i : plan.key) {
    const PlannedColumn& column = plan.columns[i];
    if (out.back() != '(') out += ", ";
    if (AppendLiteral(row[column.column], column.type, out)) continue;
    out.resize(start);
    return Misfit(Fit::kType, plan, change, column, row[column.column]);
  }
  out += ')';
  return {};
}

void RowWriter::AppendNames(const std::vector<std::string_view>& names, std::string& out) const {
  AppendLength(names.size(), out);
  for (const std::string_view name : names) AppendText(name, out);
}

Fit RowWriter::AppendMetaValue(const MetaColumn& column, const Change& change, bool deleted,
                               const std::vector<std::string_view>& names, std::string& out) {
  switch (column.meta) {
    case Meta::kVersion:
      return encoder_.Append(Value::Int64(change.version), column.type, out);
    case Meta::kDeleted:
      return encoder_.Append(Value::Bool(deleted), column.type, out);
    case Meta::kOrigin:
      scratch_ = OriginOf(change.source, change.table);
      return encoder_.Append(Value::Text(scratch_), column.type, out);
    case Meta::kNullArrays:
    case Meta::kMissing:
      AppendNames(names, out);
      return Fit::kExact;
    case Meta::kOperation:
      return encoder_.Append(Value::Text(OperationName(change.operation)), column.type, out);
    case Meta::kId:
      scratch_.clear();
      AppendId(change, scratch_);
      return encoder_.Append(Value::Text(scratch_), column.type, out);
    case Meta::kTime:
      return encoder_.Append(change.source_time_micros == 0
                                 ? Value::Null()
                                 : Value::TimestampTz(change.source_time_micros),
                             column.type, out);
    case Meta::kTransaction:
      return encoder_.Append(Value::Text(change.transaction_id), column.type, out);
  }
  return Fit::kType;
}

Status RowWriter::AppendMeta(const TablePlan& plan, const Change& change, bool deleted,
                             const std::vector<std::string_view>& names, std::string& out) {
  for (const MetaColumn& column : plan.meta) {
    if (AppendMetaValue(column, change, deleted, names, out) == Fit::kExact) continue;
    return Error{Disposition::kReject, "clickhouse_value_unfit",
                 fmt::format("column {} ({}) does not take what the sink writes there", column.name,
                             column.type.text)};
  }
  return {};
}

}  // namespace tailwater::clickhouse
