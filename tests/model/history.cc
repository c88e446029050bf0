#include "model/history.h"

#include <algorithm>
#include <cassert>

#include "support/text.h"

namespace tailwater::model {
namespace {

Datum Number(int64_t number) { return {ColumnState::kValue, ValueType::kInt64, number, {}}; }
Datum Text(std::string text, ValueType type = ValueType::kText) {
  return {ColumnState::kValue, type, 0, std::move(text)};
}
Datum Absent(ColumnState state) { return {state, ValueType::kText, 0, {}}; }

}  // namespace

Value Datum::view() const {
  switch (state) {
    case ColumnState::kOmitted:
      return Value::Omitted();
    case ColumnState::kNull:
      return Value::Null();
    case ColumnState::kUnchanged:
      return Value::Unchanged();
    case ColumnState::kValue:
      break;
  }
  switch (type) {
    case ValueType::kInt64:
      return Value::Int64(number);
    case ValueType::kBool:
      return Value::Bool(number != 0);
    case ValueType::kTimestampTz:
      return Value::TimestampTz(number);
    case ValueType::kDecimal:
      return Value::Decimal(bytes);
    default:
      return Value::Text(bytes);
  }
}

std::string TypedText(const Value& value) {
  std::string text;
  if (value.has_value()) {
    text = ValueTypeName(value.type());
    text += ':';
  }
  AppendReadable(value, text);
  return text;
}

History::History(const HistoryOptions& options)
    : random_(options.seed), source_(options.source), gtids_(options.seed % 2 == 1) {
  const size_t tables = 2 + Below(3);
  for (size_t i = 0; i < tables; ++i) {
    Identity identity = OneIn(3) ? Identity::kFullWithPrimaryKey : Identity::kPrimaryKey;
    if (options.keyless_tables && (i == 1 || OneIn(5))) identity = Identity::kKeylessFull;
    MakeTable(i, identity);
  }
  for (size_t i = 0; i < options.transactions; ++i) {
    switch (Below(14)) {
      case 0:
        Close(Open(LogEntry::Kind::kIdle));
        break;
      case 1: {
        LogEntry& entry = Open(LogEntry::Kind::kAlone);
        Message();
        Close(entry);
        break;
      }
      case 2:
        RunTransaction(0);
        break;
      case 3:
        RunTransaction(20 + Below(40));  // large: published in parts
        break;
      default:
        RunTransaction(1 + Below(6));
    }
  }
  DeleteDoomedRows();
  for (const Table& table : tables_) {
    const std::string name = table.name.ToString();
    std::multiset<ReadableRow>& rows = expected_[{source_, name}];
    schemas_[name] = table.schema;
    for (const TableRow& row : table.rows) {
      ReadableRow readable;
      for (size_t i = 0; i < table.columns.size(); ++i) {
        const Value value = row.values[i].view();
        if (value.has_value()) readable[table.columns[i].name] = TypedText(value);
      }
      rows.insert(std::move(readable));
    }
  }
}

void History::MakeTable(size_t index, Identity identity) {
  Table& table = tables_.emplace_back();
  table.name = {"public", index % 2 == 0 ? fmt::format("table{}", index)
                                         : fmt::format("table \"{}\"", index)};
  table.identity = identity;
  const bool keyed = identity != Identity::kKeylessFull;
  table.columns.push_back({"id", ValueType::kInt64, "int8", keyed, false});
  table.columns.push_back({"code", ValueType::kText, "text", keyed && OneIn(2), false});
  table.columns.push_back({"email", ValueType::kText, "text", false, false});
  table.columns.push_back({"total", ValueType::kDecimal, "numeric(12,2)", false, false});
  table.columns.push_back({"body", ValueType::kText, "text", false, false});
  table.columns.push_back({"seen", ValueType::kTimestampTz, "timestamptz", false, false});
  table.unique_column = 2;
  table.toasted = {false, false, false, false, true, false};
  Describe(table);
}

void History::Describe(Table& table) {
  table.schema = TableSchema::Make(table.name, table.columns);
}

void History::AddColumn(Table& table) {
  table.columns.push_back(
      {fmt::format("added{}", table.next_column++), ValueType::kText, "text", false, false});
  table.toasted.push_back(OneIn(2));
  for (TableRow& row : table.rows) row.values.push_back(Absent(ColumnState::kNull));
  for (DatumRow& row : table.gone) row.push_back(Absent(ColumnState::kNull));
  Describe(table);
}

void History::DropColumn(Table& table) {
  if (table.columns.size() <= 6) return;
  table.columns.pop_back();
  table.toasted.pop_back();
  for (TableRow& row : table.rows) row.values.pop_back();
  for (DatumRow& row : table.gone) row.pop_back();
  Describe(table);
}

std::string History::PositionText() const {
  return fmt::format(fmt::runtime(gtids_ ? "3e11fa47-71ca-11e1-9e33-c80aa9429562:{}" : "0/{:X}"),
                     place_);
}

// Of MySQL a set: all that came before is in it.
std::string History::FrontierText() const {
  return gtids_ ? fmt::format("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-{}", place_) : PositionText();
}

LogEntry& History::Open(LogEntry::Kind kind) {
  LogEntry& entry = log_.emplace_back();
  entry.kind = kind;
  place_ += 8 + Below(1000);
  entry.position = PositionText();
  entry.time_micros = 1'780'000'000'000'000 + static_cast<int64_t>(log_.size()) * 1000;
  ordinal_ = 0;
  open_ = &entry;
  return entry;
}

void History::Close(LogEntry& entry) {
  place_ += 8 + Below(100);
  entry.end = FrontierText();
  open_ = nullptr;
}

void History::SkipOrdinals() {
  if (OneIn(6)) ordinal_ += Below(3);
}

LogEvent& History::Log(Operation operation, const Table& table) {
  SkipOrdinals();
  LogEvent& event = open_->events.emplace_back();
  event.operation = operation;
  event.schema = table.schema;
  event.ordinal = ordinal_++;
  return event;
}

void History::RunTransaction(size_t statements) {
  LogEntry& entry = Open(LogEntry::Kind::kTransaction);
  SkipOrdinals();
  for (size_t i = 0; i < statements; ++i) {
    if (OneIn(30)) {
      Truncate();
    } else if (OneIn(20)) {
      Message();
    } else {
      RunStatement(tables_[Below(tables_.size())]);
    }
  }
  Close(entry);
}

void History::RunStatement(Table& table) {
  if (table.rows.empty()) return Insert(table);
  const size_t row = Below(table.rows.size());
  const bool keyed = table.identity != Identity::kKeylessFull;
  switch (Below(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return Insert(table);
    case 4:
    case 5:
      return Delete(table, row);
    case 6: {  // delete and insert the same key again, at once
      const DatumRow key = KeyOf(table, table.rows[row].values);
      Delete(table, row);
      Insert(table);
      if (keyed && FindKey(table, key) == table.rows.size()) {
        ChangeKey(table, table.rows.size() - 1, key);
      }
      return;
    }
    case 7:
    case 8:
      if (keyed) return ChangeKey(table, row, RandomKey(table));
      return Update(table, row);
    case 9:
      if (keyed) return SwapKeys(table);
      return Insert(table);
    case 10:
      return SwapUnique(table);
    case 11:
      if (OneIn(3)) return OneIn(3) ? DropColumn(table) : AddColumn(table);
      return Update(table, row);
    default:
      return Update(table, row);
  }
}

Datum History::RandomDatum(const Table& table, size_t column) {
  if (table.toasted[column]) {
    if (OneIn(4)) return Absent(ColumnState::kNull);
    return Text(std::string(20 + Below(60), static_cast<char>('a' + Below(26))) +
                std::to_string(++counter_));
  }
  switch (table.columns[column].type) {
    case ValueType::kInt64:
      return Number(static_cast<int64_t>(Below(10)));  // few, so that keys come back
    case ValueType::kDecimal:
      return OneIn(5) ? Absent(ColumnState::kNull)
                      : Text(fmt::format("{}.50", Below(100)), ValueType::kDecimal);
    case ValueType::kTimestampTz:
      return OneIn(4) ? Absent(ColumnState::kNull)
                      : Datum{ColumnState::kValue,
                              ValueType::kTimestampTz,
                              static_cast<int64_t>(Below(1'000'000'000)),
                              {}};
    default:
      return OneIn(6) ? Text("") : Text(fmt::format("t{}", Below(4)));
  }
}

DatumRow History::RandomKey(const Table& table) {
  DatumRow key;
  for (const uint32_t column : table.schema->key_columns()) {
    key.push_back(RandomDatum(table, column));
  }
  return key;
}

DatumRow History::KeyOf(const Table& table, const DatumRow& row) const {
  DatumRow key;
  for (const uint32_t column : table.schema->key_columns()) key.push_back(row[column]);
  return key;
}

size_t History::FindKey(const Table& table, const DatumRow& key) const {
  for (size_t i = 0; i < table.rows.size(); ++i) {
    if (KeyOf(table, table.rows[i].values) == key) return i;
  }
  return table.rows.size();
}

bool History::UniqueTaken(const Table& table, const Datum& value) const {
  return value.state == ColumnState::kValue &&
         std::any_of(table.rows.begin(), table.rows.end(),
                     [&](const TableRow& row) { return row.values[table.unique_column] == value; });
}

void History::Insert(Table& table) {
  DatumRow row;
  for (size_t i = 0; i < table.columns.size(); ++i) row.push_back(RandomDatum(table, i));
  if (table.identity == Identity::kKeylessFull) {
    if (!table.rows.empty() && OneIn(2)) {  // a second row with the same content
      row = table.rows[Below(table.rows.size())].values;
    } else if (!table.gone.empty() && OneIn(2)) {  // the same again as before a DELETE or TRUNCATE
      row = table.gone[Below(table.gone.size())];
    }
  } else {
    if (FindKey(table, KeyOf(table, row)) != table.rows.size()) return;
    if (UniqueTaken(table, row[table.unique_column])) {
      row[table.unique_column] = Absent(ColumnState::kNull);
    }
  }
  table.rows.push_back({row, false});
  Log(Operation::kInsert, table).after = std::move(row);
}

DatumRow History::OldImage(const Table& table, const DatumRow& row) const {
  if (table.identity != Identity::kPrimaryKey) return row;
  DatumRow image(row.size(), Absent(ColumnState::kOmitted));
  for (const uint32_t column : table.schema->key_columns()) image[column] = row[column];
  return image;
}

void History::LogUpdate(Table& table, size_t row, DatumRow values) {
  TableRow& held = table.rows[row];
  LogEvent& event = Log(Operation::kUpdate, table);
  if (table.identity != Identity::kPrimaryKey) event.before = held.values;
  event.after = values;
  for (size_t i = 0; i < values.size(); ++i) {
    if (table.toasted[i] && values[i].state == ColumnState::kValue && values[i] == held.values[i]) {
      event.after[i] = Absent(ColumnState::kUnchanged);
    }
  }
  held.values = std::move(values);
}

void History::Update(Table& table, size_t row) {
  DatumRow values = table.rows[row].values;
  for (size_t i = 0; i < values.size(); ++i) {
    if (table.columns[i].key || OneIn(2)) continue;
    const Datum value = RandomDatum(table, i);
    const bool unique = i == table.unique_column && table.identity != Identity::kKeylessFull;
    if (unique && UniqueTaken(table, value)) continue;
    values[i] = value;
  }
  LogUpdate(table, row, std::move(values));
}

void History::ChangeKey(Table& table, size_t row, DatumRow new_key) {
  if (FindKey(table, new_key) != table.rows.size()) return;  // taken, or unchanged
  TableRow& held = table.rows[row];
  const DatumRow old = held.values;
  const auto& key_columns = table.schema->key_columns();
  for (size_t i = 0; i < key_columns.size(); ++i) held.values[key_columns[i]] = new_key[i];

  LogEvent& removed = Log(Operation::kDelete, table);
  removed.before = OldImage(table, old);
  const uint64_t ordinal = removed.ordinal;
  LogEvent& added = open_->events.emplace_back();
  added.operation = Operation::kInsert;
  added.schema = table.schema;
  added.ordinal = ordinal;
  added.part = 1;
  added.after = held.values;
  if (table.identity == Identity::kPrimaryKey && OneIn(4)) {
    // Read back too late: the row went on. What the log did not repeat cannot be had any more.
    for (size_t i = 0; i < held.values.size(); ++i) {
      if (!table.toasted[i] || held.values[i].state != ColumnState::kValue) continue;
      added.after[i] = Absent(ColumnState::kOmitted);
      held.doomed = true;
    }
  }
}

void History::SwapKeys(Table& table) {
  if (table.rows.size() < 2) return;
  const size_t first = Below(table.rows.size());
  const size_t second = (first + 1) % table.rows.size();
  const DatumRow first_key = KeyOf(table, table.rows[first].values);
  const DatumRow second_key = KeyOf(table, table.rows[second].values);
  DatumRow free_key = first_key;
  free_key[0] = Number(-1 - static_cast<int64_t>(++counter_));
  ChangeKey(table, first, free_key);
  ChangeKey(table, second, first_key);
  ChangeKey(table, first, second_key);
}

void History::SwapUnique(Table& table) {
  if (table.rows.size() < 2) return;
  const size_t first = Below(table.rows.size());
  const size_t second = (first + 1) % table.rows.size();
  const size_t column = table.unique_column;
  const auto set = [&](size_t row, Datum value) {
    DatumRow values = table.rows[row].values;
    values[column] = std::move(value);
    LogUpdate(table, row, std::move(values));
  };
  const Datum of_first = table.rows[first].values[column];
  const Datum of_second = table.rows[second].values[column];
  set(first, Absent(ColumnState::kNull));
  set(second, of_first);
  set(first, of_second);
}

void History::Bury(Table& table, const DatumRow& row) {
  if (table.identity == Identity::kKeylessFull) table.gone.push_back(row);
}

void History::Delete(Table& table, size_t row) {
  Bury(table, table.rows[row].values);
  LogEvent& event = Log(Operation::kDelete, table);
  event.before = OldImage(table, table.rows[row].values);
  table.rows.erase(table.rows.begin() + static_cast<std::ptrdiff_t>(row));
}

void History::Truncate() {
  // One event, one record per table.
  SkipOrdinals();
  uint32_t part = 0;
  for (Table& table : tables_) {
    if (part > 0 && OneIn(2)) continue;
    if (part == 0 && OneIn(2) && &table != &tables_.back()) continue;
    LogEvent& event = open_->events.emplace_back();
    event.operation = Operation::kTruncate;
    event.schema = table.schema;
    event.ordinal = ordinal_;
    event.part = part++;
    for (const TableRow& row : table.rows) Bury(table, row.values);
    table.rows.clear();
  }
  ++ordinal_;
}

void History::Message() {
  LogEvent& event = open_->events.emplace_back();
  event.operation = Operation::kMessage;
  event.ordinal = ordinal_++;
  event.message = fmt::format("{} message {}", source_, ++counter_);
}

void History::DeleteDoomedRows() {
  LogEntry& entry = Open(LogEntry::Kind::kTransaction);
  for (Table& table : tables_) {
    for (size_t i = table.rows.size(); i > 0; --i) {
      if (table.rows[i - 1].doomed) Delete(table, i - 1);
    }
  }
  Close(entry);
}

}  // namespace tailwater::model
