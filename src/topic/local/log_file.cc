#include "topic/local/log_file.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>

#include "support/text.h"

namespace tailwater::local {

namespace {

constexpr int64_t kLogApplicationId = 0x54574c47;  // "TWLG"

// auto_vacuum and page_size count only before the first table. Large pages: a block takes few of
// them, and the write-ahead log has few frames to hash.
constexpr char kBeforeTables[] =
    "PRAGMA page_size = 16384; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;";

// `data` stands last: the other columns are read without it.
constexpr char kTables[] = R"(
CREATE TABLE log (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  log_id TEXT NOT NULL,
  begin_offset INTEGER NOT NULL,
  next_offset INTEGER NOT NULL,
  probes INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE batches (
  base_offset INTEGER PRIMARY KEY,
  record_count INTEGER NOT NULL,
  first_micros INTEGER NOT NULL,
  last_micros INTEGER NOT NULL,
  stored_micros INTEGER NOT NULL,
  raw_bytes INTEGER NOT NULL,
  encoding INTEGER NOT NULL,
  data BLOB NOT NULL
);
CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
)";

}  // namespace

Error TopicError(Error error, std::string_view doing) {
  std::string_view code = error.code;
  Disposition disposition = error.disposition;
  if (code == "sqlite_disk_full") {
    code = "topic_disk_full";
  } else if (code == "sqlite_corrupt") {
    code = "topic_corrupt";
  } else if (code == "sqlite_cannot_open") {
    code = "topic_cannot_open";
  } else if (code == "sqlite_read_only") {
    code = "topic_read_only";
  } else if (code == "sqlite_io_error") {
    code = "topic_io_error";
  } else if (code == "sqlite_busy") {
    code = "topic_busy";
  } else if (code == "sqlite_out_of_memory") {
    code = "topic_out_of_memory";
  } else if (code.starts_with("sqlite_")) {
    code = "topic_failed";
    disposition = Disposition::kFatal;
  }
  return Error{disposition, code, std::move(error.message)}.Within(doing);
}

Status MakeFolder(const std::string& folder) {
  std::error_code error;
  const std::filesystem::path path(folder);
  if (std::filesystem::is_directory(path, error)) return {};
  std::filesystem::create_directories(path.parent_path(), error);
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error{Disposition::kNeedsOperator, "topic_cannot_open",
                 fmt::format("cannot make the topic's folder {}: {}; make it, and let this user "
                             "write to it",
                             folder, std::strerror(errno))};
  }
  return {};
}

Result<bool> CheckFormat(sqlite::Database& database, int64_t application_id, int64_t format) {
  // One look: the writer makes all three in one transaction, maybe at this moment.
  TW_ASSIGN_OR_RETURN(auto look,
                      sqlite::Transaction::Begin(database, sqlite::Transaction::Kind::kRead));
  TW_ASSIGN_OR_RETURN(const auto tables, database.QueryInt64("SELECT count(*) FROM sqlite_master"));
  TW_ASSIGN_OR_RETURN(const auto found_id, database.QueryInt64("PRAGMA application_id"));
  TW_ASSIGN_OR_RETURN(const auto found_format, database.QueryInt64("PRAGMA user_version"));
  look.Rollback();
  if (tables == 0 && found_id == 0 && found_format == 0) return false;
  if (found_id != application_id) {
    return Error{Disposition::kFatal, "topic_foreign_file",
                 fmt::format("{} is a database of something else; give the topic a folder of its "
                             "own",
                             database.path())};
  }
  if (found_format > format) {
    return Error{Disposition::kFatal, "topic_format_newer",
                 fmt::format("{} has format {}, this version knows up to {}; run the version that "
                             "wrote it, or a newer one",
                             database.path(), found_format.value_or(0), format)};
  }
  return true;
}

Result<sqlite::Database> OpenLogForWriting(const Paths& paths) {
  TW_ASSIGN_OR_RETURN(sqlite::Database log,
                      sqlite::Database::Open(paths.changes(), sqlite::OpenMode::kCreate));
  TW_ASSIGN_OR_RETURN(const bool made, CheckFormat(log, kLogApplicationId, kLogFormat));
  if (!made) TW_TRY(log.Execute(kBeforeTables));
  // The writer checkpoints on its own terms (writer.cc). A commit is durable when it returns.
  TW_TRY(log.Execute(
      "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -4096;"
      "PRAGMA journal_size_limit = 33554432"));
  if (!made) {
    TW_ASSIGN_OR_RETURN(auto transaction,
                        sqlite::Transaction::Begin(log, sqlite::Transaction::Kind::kWrite));
    TW_TRY(log.Execute(kTables));
    TW_ASSIGN_OR_RETURN(auto insert, log.Prepare("INSERT INTO log VALUES (1, ?, 0, 0, 0)", false));
    const std::string log_id = RandomLogId();
    TW_TRY(insert.BindText(1, log_id).Run());
    TW_TRY(log.Execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}",
                                   kLogApplicationId, kLogFormat)));
    TW_TRY(transaction.Commit());
  }
  return log;
}

Result<std::optional<sqlite::Database>> OpenLogForReading(const Paths& paths) {
  std::error_code error;
  if (!std::filesystem::exists(paths.changes(), error)) return std::optional<sqlite::Database>();
  TW_ASSIGN_OR_RETURN(sqlite::Database log,
                      sqlite::Database::Open(paths.changes(), sqlite::OpenMode::kReadOnly));
  TW_ASSIGN_OR_RETURN(const bool made, CheckFormat(log, kLogApplicationId, kLogFormat));
  if (!made) return std::optional<sqlite::Database>();
  TW_TRY(log.Execute("PRAGMA cache_size = -512"));
  return std::optional<sqlite::Database>(std::move(log));
}

Result<LogHead> ReadLogHead(sqlite::Database& log) {
  TW_ASSIGN_OR_RETURN(auto select,
                      log.Prepare("SELECT log_id, begin_offset, next_offset FROM log", false));
  TW_ASSIGN_OR_RETURN(const bool row, select.Step());
  if (!row) {
    return Error{Disposition::kFatal, "sqlite_corrupt",
                 "the log has lost its head; restore the topic's folder, or destroy it and start "
                 "over"};
  }
  return LogHead{std::string(select.Text(0)), select.Int64(1), select.Int64(2)};
}

std::string RandomLogId() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

}  // namespace tailwater::local
