// Rows of COPY (FORMAT binary).
#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "postgres/big_endian.h"
#include "postgres/binary_values.h"
#include "postgres/copy_rows.h"
#include "support/text.h"

namespace tailwater::postgres {
namespace {

constexpr std::string_view kSignature{"PGCOPY\n\377\r\n\0", 11};
constexpr int16_t kTrailer = -1;
constexpr int32_t kNull = -1;

// Every value of the type has a binary form that we read: an infinite interval has none, nor a
// byte above 127. A copy that is half stored cannot begin anew in the other form.
bool ReadsAllInBinary(const ValueParser& parser) {
  if (parser.type == ValueType::kArray && !ReadsAllInBinary(*parser.element)) return false;
  return parser.has_binary_form() && parser.decode != DecodeChar && parser.decode != DecodeInterval;
}

bool BytesAreTheText(const ValueParser& parser) {
  return parser.decode == DecodeText || parser.decode == DecodeEnum;
}

// What the type's output function says, as COPY in text would: a cast to text differs for xml, inet
// and bpchar.
std::string AsText(const std::string& column) {
  return fmt::format("CASE WHEN {0} IS DISTINCT FROM NULL THEN pg_catalog.format('%s', {0}) END",
                     column);
}

class BinaryCopyRows final : public CopyRows {
 public:
  explicit BinaryCopyRows(CopyShape shape) : relation_(shape.relation) {
    // ORDER BY would take a column of the SELECT's for the table's.
    const std::vector<Column>& columns = relation_.schema->columns();
    std::string alias = "as_text";
    while (std::any_of(columns.begin(), columns.end(),
                       [&](const Column& column) { return column.name == alias; }))
      alias += '_';
    const auto select = [&](const std::string& expression) {
      select_ += (select_.empty() ? "" : ", ") + expression;
    };
    for (size_t i = 0; i < columns.size(); ++i) {
      const ValueParser& parser = *relation_.parsers[i];
      const bool binary = ReadsAllInBinary(parser);
      columns_.push_back({&parser, binary ? parser.decode : parser.parse});
      select(binary ? shape.quoted[i] : fmt::format("{} AS {}", AsText(shape.quoted[i]), alias));
    }
    fields_.resize(columns.size());
    for (const uint32_t column : shape.key) {
      const ValueParser& parser = *relation_.parsers[column];
      if (columns_[column].read == parser.parse || BytesAreTheText(parser)) {
        key_.push_back({column, false});
      } else if (parser.decode == DecodeInt || parser.decode == DecodeUuid) {
        key_.push_back({column, true});
      } else {
        key_.push_back({static_cast<uint32_t>(fields_.size()), false});
        fields_.emplace_back();
        select(fmt::format("{} AS {}", AsText(shape.quoted[column]), alias));
      }
    }
  }

  const std::string& select() const override { return select_; }
  std::string_view options() const override { return "(FORMAT binary)"; }

  std::vector<std::string> key() const override {
    std::vector<std::string> text;
    for (const KeyText& key : key_) {
      std::string& one = text.emplace_back();
      if (key.of_value) {
        one = Print(row_[key.field]);
      } else {
        one = fields_[key.field];
      }
    }
    return text;
  }

