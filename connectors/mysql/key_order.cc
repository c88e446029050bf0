#include "mysql/key_order.h"

#include <algorithm>
#include <cstdlib>

#include "mysql/connection.h"
#include "support/snapshot_key.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

// Beyond so many labels the others are not listed, and the index is walked.
constexpr uint32_t kMostLabels = 100;

enum class Form : uint8_t {
  kNumber,   // digits that are a literal as they are
  kFloat,    // a double
  kOrdinal,  // ENUM, SET, BIT: what the index sorts by is a number
  kText,     // bytes in the column's character set, in hex
  kBytes,
  kQuoted,  // dates, times, uuid, inet6
};

Form FormOf(const KeyColumn& column) {
  const std::string_view type = column.data_type;
  const auto is = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), type) != names.end();
  };
  if (is({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year"}))
    return Form::kNumber;
  if (is({"float", "double"})) return Form::kFloat;
  if (is({"enum", "set", "bit"})) return Form::kOrdinal;
  if (!column.charset.empty()) return Form::kText;
  if (is({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"}))
    return Form::kBytes;
  return Form::kQuoted;
}

std::string Name(const KeyColumn& column) { return Connection::QuoteName(column.name); }

// Of what the server printed: no backslash is in a date or an address, whatever sql_mode says.
std::string Quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out.push_back(c);
    out.push_back(c);
  }
  return out + "'";
}

std::string Literal(const KeyColumn& column, const std::string& value) {
  switch (FormOf(column)) {
    case Form::kNumber:
    case Form::kOrdinal:
      return value;
    case Form::kFloat:  // without an exponent it would be a decimal
      return value.find_first_of("eE") == std::string::npos ? value + "e0" : value;
    case Form::kText:
      return fmt::format("_{} X'{}' COLLATE {}", column.charset, value, column.collation);
    case Form::kBytes:
      return fmt::format("X'{}'", value);
    case Form::kQuoted:
      return Quoted(value);
  }
  return {};
}

// What goes into SQL as it is holds nothing but digits.
bool IsValue(const KeyColumn& column, const std::string& value) {
  switch (FormOf(column)) {
    case Form::kNumber:
    case Form::kOrdinal:
    case Form::kFloat:
      return !value.empty() && value.find_first_not_of("0123456789+-.eE") == std::string::npos;
    case Form::kText:
    case Form::kBytes:
      return value.find_first_not_of("0123456789ABCDEF") == std::string::npos;
    case Form::kQuoted:
      break;
  }
  return value.find('\\') == std::string::npos;
}

// The comparison with a prefix alone decides between values that are equal as a whole: under
// collations that take several characters for one, prefixes can differ where the whole does not.
bool NeedsPrefix(const KeyColumn& column) {
  return column.prefix != 0 && FormOf(column) == Form::kText;
}

std::string Signature(const std::vector<KeyColumn>& columns) {
  std::string text;
  for (const KeyColumn& column : columns) {
    text += fmt::format("{}{} {}{}{}{}{}", text.empty() ? "" : ", ", Name(column), column.data_type,
                        column.collation.empty() ? "" : " ", column.collation,
                        column.prefix == 0 ? "" : fmt::format("({})", column.prefix),
                        column.descending ? " desc" : "");
  }
  return text;
}

// The numbers of labels from `from` to `to`; "NULL" if there are none.
std::string Range(int64_t from, int64_t to) {
  std::string list;
  for (int64_t i = from; i <= to; ++i) list += fmt::format("{}{}", list.empty() ? "" : ", ", i);
  return list.empty() ? "NULL" : list;
}

}  // namespace

std::vector<std::string> KeyOrder::Select() const {
  std::vector<std::string> list;
  for (const KeyColumn& column : columns_) {
    switch (FormOf(column)) {
      case Form::kNumber:
      case Form::kQuoted:
        list.push_back(Name(column));
        break;
      case Form::kFloat:
        list.push_back(fmt::format("({} * 1e0)", Name(column)));
        break;
      case Form::kOrdinal:
        list.push_back(fmt::format("CAST({} AS UNSIGNED)", Name(column)));
        break;
      case Form::kText:
      case Form::kBytes:
        list.push_back(fmt::format("HEX({})", Name(column)));
        break;
    }
  }
  return list;
}

KeyOrder::Text KeyOrder::TextOf(size_t column) const {
  switch (FormOf(columns_[column])) {
    case Form::kText:
    case Form::kBytes:
      return Text::kHex;
    case Form::kOrdinal:
      return columns_[column].data_type == "bit" ? Text::kAsIs : Text::kOther;
    case Form::kNumber:
    case Form::kFloat:
    case Form::kQuoted:
      break;
  }
  return Text::kAsIs;
}

std::string KeyOrder::Hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 0x0F]);
  }
  return out;
}

