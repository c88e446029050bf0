#include "postgres/copy_rows.h"

#include <cstring>
#include <span>
#include <utility>

#include "support/text.h"

namespace tailwater::postgres {
namespace {

// What a backslash and this character stand for.
char Unescaped(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    default:
      return c;
  }
}

class TextCopyRows final : public CopyRows {
 public:
  explicit TextCopyRows(CopyShape shape) : relation_(shape.relation), key_(std::move(shape.key)) {
    for (const std::string& name : shape.quoted) select_ += (select_.empty() ? "" : ", ") + name;
  }

  const std::string& select() const override { return select_; }
  std::string_view options() const override { return ""; }
  std::vector<std::string> key() const override {
    std::vector<std::string> text;
    for (const uint32_t column : key_) text.emplace_back(fields_[column]);
    return text;
  }

  Status Add(std::string_view message, ChangeBatch& batch) override {
    if (message.empty() || message.back() != '\n') return Mismatch();
    message.remove_suffix(1);
    const size_t columns = relation_.parsers.size();
    // The one copy: fields are told apart and unescaped where they then stay.
    char* at = batch.arena().Allocate(message.size() + 1, 1);
    if (!message.empty()) std::memcpy(at, message.data(), message.size());
    char* const end = at + message.size();
    const std::span<Value> row = batch.NewRow(columns);
    fields_.resize(columns);
    if (columns == 0 && at != end) return Mismatch();
    for (size_t i = 0; i < columns; ++i) {
      char* const stop = static_cast<char*>(std::memchr(at, '\t', static_cast<size_t>(end - at)));
      char* const field_end = stop != nullptr ? stop : end;
      if ((stop == nullptr) != (i + 1 == columns)) return Mismatch();
      const size_t size = static_cast<size_t>(field_end - at);
      if (size == 2 && at[0] == '\\' && at[1] == 'N') {
        row[i] = Value::Null();
        fields_[i] = {};
      } else {
        fields_[i] = Unescape(at, size);
        if (!(*relation_.parsers[i])(fields_[i], batch, row[i])) return Malformed(i);
      }
      at = field_end + 1;
    }
    Change& change = batch.Append();
    change.operation = Operation::kRead;
    change.schema = relation_.schema.get();
    change.table = relation_.schema->table();
    change.after = row;
    return {};
  }

 private:
  static std::string_view Unescape(char* data, size_t size) {
    char* escape = static_cast<char*>(std::memchr(data, '\\', size));
    if (escape == nullptr) return {data, size};
    const char* from = escape;
    const char* const end = data + size;
    char* to = escape;
    while (from < end) {
      if (*from == '\\' && from + 1 < end) {
        *to++ = Unescaped(from[1]);
        from += 2;
      } else {
        *to++ = *from++;
      }
    }
    return {data, static_cast<size_t>(to - data)};
  }

  Error Mismatch() const {
    return {Disposition::kFatal, "pg_tuple_mismatch",
            fmt::format("{}: a copied row has not the {} columns that were asked for; report this "
                        "with the server's version",
                        relation_.schema->table(), relation_.parsers.size())};
  }
  Error Malformed(size_t index) const {
    const Column& column = relation_.schema->columns()[index];
    return {Disposition::kFatal, "pg_value_malformed",
            fmt::format("{}.{}: the server's text is no value of type {}: check that no pooler "
                        "resets the session's DateStyle, IntervalStyle, bytea_output",
                        relation_.schema->table(), column.name, column.type_name)};
  }

  const Relation& relation_;
  const std::vector<uint32_t> key_;
  std::string select_;
  std::vector<std::string_view> fields_;
};

}  // namespace

std::unique_ptr<CopyRows> MakeTextCopyRows(CopyShape shape) {
  return std::make_unique<TextCopyRows>(std::move(shape));
}

}  // namespace tailwater::postgres