  Status Add(std::string_view message, ChangeBatch& batch) override {
    if (!begun_) {
      if (!TakeHeader(message)) return Mismatch();
      begun_ = true;
      if (message.empty()) return {};
    }
    if (message.size() < 2) return Mismatch();
    const auto fields = LoadBig<int16_t>(message.data());
    message.remove_prefix(2);
    if (fields == kTrailer) return message.empty() ? Status() : Mismatch();
    if (fields < 0 || static_cast<size_t>(fields) != fields_.size()) return Mismatch();
    // The one copy: values view it.
    char* const copy = batch.arena().Allocate(message.size() + 1, 1);
    if (!message.empty()) std::memcpy(copy, message.data(), message.size());
    const char* at = copy;
    const char* const end = copy + message.size();
    const std::span<Value> row = batch.NewRow(columns_.size());
    row_ = row;
    for (size_t i = 0; i < fields_.size(); ++i) {
      if (end - at < 4) return Mismatch();
      const auto size = LoadBig<int32_t>(at);
      at += 4;
      if (size == kNull) {
        fields_[i] = {};
        if (i < row.size()) row[i] = Value::Null();
        continue;
      }
      if (size < 0 || size > end - at) return Mismatch();
      fields_[i] = {at, static_cast<size_t>(size)};
      at += size;
      if (i < row.size() && !columns_[i].read(*columns_[i].parser, fields_[i], batch, row[i]))
        return Malformed(i);
    }
    if (at != end) return Mismatch();
    Change& change = batch.Append();
    change.operation = Operation::kRead;
    change.schema = relation_.schema.get();
    change.table = relation_.schema->table();
    change.after = row;
    return {};
  }

 private:
  struct ColumnReader {
    const ValueParser* parser;
    ParseFunction read;  // one of the parser's two
  };
  struct KeyText {
    uint32_t field;
    bool of_value;  // printed as the server prints it: integers, uuid
  };

  static std::string Print(const Value& value) {
    if (value.type() == ValueType::kInt64) return std::to_string(value.as_int64());
    std::string text;
    for (const char byte : value.bytes()) {
      if (text.size() == 8 || text.size() == 13 || text.size() == 18 || text.size() == 23)
        text += '-';
      text += fmt::format("{:02x}", static_cast<uint8_t>(byte));
    }
    return text;
  }

  static bool TakeHeader(std::string_view& message) {
    constexpr size_t kHeader = kSignature.size() + 8;
    if (message.size() < kHeader || !message.starts_with(kSignature)) return false;
    const auto flags = LoadBig<uint32_t>(message.data() + kSignature.size());
    const auto extension = LoadBig<uint32_t>(message.data() + kSignature.size() + 4);
    // The upper half changes what follows.
    if (flags >> 16 != 0 || extension > message.size() - kHeader) return false;
    message.remove_prefix(kHeader + extension);
    return true;
  }

  Error Mismatch() const {
    return {Disposition::kFatal, "pg_tuple_mismatch",
            fmt::format("{}: a copied row has not the {} columns that were asked for; report this "
                        "with the server's version, and set `format: text` meanwhile",
                        relation_.schema->table(), fields_.size())};
  }
  Error Malformed(size_t index) const {
    const Column& column = relation_.schema->columns()[index];
    return {Disposition::kFatal, "pg_value_malformed",
            fmt::format("{}.{}: what the server sent is no value of type {}; report this with the "
                        "server's version, and set `format: text` meanwhile",
                        relation_.schema->table(), column.name, column.type_name)};
  }

  const Relation& relation_;
  std::string select_;
  std::vector<ColumnReader> columns_;
  std::vector<std::string_view>
      fields_;  // of the last row; behind the columns, text of key columns
  std::vector<KeyText> key_;
  std::span<const Value> row_;  // the last one
  bool begun_ = false;
};

}  // namespace

std::unique_ptr<CopyRows> MakeBinaryCopyRows(CopyShape shape) {
  return std::make_unique<BinaryCopyRows>(std::move(shape));
}

std::unique_ptr<CopyRows> MakeCopyRows(ValueFormat format, CopyShape shape) {
  // Bytes that are the text already cost the same in either form; an output function behind
  // format() costs the server more than the same one behind COPY.
  size_t gain = 0, lose = 0;
  for (const ValueParser* parser : shape.relation.parsers) {
    if (!ReadsAllInBinary(*parser)) {
      ++lose;
    } else if (!BytesAreTheText(*parser)) {
      ++gain;
    }
  }
  const bool binary =
      (format == ValueFormat::kBinary && gain > 0) || (format == ValueFormat::kAuto && gain > lose);
  return binary ? MakeBinaryCopyRows(std::move(shape)) : MakeTextCopyRows(std::move(shape));
}

}  // namespace tailwater::postgres
