#include "support/sqlite.h"

#include <sqlite3.h>

#include <cerrno>

#include "support/text.h"

namespace tailwater::sqlite {

Error MakeError(int extended_code, int system_error, std::string message) {
  const bool no_space = system_error == ENOSPC || system_error == EDQUOT || system_error == EFBIG;
  const auto make = [&](Disposition disposition, std::string_view code, std::string_view advice) {
    if (!advice.empty()) message.append("; ").append(advice);
    return Error{disposition, code, std::move(message)};
  };
  switch (extended_code & 0xff) {
    case SQLITE_FULL:
      return make(Disposition::kNeedsOperator, "sqlite_disk_full", "free space on this disk");
    case SQLITE_IOERR:
      if (no_space) {
        return make(Disposition::kNeedsOperator, "sqlite_disk_full", "free space on this disk");
      }
      if ((extended_code & 0xffff) == SQLITE_IOERR_NOMEM) {
        return make(Disposition::kRetry, "sqlite_out_of_memory", "give the process more memory");
      }
      return make(Disposition::kNeedsOperator, "sqlite_io_error",
                  "look at the kernel's log for errors of this disk");
    case SQLITE_CANTOPEN:
      if (no_space) {
        return make(Disposition::kNeedsOperator, "sqlite_disk_full", "free space on this disk");
      }
      return make(Disposition::kNeedsOperator, "sqlite_cannot_open",
                  "check that the folder exists and that this user may write to it");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return make(Disposition::kNeedsOperator, "sqlite_read_only",
                  "let this user write to the file and to its folder");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_SCHEMA:
      return make(Disposition::kRetry, "sqlite_busy",
                  "another process holds the file's lock; it is tried again");
    case SQLITE_NOMEM:
      return make(Disposition::kRetry, "sqlite_out_of_memory", "give the process more memory");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return make(Disposition::kFatal, "sqlite_corrupt",
                  "the file is damaged: put it aside and restore or rebuild it");
    case SQLITE_TOOBIG:
      return make(Disposition::kFatal, "sqlite_too_big", "");
    case SQLITE_CONSTRAINT:
      return make(Disposition::kFatal, "sqlite_constraint", "");
    case SQLITE_INTERRUPT:
      return make(Disposition::kCancelled, "sqlite_interrupted", "");
    default:
      return make(Disposition::kFatal, "sqlite_error", "");
  }
}

namespace {

Error ErrorOf(sqlite3* database, int code, std::string_view doing) {
  const int thread_errno = errno;
  const char* path = sqlite3_db_filename(database, "main");
  std::string message = fmt::format("{}{}{}: {}", path ? path : "", path && *path ? ": " : "",
                                    doing, sqlite3_errmsg(database));
  // SQLite forgets the errno of a failed COMMIT: then it is still that of this thread.
  int system_error = sqlite3_system_errno(database);
  if (system_error == 0) system_error = thread_errno;
  // SQLITE_IOERR and SQLITE_CANTOPEN alone come from the system; elsewhere its errno is a leftover.
  const int primary = code & 0xff;
  const bool from_system = primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN;
  if (from_system && system_error != 0) {
    message.append(fmt::format(" (errno {})", system_error));
  }
  return MakeError(code, from_system ? system_error : 0, std::move(message));
}

}  // namespace

Statement& Statement::operator=(Statement&& other) noexcept {
  if (this != &other) {
    sqlite3_finalize(statement_);
    statement_ = std::exchange(other.statement_, nullptr);
    bind_error_ = std::exchange(other.bind_error_, 0);
  }
  return *this;
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement& Statement::Bind(int parameter, int64_t value) {
  Keep(sqlite3_bind_int64(statement_, parameter, value));
  return *this;
}

Statement& Statement::BindDouble(int parameter, double value) {
  Keep(sqlite3_bind_double(statement_, parameter, value));
  return *this;
}

Statement& Statement::BindText(int parameter, std::string_view text) {
  // A null pointer would bind NULL, and an empty view may hold one.
  Keep(sqlite3_bind_text64(statement_, parameter, text.data() ? text.data() : "", text.size(),
                           SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

Statement& Statement::BindBlob(int parameter, std::string_view bytes) {
  Keep(sqlite3_bind_blob64(statement_, parameter, bytes.data() ? bytes.data() : "", bytes.size(),
                           SQLITE_STATIC));
  return *this;
}

Statement& Statement::BindNull(int parameter) {
  Keep(sqlite3_bind_null(statement_, parameter));
  return *this;
}

Result<bool> Statement::Step() {
  sqlite3* database = sqlite3_db_handle(statement_);
  if (const int code = std::exchange(bind_error_, SQLITE_OK); code != SQLITE_OK) {
    Error error = MakeError(
        code, 0, fmt::format("bind to '{}': {}", sqlite3_sql(statement_), sqlite3_errstr(code)));
    Reset();
    return error;
  }
  errno = 0;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    Reset();
    return false;
  }
  Error error = ErrorOf(database, sqlite3_extended_errcode(database), sqlite3_sql(statement_));
  Reset();
  return error;
}

Status Statement::Run() {
  while (true) {
    TW_ASSIGN_OR_RETURN(const bool row, Step());
    if (!row) return {};
  }
}

void Statement::Reset() {
  if (statement_ != nullptr) sqlite3_reset(statement_);
}

int64_t Statement::Int64(int column) const { return sqlite3_column_int64(statement_, column); }

double Statement::Double(int column) const { return sqlite3_column_double(statement_, column); }

std::string_view Statement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (text == nullptr) return {};
  return {text, static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

std::string_view Statement::Blob(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

int Statement::columns() const { return sqlite3_column_count(statement_); }

std::string_view Statement::column_name(int column) const {
  const char* name = sqlite3_column_name(statement_, column);
  return name == nullptr ? std::string_view() : std::string_view(name);
}

Database& Database::operator=(Database&& other) noexcept {
  if (this != &other) {
    sqlite3_close_v2(database_);
    database_ = std::exchange(other.database_, nullptr);
    path_ = std::move(other.path_);
  }
  return *this;
}

Database::~Database() { sqlite3_close_v2(database_); }

Result<Database> Database::Open(const std::string& path, OpenMode mode,
                                std::chrono::milliseconds busy_timeout) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  switch (mode) {
    case OpenMode::kCreate:
      flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
      break;
    case OpenMode::kReadWrite:
      flags |= SQLITE_OPEN_READWRITE;
      break;
    case OpenMode::kReadOnly:
      flags |= SQLITE_OPEN_READONLY;
      break;
  }
  Database database;
  database.path_ = path;
  const int code = sqlite3_open_v2(path.c_str(), &database.database_, flags, nullptr);
  if (code != SQLITE_OK) {
    if (database.database_ == nullptr) {
      return MakeError(code, 0, fmt::format("open of {}: {}", path, sqlite3_errstr(code)));
    }
    const int system_error = sqlite3_system_errno(database.database_);
    return MakeError(code, system_error,
                     fmt::format("open of {}: {} (errno {})", path,
                                 sqlite3_errmsg(database.database_), system_error));
  }
  sqlite3_busy_timeout(database.database_, static_cast<int>(busy_timeout.count()));
  return database;
}

Result<Database> Database::OpenInMemory() {
  constexpr int kFlags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READWRITE |
                         SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY;
  Database database;
  const int code = sqlite3_open_v2(":memory:", &database.database_, kFlags, nullptr);
  if (code == SQLITE_OK) return database;
  return MakeError(code, 0, fmt::format("open in memory: {}", sqlite3_errstr(code)));
}

Result<Database> Database::OpenTemporary() {
  constexpr int kFlags =
      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  Database database;
  const int code = sqlite3_open_v2("", &database.database_, kFlags, nullptr);
  if (code == SQLITE_OK) return database;
  return MakeError(code, 0, fmt::format("open a temporary file: {}", sqlite3_errstr(code)));
}

Status Database::Execute(const std::string& sql) {
  errno = 0;
  const int code = sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return {};
  return ErrorOf(database_, sqlite3_extended_errcode(database_), sql);
}

Result<Statement> Database::Prepare(std::string_view sql, bool persistent) {
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v3(database_, sql.data(), static_cast<int>(sql.size()),
                         persistent ? SQLITE_PREPARE_PERSISTENT : 0, &statement, nullptr);
  if (code != SQLITE_OK) return ErrorOf(database_, sqlite3_extended_errcode(database_), sql);
  if (statement == nullptr) {
    return Error{Disposition::kFatal, "sqlite_error", "an SQL text holds no statement"};
  }
  return Statement(statement);
}

Result<std::optional<int64_t>> Database::QueryInt64(std::string_view sql) {
  TW_ASSIGN_OR_RETURN(Statement statement, Prepare(sql, false));
  TW_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row || statement.IsNull(0)) return std::optional<int64_t>();
  return std::optional<int64_t>(statement.Int64(0));
}

Result<std::optional<std::string>> Database::QueryText(std::string_view sql) {
  TW_ASSIGN_OR_RETURN(Statement statement, Prepare(sql, false));
  TW_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row || statement.IsNull(0)) return std::optional<std::string>();
  return std::optional<std::string>(std::string(statement.Text(0)));
}

int64_t Database::changes() const { return sqlite3_changes64(database_); }

int64_t Database::last_insert_rowid() const { return sqlite3_last_insert_rowid(database_); }

bool Database::in_transaction() const { return sqlite3_get_autocommit(database_) == 0; }

Error Database::LastError(std::string_view doing) const {
  return ErrorOf(database_, sqlite3_extended_errcode(database_), doing);
}

void Database::Interrupt() {
  if (database_ != nullptr) sqlite3_interrupt(database_);
}

Result<Transaction> Transaction::Begin(Database& database, Kind kind) {
  TW_TRY(database.Execute(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN"));
  return Transaction(&database);
}

Status Transaction::Commit() {
  Status status = database_->Execute("COMMIT");
  if (!status) {
    Rollback();
    return status;
  }
  database_ = nullptr;
  return {};
}

void Transaction::Rollback() {
  Database* database = std::exchange(database_, nullptr);
  // SQLite may have rolled back by itself (disk full); a failed ROLLBACK leaves nothing to undo.
  if (database != nullptr && database->in_transaction()) {
    [[maybe_unused]] const Status ignored = database->Execute("ROLLBACK");
  }
}

}  // namespace tailwater::sqlite