std::string KeyOrder::ForceIndex() const {
  return fmt::format("FORCE INDEX ({})", Connection::QuoteName(index_));
}

bool KeyOrder::sorted_by_index() const {
  return std::all_of(columns_.begin(), columns_.end(),
                     [](const KeyColumn& column) { return column.prefix == 0; });
}

std::string KeyOrder::OrderBy() const {
  std::string list;
  for (const KeyColumn& column : columns_) {
    const std::string direction = column.descending ? " DESC" : "";
    list += fmt::format("{}{}{}", list.empty() ? "" : ", ", Name(column), direction);
    if (NeedsPrefix(column))
      list += fmt::format(", LEFT({}, {}){}", Name(column), column.prefix, direction);
  }
  return list;
}

std::vector<KeyOrder::Term> KeyOrder::Terms(const std::vector<std::string>& values) const {
  std::vector<Term> terms;
  for (size_t i = 0; i < columns_.size(); ++i) {
    const KeyColumn& column = columns_[i];
    const std::string literal = Literal(column, values[i]);
    terms.push_back({Name(column), literal, column.labels, column.descending});
    if (NeedsPrefix(column)) {
      terms.push_back({fmt::format("LEFT({}, {})", Name(column), column.prefix),
                       fmt::format("LEFT({}, {})", literal, column.prefix), 0, column.descending});
    }
  }
  return terms;
}

std::string KeyOrder::Compare(const std::vector<std::string>& values, bool behind) const {
  const std::vector<Term> terms = Terms(values);
  // An ENUM is compared by its number, which is a range of the index only if it is spelled out.
  const auto strict = [&](const Term& term) {
    const bool greater = behind != term.descending;
    if (term.labels == 0 || term.labels > kMostLabels)
      return fmt::format("{} {} {}", term.column, greater ? ">" : "<", term.literal);
    const int64_t at = std::atoll(term.literal.c_str());
    return fmt::format("{} IN ({})", term.column,
                       greater ? Range(at + 1, term.labels) : Range(0, at - 1));
  };
  std::string text;
  for (size_t i = terms.size(); i-- > 0;) {
    const Term& term = terms[i];
    const std::string equal = fmt::format("{} = {}", term.column, term.literal);
    if (text.empty()) {
      text = behind ? strict(term) : fmt::format("({} OR {})", strict(term), equal);
      if (!behind && term.labels == 0)
        text = fmt::format("{} {} {}", term.column, term.descending ? ">=" : "<=", term.literal);
      continue;
    }
    text = fmt::format("({} OR ({} AND {}))", strict(term), equal, text);
  }
  return text;
}

std::string KeyOrder::Behind(const std::vector<std::string>& values) const {
  return Compare(values, true);
}

std::string KeyOrder::UpTo(const std::vector<std::string>& values) const {
  return Compare(values, false);
}

SnapshotKey KeyOrder::Pack(const std::vector<std::string>& values) const {
  return PackKey(Signature(columns_), values);
}

std::optional<std::vector<std::string>> KeyOrder::Unpack(const SnapshotKey& key) const {
  std::optional<std::vector<std::string>> values =
      UnpackKey(key, Signature(columns_), columns_.size());
  for (size_t i = 0; values && i < columns_.size(); ++i) {
    if (!IsValue(columns_[i], (*values)[i])) return std::nullopt;
  }
  return values;
}

}  // namespace tailwater::mysql
