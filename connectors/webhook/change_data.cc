#include "webhook/change_data.h"

#include <optional>
#include <string_view>
#include <vector>

#include "support/change_json.h"
#include "webhook/encoding.h"

namespace tailwater::webhook {
namespace {

// Commas and names of one JSON object.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }
  std::string& Name(std::string_view name) {
    if (out_.back() != '{') out_ += ',';
    out_.append("\"").append(name).append("\":");
    return out_;
  }
  Status Text(std::string_view name, std::string_view text) {
    return AppendTextJson(text, Name(name));
  }
  void End() { out_ += '}'; }

 private:
  std::string& out_;
};

Status AppendNames(const std::vector<std::string_view>& names, std::string& out) {
  out += '[';
  for (const std::string_view& name : names) {
    if (&name != &names.front()) out += ',';
    TW_TRY(AppendTextJson(name, out));
  }
  out += ']';
  return {};
}

// The new row with what the log did not repeat taken from the old one, where that has it.
std::vector<Value> WholeAfter(const Change& change) {
  std::vector<Value> row(change.after.begin(), change.after.end());
  if (change.before.empty()) return row;
  for (size_t i = 0; i < row.size(); ++i) {
    const Value& old = change.before[i];
    if (row[i].is_unchanged() && (old.has_value() || old.is_null())) row[i] = old;
  }
  return row;
}

std::vector<std::string_view> NamesIn(ColumnState state, const TableSchema& schema, Row row) {
  std::vector<std::string_view> names;
  for (size_t i = 0; i < row.size(); ++i) {
    if (row[i].state() == state) names.push_back(schema.columns()[i].name);
  }
  return names;
}

// Nothing if the log does not tell.
std::optional<std::vector<std::string_view>> Changed(const Change& change, Row after) {
  if (change.before.empty()) return std::nullopt;
  std::vector<std::string_view> names;
  for (size_t i = 0; i < after.size(); ++i) {
    const Value& old = change.before[i];
    if (after[i].is_unchanged()) continue;
    const bool known = (old.has_value() || old.is_null()) && !after[i].is_omitted();
    if (!known) return std::nullopt;
    if (!(old == after[i])) names.push_back(change.schema->columns()[i].name);
  }
  return names;
}

Status AppendRows(const Change& change, bool thin, JsonForm form, ObjectWriter& object) {
  const TableSchema& schema = *change.schema;
  std::vector<Value> key(schema.columns().size());
  for (const uint32_t column : schema.key_columns()) key[column] = change.key_row()[column];
  if (schema.keyless()) {
    object.Name("key") += "null";
  } else {
    TW_TRY(AppendRowJson(schema, key, object.Name("key"), form));
  }
  const std::vector<Value> after = WholeAfter(change);
  if (!thin) {
    for (const auto& [name, row] :
         {std::pair<std::string_view, Row>{"before", change.before}, {"after", Row(after)}}) {
      if (row.empty()) {
        object.Name(name) += "null";
      } else {
        TW_TRY(AppendRowJson(schema, row, object.Name(name), form));
      }
    }
  }
  if (change.operation == Operation::kUpdate) {
    const auto changed = Changed(change, after);
    if (changed) {
      TW_TRY(AppendNames(*changed, object.Name("changed")));
    } else {
      object.Name("changed") += "null";
    }
  }
  if (thin) return {};
  for (const auto& [name, state] :
       {std::pair<std::string_view, ColumnState>{"unchanged", ColumnState::kUnchanged},
        {"omitted", ColumnState::kOmitted}}) {
    const auto names = NamesIn(state, schema, after);
    if (!names.empty()) TW_TRY(AppendNames(names, object.Name(name)));
  }
  return {};
}

Status AppendMessage(const Change& change, ObjectWriter& object) {
  TW_TRY(object.Text("prefix", change.message_prefix));
  std::string text;
  if (AppendTextJson(change.message_content, text)) {
    object.Name("content") += text;
    return {};
  }
  return object.Text("content_base64", Base64(change.message_content));
}

}  // namespace

std::string TypeName(const Change& change) {
  std::string name;
  if (change.operation == Operation::kMessage) {
    name = "message.";
    AppendTypeName(change.message_prefix, name);
    return name;
  }
  AppendTypeName(change.schema->name().schema, name);
  if (!name.empty()) name += '.';
  AppendTypeName(change.schema->name().name, name);
  name += '.';
  name += OperationName(change.operation);
  return name;
}

std::string CommitTime(const Change& change) {
  std::string text;
  if (change.source_time_micros == 0) return text;
  // A timestamp is always a text.
  if (!AppendFieldText(Value::TimestampTz(change.source_time_micros), text)) text.clear();
  return text;
}

Result<std::string> KeyText(const Change& change) {
  std::string text;
  if (change.schema == nullptr || change.key_row().empty()) return text;
  const std::vector<uint32_t>& columns = change.schema->key_columns();
  for (const uint32_t column : columns) {
    std::string part;
    TW_TRY(AppendFieldText(change.key_row()[column], part));
    if (column != columns.front()) text += ',';
    for (const char c : part) {
      if (columns.size() > 1 && c == ',') {
        text += "%2C";
      } else if (columns.size() > 1 && c == '%') {
        text += "%25";
      } else {
        text += c;
      }
    }
  }
  return text;
}

Status AppendChangeData(const RowFields& fields, bool thin, bool wide_integers_as_text,
                        std::string& out) {
  const Change& change = fields.change();
  const JsonForm form{.wide_integers_as_text = wide_integers_as_text, .strict = true};
  ObjectWriter object(out);
  TW_TRY(object.Text("id", fields.id()));
  TW_TRY(object.Text("op", OperationName(change.operation)));
  TW_TRY(object.Text("source", change.source));
  if (!change.table.empty()) TW_TRY(object.Text("table", change.table));
  if (change.operation == Operation::kMessage) {
    TW_TRY(AppendMessage(change, object));
  } else if (!change.key_row().empty()) {
    TW_TRY(AppendRows(change, thin, form, object));
  }
  if (change.snapshot != SnapshotMark::kStreaming) object.Name("snapshot") += "true";
  TW_TRY(AppendValueJson(Value::Int64(change.version), object.Name("version"), form));
  const std::string time = CommitTime(change);
  if (time.empty()) {
    object.Name("time") += "null";
  } else {
    TW_TRY(object.Text("time", time));
  }
  if (!change.transaction_id.empty()) TW_TRY(object.Text("transaction", change.transaction_id));
  object.End();
  return {};
}

}  // namespace tailwater::webhook
