#include "cli/change_text.h"

#include "support/text.h"
#include "util/timestamp.h"

namespace tailwater {
namespace {

constexpr size_t kIndent = 4;

std::string_view Colour(Operation operation, const Palette& palette) {
  switch (operation) {
    case Operation::kInsert:
    case Operation::kRead:
      return palette.green;
    case Operation::kUpdate:
      return palette.yellow;
    case Operation::kDelete:
    case Operation::kTruncate:
    case Operation::kSweep:
      return palette.red;
    case Operation::kSchema:
    case Operation::kMessage:
      return palette.blue;
    case Operation::kFrontier:
      return palette.dim;
  }
  return {};
}

// Text in quotes only where its ends or its emptiness would not show otherwise.
std::string ValueText(const Value& value, const Palette& palette) {
  std::string text;
  AppendReadable(value, text);
  if (value.state() != ColumnState::kValue)
    return fmt::format("{}{}{}", palette.dim, text, palette.off);
  const bool quote = text.empty() || text == "NULL" || text.find_first_of(" \t\n=") != text.npos;
  text = Printable(text);
  return quote ? "\"" + text + "\"" : text;
}

class ChangePrinter {
 public:
  ChangePrinter(const Palette& palette, size_t width)
      : palette_(palette),
        value_width_(width == 0 ? 0 : std::max<size_t>(20, width / 2)),
        width_(width) {}

  std::string Print(const Change& change, int64_t offset) {
    Head(change, offset);
    switch (change.operation) {
      case Operation::kInsert:
      case Operation::kRead:
        Columns(change, change.after);
        break;
      case Operation::kUpdate:
        change.before.empty() ? Columns(change, change.after) : Differences(change);
        break;
      case Operation::kDelete:
        Columns(change, change.before);
        break;
      case Operation::kSchema:
        Schema(*change.schema);
        break;
      case Operation::kMessage:
        Item(std::string(change.message_prefix), Printable(change.message_content));
        break;
      case Operation::kFrontier:
        Item("up to", std::string(change.frontier));
        break;
      case Operation::kTruncate:
      case Operation::kSweep:
        break;
    }
    EndLine();
    return std::move(out_);
  }

 private:
  void Head(const Change& change, int64_t offset) {
    std::string time = change.source_time_micros == 0 ? std::string(24, ' ')
                                                      : FormatTimestamp(change.source_time_micros);
    time[10] = ' ';
    out_ += fmt::format("{}{}{} {}{:<8}{} ", palette_.dim, time, palette_.off,
                        Colour(change.operation, palette_), OperationName(change.operation),
                        palette_.off);
    out_ += fmt::format("{}{}{}", palette_.bold, Printable(change.table), palette_.off);
    const Row key = change.key_row();
    if (change.schema != nullptr && !key.empty()) {
      for (const uint32_t column : change.schema->key_columns()) {
        out_ += fmt::format(" {}={}", Printable(change.schema->columns()[column].name),
                            ValueText(key[column], palette_));
      }
    }
    out_ +=
        fmt::format("  {}{}{}@{}{}\n", palette_.dim, change.transaction_id.empty() ? "" : "tx ",
                    change.transaction_id.empty() ? "" : fmt::format("{} ", change.transaction_id),
                    offset, palette_.off);
  }

  // All columns but those of the key, as many on a line as fit.
  void Columns(const Change& change, Row row) {
    if (change.schema == nullptr) return;
    for (size_t i = 0; i < row.size(); ++i) {
      const Column& column = change.schema->columns()[i];
      if (column.key) continue;
      if (change.operation == Operation::kDelete && row[i].state() == ColumnState::kOmitted)
        continue;
      Item(Printable(column.name), Shortened(ValueText(row[i], palette_), value_width_));
    }
  }

  void Differences(const Change& change) {
    for (size_t i = 0; i < change.after.size(); ++i) {
      const Column& column = change.schema->columns()[i];
      const bool known =
          i < change.before.size() && change.before[i].state() != ColumnState::kOmitted;
      if (change.after[i].state() == ColumnState::kUnchanged) continue;
      if (known && change.before[i] == change.after[i]) continue;
      const std::string now = Shortened(ValueText(change.after[i], palette_), value_width_);
      if (!known) {
        if (column.key) continue;
        Item(Printable(column.name), now);
        continue;
      }
      EndLine();
      out_ += fmt::format("{:{}}{}{}:{} {}{}{} → {}", "", kIndent, palette_.cyan,
                          Printable(column.name), palette_.off, palette_.dim,
                          Shortened(ValueText(change.before[i], palette_), value_width_),
                          palette_.off, now);
      open_ = 1;
      EndLine();
    }
  }

  void Schema(const TableSchema& schema) {
    for (const Column& column : schema.columns()) {
      Item(Printable(column.name), Printable(column.type_name) + (column.key ? " key" : ""));
    }
  }

  void Item(const std::string& name, const std::string& value) {
    const size_t length = DisplayWidth(name) + 1 + DisplayWidth(value);
    constexpr size_t kWidthOfFiles = 120;
    if (open_ > 0 && open_ + 2 + length > (width_ == 0 ? kWidthOfFiles : width_)) EndLine();
    out_ += std::string(open_ == 0 ? kIndent : 2, ' ');
    out_ += fmt::format("{}{}{}={}", palette_.cyan, name, palette_.off, value);
    open_ += (open_ == 0 ? kIndent : 2) + length;
  }

  void EndLine() {
    if (open_ > 0) out_ += '\n';
    open_ = 0;
  }

  const Palette& palette_;
  const size_t value_width_;
  const size_t width_;
  std::string out_;
  size_t open_ = 0;  // characters in the line that has no end yet
};

}  // namespace

std::string ChangeText(const Change& change, int64_t offset, const Palette& palette, size_t width) {
  return ChangePrinter(palette, width).Print(change, offset);
}

}  // namespace tailwater
