// A seeded random history of one source: what a database's log would say, and what its tables hold
// at the end. The generator runs the transactions against tables of its own, so the expected end is
// the tables themselves and owes nothing to the code under test.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tailwater/change.h"

namespace tailwater::model {

// A column's value that owns its bytes.
struct Datum {
  ColumnState state = ColumnState::kNull;
  ValueType type = ValueType::kText;
  int64_t number = 0;
  std::string bytes;

  Value view() const;
  bool operator==(const Datum&) const = default;
};
using DatumRow = std::vector<Datum>;

// A row as it is compared: column name -> typed text; NULL and missing columns are left out.
using ReadableRow = std::map<std::string, std::string>;
std::string TypedText(const Value& value);
// (source, table) -> its rows.
using Tables = std::map<std::pair<std::string, std::string>, std::multiset<ReadableRow>>;

struct LogEvent {
  Operation operation = Operation::kInsert;
  SchemaPtr schema;  // null for messages
  uint64_t ordinal = 0;
  uint32_t part = 0;
  DatumRow before, after;
  std::string message;
};

struct LogEntry {
  enum class Kind : uint8_t { kTransaction, kAlone, kIdle };
  Kind kind = Kind::kTransaction;
  std::string position;  // names the transaction
  std::string end;       // the frontier behind it
  int64_t time_micros = 0;
  std::vector<LogEvent> events;  // kAlone: one message
};

struct HistoryOptions {
  uint64_t seed = 0;
  std::string source;
  size_t transactions = 30;
  bool keyless_tables = true;
};

class History {
 public:
  explicit History(const HistoryOptions& options);

  const std::string& source() const { return source_; }
  const std::vector<LogEntry>& log() const { return log_; }
  // What the source's tables hold after the last transaction.
  const Tables& expected() const { return expected_; }
  // The tables as they are at the end; a copy may hold other columns, of before.
  const std::map<std::string, SchemaPtr>& schemas() const { return schemas_; }

 private:
  struct TableRow {
    DatumRow values;
    // A column of it was gone when its key change was read back: the row is deleted before the end.
    bool doomed = false;
  };
  enum class Identity : uint8_t { kPrimaryKey, kFullWithPrimaryKey, kKeylessFull };
  struct Table {
    TableName name;
    Identity identity = Identity::kPrimaryKey;
    std::vector<Column> columns;
    std::vector<bool> toasted;  // columns whose values the log leaves out while they do not change
    size_t unique_column = 0;   // besides the key; unique at the end of each statement
    SchemaPtr schema;
    std::deque<TableRow> rows;
    std::vector<DatumRow> gone;  // keyless: rows of before, with the columns of now
    uint32_t next_column = 0;    // names are never used twice
  };

  uint64_t Below(uint64_t limit) { return random_() % limit; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }

  void MakeTable(size_t index, Identity identity);
  void Describe(Table& table);
  void AddColumn(Table& table);
  void DropColumn(Table& table);

  void RunTransaction(size_t statements);
  void RunStatement(Table& table);
  void Insert(Table& table);
  void Update(Table& table, size_t row);
  void ChangeKey(Table& table, size_t row, DatumRow new_key);
  void SwapKeys(Table& table);
  void SwapUnique(Table& table);
  void Delete(Table& table, size_t row);
  void Bury(Table& table, const DatumRow& row);
  void Truncate();
  void Message();
  void DeleteDoomedRows();

  Datum RandomDatum(const Table& table, size_t column);
  DatumRow RandomKey(const Table& table);
  // Index of the row that holds this key; rows.size() if none does.
  size_t FindKey(const Table& table, const DatumRow& key) const;
  bool UniqueTaken(const Table& table, const Datum& value) const;
  DatumRow KeyOf(const Table& table, const DatumRow& row) const;
  // The old image as the log has it: whole under FULL, else the key alone.
  DatumRow OldImage(const Table& table, const DatumRow& row) const;
  // Writes `values` over the row and logs the update.
  void LogUpdate(Table& table, size_t row, DatumRow values);

  LogEvent& Log(Operation operation, const Table& table);
  void SkipOrdinals();  // events of tables that are not captured
  LogEntry& Open(LogEntry::Kind kind);
  void Close(LogEntry& entry);

  std::mt19937_64 random_;
  const std::string source_;
  std::deque<Table> tables_;
  std::vector<LogEntry> log_;
  LogEntry* open_ = nullptr;
  uint64_t ordinal_ = 0;
  std::string PositionText() const;
  std::string FrontierText() const;
  const bool gtids_;  // positions as MySQL prints them, else as Postgres does
  uint64_t place_ = 0x1000000;
  uint64_t counter_ = 0;
  Tables expected_;
  std::map<std::string, SchemaPtr> schemas_;
};

}  // namespace tailwater::model
