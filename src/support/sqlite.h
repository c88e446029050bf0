// RAII over SQLite: one connection, its statements and its transactions; every failure is an Error.
//
// Who calls it: the local topic, the sqlite sink, and whatever else keeps a file. A Database and
// all its statements belong to one thread at a time. Error codes: "sqlite_disk_full",
// "sqlite_io_error", "sqlite_cannot_open", "sqlite_read_only" (kNeedsOperator), "sqlite_busy",
// "sqlite_out_of_memory" (kRetry), "sqlite_corrupt", "sqlite_too_big", "sqlite_constraint",
// "sqlite_error" (kFatal), "sqlite_interrupted" (kCancelled).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tailwater/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tailwater::sqlite {

// A prepared statement. Binding cannot fail on the spot: the first error is kept and answered by
// the next Step() or Run(). Must not outlive its Database.
class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept { *this = std::move(other); }
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  // Parameters count from 1. Text and blobs are borrowed until Reset(), Run() or the next binding.
  Statement& Bind(int parameter, int64_t value);
  Statement& BindDouble(int parameter, double value);
  Statement& BindText(int parameter, std::string_view text);
  Statement& BindBlob(int parameter, std::string_view bytes);
  Statement& BindNull(int parameter);

  // True: a row is there to be read. False: done, and reset.
  Result<bool> Step();
  // Steps to the end, ignoring rows, and resets.
  Status Run();
  // Ends the statement (and with it a read transaction of its own); bindings stay. Safe at any
  // time.
  void Reset();

  // Columns count from 0; views live until the next Step() or Reset().
  int64_t Int64(int column) const;
  double Double(int column) const;
  std::string_view Text(int column) const;
  std::string_view Blob(int column) const;
  bool IsNull(int column) const;
  int columns() const;
  std::string_view column_name(int column) const;
  sqlite3_stmt* handle() const { return statement_; }
  explicit operator bool() const { return statement_ != nullptr; }

 private:
  friend class Database;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  void Keep(int code) {
    if (bind_error_ == 0) bind_error_ = code;
  }
  sqlite3_stmt* statement_ = nullptr;
  int bind_error_ = 0;
};

enum class OpenMode : uint8_t { kCreate, kReadWrite, kReadOnly };

class Database {
 public:
  Database() = default;
  Database(Database&& other) noexcept { *this = std::move(other); }
  Database& operator=(Database&& other) noexcept;
  ~Database();

  // `busy_timeout`: how long a statement waits for another connection's lock before "sqlite_busy".
  static Result<Database> Open(const std::string& path, OpenMode mode,
                               std::chrono::milliseconds busy_timeout = std::chrono::seconds(5));

  // A connection of its own without a file, for what SQLite computes without tables.
  static Result<Database> OpenInMemory();
  // A database of its own in a file without a name, gone with the connection; on disk only once it
  // is large.
  static Result<Database> OpenTemporary();

  // Runs one or more statements without parameters; rows are ignored.
  Status Execute(const std::string& sql);
  // `persistent`: the statement lives long; SQLite keeps it out of its short-lived memory.
  Result<Statement> Prepare(std::string_view sql, bool persistent = true);
  // The first column of the only row; nothing if there is no row or it is NULL.
  Result<std::optional<int64_t>> QueryInt64(std::string_view sql);
  Result<std::optional<std::string>> QueryText(std::string_view sql);

  // Rows changed by the last INSERT, UPDATE or DELETE.
  int64_t changes() const;
  int64_t last_insert_rowid() const;
  bool in_transaction() const;
  // What the last failed call on this connection was, with `doing` in front: "write of x: disk is
  // full".
  Error LastError(std::string_view doing) const;
  // From any thread: ends the running statement with "sqlite_interrupted".
  void Interrupt();
  const std::string& path() const { return path_; }
  sqlite3* handle() const { return database_; }
  explicit operator bool() const { return database_ != nullptr; }

 private:
  sqlite3* database_ = nullptr;
  std::string path_;
};

// BEGIN now; ROLLBACK at the end of the scope unless Commit() succeeded.
class Transaction {
 public:
  enum class Kind : uint8_t { kRead, kWrite };  // kWrite takes the write lock at once
  static Result<Transaction> Begin(Database& database, Kind kind);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction() { Rollback(); }
  // After a failure the transaction is rolled back.
  Status Commit();
  void Rollback();

 private:
  explicit Transaction(Database* database) : database_(database) {}
  Database* database_;
};

// The Error of an SQLite result code; `system_error` is the errno behind it, 0 if unknown.
Error MakeError(int extended_code, int system_error, std::string message);

}  // namespace tailwater::sqlite
