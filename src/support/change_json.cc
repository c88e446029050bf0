#include "support/change_json.h"

#include <rapidjson/writer.h>

#include <algorithm>
#include <cmath>

#include "support/json_text.h"
#include "tailwater/array.h"

namespace tailwater {
namespace {

// Lets RapidJSON write to the end of a string.
class StringOutput {
 public:
  using Ch = char;
  explicit StringOutput(std::string& out) : out_(out) {}
  void Put(char c) { out_ += c; }
  void Flush() {}

 private:
  std::string& out_;
};

class JsonWriter : public rapidjson::Writer<StringOutput> {
 public:
  JsonWriter(StringOutput& output, std::string& out, JsonForm form)
      : rapidjson::Writer<StringOutput>(output), out_(out), form_(form) {}
  const JsonForm& form() const { return form_; }
  // Of the column at hand.
  void set_integers_as_text(bool on) { integers_as_text_ = on; }
  bool integers_as_text() const { return integers_as_text_; }
  bool saw_bad_text() const { return saw_bad_text_; }

  void Text(std::string_view text) {
    if (form_.strict && !IsUtf8(text)) saw_bad_text_ = true;
    String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
  }
  void Name(std::string_view name) {
    Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  }
  // `append` writes one complete JSON value to the string behind the writer.
  template <class F>
  void Raw(F append) {
    Prefix(rapidjson::kNumberType);
    append(out_);
  }
  std::string& out() { return out_; }

