#include "tailwater/schema.h"

#include <xxhash.h>

#include <algorithm>

#include "sdk/wire.h"

namespace tailwater {
namespace {

bool NeedsQuotes(std::string_view part) {
  return part.empty() || std::any_of(part.begin(), part.end(), [](char c) {
           return c == '.' || c == '"' || c == 0x7f || static_cast<unsigned char>(c) <= ' ';
         });
}

void AppendPart(std::string_view part, std::string& out) {
  if (!NeedsQuotes(part)) {
    out += part;
    return;
  }
  out += '"';
  for (const char c : part) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

void AppendText(std::string& out, uint32_t field, std::string_view text) {
  if (!text.empty()) wire::AppendDelimited(out, field, text);
}

void AppendNumber(std::string& out, uint32_t field, uint64_t number) {
  if (number == 0) return;
  wire::AppendVarint(out, wire::Tag(field, wire::kVarint));
  wire::AppendVarint(out, number);
}

}  // namespace

std::string TableName::ToString() const {
  std::string out;
  if (!schema.empty()) {
    AppendPart(schema, out);
    out += '.';
  }
  AppendPart(name, out);
  return out;
}

std::shared_ptr<const TableSchema> TableSchema::Make(TableName name, std::vector<Column> columns) {
  std::shared_ptr<TableSchema> schema(new TableSchema);
  schema->name_ = std::move(name);
  schema->table_ = schema->name_.ToString();
  schema->columns_ = std::move(columns);

  std::string& block = schema->wire_block_;
  AppendText(block, 1, schema->name_.schema);
  AppendText(block, 2, schema->name_.name);
  std::string encoded;
  for (uint32_t i = 0; i < schema->columns_.size(); ++i) {
    const Column& column = schema->columns_[i];
    if (column.key) schema->key_columns_.push_back(i);
    encoded.clear();
    AppendText(encoded, 1, column.name);
    AppendNumber(encoded, 2, static_cast<uint64_t>(column.type));
    AppendText(encoded, 3, column.type_name);
    AppendNumber(encoded, 4, column.key);
    AppendNumber(encoded, 5, column.generated);
    wire::AppendDelimited(block, 3, encoded);
  }
  schema->fingerprint_ = XXH3_64bits(block.data(), block.size());
  return schema;
}

}  // namespace tailwater