 private:
  std::string& out_;
  const JsonForm form_;
  bool integers_as_text_ = false;
  bool saw_bad_text_ = false;
};

Error BadText() {
  return {Disposition::kReject, "text_not_utf8",
          "holds bytes that are no UTF-8, which JSON cannot carry; convert the column"};
}

// Line breaks between the tokens of a JSON text mean nothing; within strings they are escaped.
void AppendOnOneLine(std::string_view json, std::string& out) {
  const size_t start = out.size();
  out += json;
  for (size_t i = start; i < out.size(); ++i) {
    if (out[i] == '\n' || out[i] == '\r') out[i] = ' ';
  }
}

// "2026-01-31 12:00:00.5+00" becomes "2026-01-31T12:00:00.5Z".
void WriteTimestamp(const Value& value, JsonWriter& json) {
  std::string text;
  AppendReadable(value, text);
  if (const size_t blank = text.find(' '); blank != text.npos) text[blank] = 'T';
  if (value.type() == ValueType::kTimestampTz && text.ends_with("+00")) {
    text.replace(text.size() - 3, 3, "Z");
  }
  json.Text(text);
}

Status WriteValue(const Value& value, JsonWriter& json);

Status WriteArrayLevel(const ArrayView& array, size_t dimension, size_t& next, JsonWriter& json) {
  json.StartArray();
  for (uint32_t i = 0; i < array.dimensions[dimension].length; ++i) {
    if (dimension + 1 < array.dimensions.size()) {
      TW_TRY(WriteArrayLevel(array, dimension + 1, next, json));
    } else {
      TW_TRY(WriteValue(array.elements[next++], json));
    }
  }
  json.EndArray();
  return {};
}

Status WriteArray(const Value& value, JsonWriter& json) {
  TW_ASSIGN_OR_RETURN(const ArrayView array, ReadArray(value.bytes()));
  if (array.dimensions.empty()) {
    json.StartArray();
    json.EndArray();
    return {};
  }
  size_t next = 0;
  const bool shifted = std::any_of(array.dimensions.begin(), array.dimensions.end(),
                                   [](const ArrayDimension& d) { return d.lower_bound != 1; });
  if (!shifted) return WriteArrayLevel(array, 0, next, json);
  json.StartObject();
  json.Name("lower_bounds");
  json.StartArray();
  for (const ArrayDimension& dimension : array.dimensions) json.Int(dimension.lower_bound);
  json.EndArray();
  json.Name("elements");
  TW_TRY(WriteArrayLevel(array, 0, next, json));
  json.EndObject();
  return {};
}

Status WriteValue(const Value& value, JsonWriter& json) {
  if (!value.has_value()) {
    json.Null();
    return {};
  }
  switch (value.type()) {
    case ValueType::kBool:
      json.Bool(value.as_bool());
      return {};
    case ValueType::kInt64:
      if (json.integers_as_text()) {
        json.Text(std::to_string(value.as_int64()));
      } else {
        json.Int64(value.as_int64());
      }
      return {};
    case ValueType::kUint64:
      if (json.integers_as_text()) {
        json.Text(std::to_string(value.as_uint64()));
      } else {
        json.Uint64(value.as_uint64());
      }
      return {};
    case ValueType::kFloat64:
      if (std::isfinite(value.as_float64())) {
        json.Raw([&](std::string& out) {
          const size_t start = out.size();
          AppendReadable(value, out);
          // As "-0" many readers take it for an integer, which has no zero with a sign.
          if (std::string_view(out).substr(start) == "-0") out += ".0";
        });
        return {};
      }
      [[fallthrough]];
    case ValueType::kBytes:
    case ValueType::kDate:
    case ValueType::kTime:
    case ValueType::kInterval:
    case ValueType::kUuid: {
      std::string text;
      AppendReadable(value, text);
      json.Text(text);
      return {};
    }
    case ValueType::kTimestamp:
    case ValueType::kTimestampTz:
      WriteTimestamp(value, json);
      return {};
    case ValueType::kJson:
      if (json.form().strict && !IsJsonText(value.bytes())) {
        return Error{Disposition::kReject, "json_malformed", "holds no valid JSON"};
      }
      json.Raw([&](std::string& out) { AppendOnOneLine(value.bytes(), out); });
      return {};
    case ValueType::kArray:
      return WriteArray(value, json);
    case ValueType::kDecimal:
    case ValueType::kText:
    case ValueType::kEnum:
    case ValueType::kOther:
      json.Text(value.bytes());
      return {};
  }
  return Error{Disposition::kFatal, "record_malformed", "a value has an unknown type"};
}

Status WriteRow(const TableSchema& schema, Row row, JsonWriter& json) {
  json.StartObject();
  for (size_t i = 0; i < row.size(); ++i) {
    if (!row[i].has_value() && !row[i].is_null()) continue;
    const Column& column = schema.columns()[i];
    json.Name(column.name);
    json.set_integers_as_text(json.form().wide_integers_as_text && HasWideIntegers(column));
    if (Status status = WriteValue(row[i], json); !status) {
      return std::move(status).error().Within("column " + column.name);
    }
    if (json.saw_bad_text()) return BadText().Within("column " + column.name);
  }
  json.EndObject();
  return {};
}

void WriteColumnsIn(ColumnState state, std::string_view name, const TableSchema& schema, Row row,
                    JsonWriter& json) {
  bool any = false;
  for (size_t i = 0; i < row.size(); ++i) {
    if (row[i].state() != state) continue;
    if (!any) {
      json.Name(name);
      json.StartArray();
      any = true;
    }
    json.Text(schema.columns()[i].name);
  }
  if (any) json.EndArray();
}

Status WriteRows(const Change& change, JsonWriter& json) {
  const TableSchema& schema = *change.schema;
  const Row key_row = change.key_row();
  json.Name("key");
  if (schema.keyless() || key_row.empty()) {
    json.Null();
  } else {
    json.StartObject();
    for (const uint32_t column : schema.key_columns()) {
      json.Name(schema.columns()[column].name);
      TW_TRY(WriteValue(key_row[column], json));
    }
    json.EndObject();
  }
  for (const auto& [name, row] : {std::pair{"before", change.before}, {"after", change.after}}) {
    json.Name(name);
    if (row.empty()) {
      json.Null();
    } else {
      TW_TRY(WriteRow(schema, row, json));
    }
  }
  WriteColumnsIn(ColumnState::kUnchanged, "unchanged", schema, change.after, json);
  WriteColumnsIn(ColumnState::kOmitted, "omitted", schema, change.after, json);
  return {};
}

void WriteSchema(const TableSchema& schema, JsonWriter& json) {
  json.Name("schema");
  json.StartArray();
  for (const Column& column : schema.columns()) {
    json.StartObject();
    json.Name("name");
    json.Text(column.name);
    json.Name("type");
    json.Text(column.type_name);
    if (column.key) {
      json.Name("key");
      json.Bool(true);
    }
    json.EndObject();
  }
  json.EndArray();
}

void WriteMessage(const Change& change, JsonWriter& json) {
  json.Name("prefix");
  json.Text(change.message_prefix);
  json.Name("content");
  std::string text;
  AppendReadable(Value::Blob(change.message_content), text);
  json.Text(text);
}

Status WriteChange(const Change& change, JsonWriter& json) {
  json.StartObject();
  json.Name("id");
  json.Text(Id(change));
  json.Name("op");
  json.Text(OperationName(change.operation));
  json.Name("source");
  json.Text(change.source);
  if (!change.table.empty()) {
    json.Name("table");
    json.Text(change.table);
  }
  switch (change.operation) {
    case Operation::kInsert:
    case Operation::kUpdate:
    case Operation::kDelete:
    case Operation::kRead:
      TW_TRY(WriteRows(change, json));
      break;
    case Operation::kSchema:
      WriteSchema(*change.schema, json);
      break;
    case Operation::kMessage:
      WriteMessage(change, json);
      break;
    case Operation::kFrontier:
      json.Name("frontier");
      json.Text(change.frontier);
      break;
    case Operation::kTruncate:
    case Operation::kSweep:
      break;
  }
  if (change.snapshot != SnapshotMark::kStreaming) {
    json.Name("snapshot");
    json.Bool(true);
  }
  if (!change.addressee.empty()) {
    json.Name("addressee");
    json.Text(change.addressee);
  }
  json.Name("version");
  json.Int64(change.version);
  json.Name("time");
  if (change.source_time_micros == 0) {
    json.Null();
  } else {
    WriteTimestamp(Value::TimestampTz(change.source_time_micros), json);
  }
  if (!change.transaction_id.empty()) {
    json.Name("transaction");
    json.Text(change.transaction_id);
  }
  json.EndObject();
  return {};
}

template <class F>
Status Append(std::string& out, JsonForm form, F write) {
  const size_t start = out.size();
  StringOutput output(out);
  JsonWriter json(output, out, form);
  Status status = write(json);
  if (status && json.saw_bad_text()) status = BadText();
  if (!status) out.resize(start);
  return status;
}

}  // namespace

bool HasWideIntegers(const Column& column) {
  std::string_view type = column.type_name;
  type = type.substr(0, type.find_first_of("(["));
  if (const size_t blank = type.find(' '); blank != type.npos) type = type.substr(0, blank);
  static constexpr std::string_view kNarrow[] = {"smallint", "integer", "int",       "int2", "int4",
                                                 "oid",      "tinyint", "mediumint", "year"};
  return std::find(std::begin(kNarrow), std::end(kNarrow), type) == std::end(kNarrow);
}

Status AppendChangeJson(const Change& change, std::string& out) {
  return Append(out, {}, [&](JsonWriter& json) { return WriteChange(change, json); });
}

Status AppendRowJson(const TableSchema& schema, Row row, std::string& out, JsonForm form) {
  return Append(out, form, [&](JsonWriter& json) { return WriteRow(schema, row, json); });
}

Status AppendValueJson(const Value& value, std::string& out, JsonForm form) {
  return Append(out, form, [&](JsonWriter& json) {
    json.set_integers_as_text(form.wide_integers_as_text);
    return WriteValue(value, json);
  });
}

Status AppendTextJson(std::string_view text, std::string& out) {
  return Append(out, {.strict = true}, [&](JsonWriter& json) {
    json.Text(text);
    return Status();
  });
}

}  // namespace tailwater
