// changes.db: its place, its tables, its format, and how its failures are named.
//
// One row of `log` (log id, begin and next offset), the blocks in `batches`, capture's state in
// `state`. Only the holder of capture.lock writes; everyone else opens it read-only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "support/sqlite.h"
#include "tailwater/result.h"

namespace tailwater::local {

inline constexpr int64_t kLogFormat = 1;

// Where the parts of a topic lie.
struct Paths {
  std::string folder;
  std::string changes() const { return folder + "/changes.db"; }
  std::string wake() const { return folder + "/changes.wake"; }
  std::string capture_lock() const { return folder + "/capture.lock"; }
  std::string sink(const std::string& sink) const { return folder + "/" + sink + ".db"; }
  std::string sink_lock(const std::string& sink) const { return folder + "/" + sink + ".lock"; }
};

// The topic's name of an SQLite failure: "topic_disk_full", "topic_corrupt", "topic_cannot_open",
// "topic_read_only", "topic_io_error", "topic_busy", …
Error TopicError(Error error, std::string_view doing);

// mkdir -p, for this user only: the files hold rows of the database.
Status MakeFolder(const std::string& folder);

// What the one row of `log` says.
struct LogHead {
  std::string log_id;
  int64_t begin_offset = 0;
  int64_t next_offset = 0;
};

// Opens the log for its one writer, and makes it if it is not there. kFatal "topic_format_newer",
// "topic_foreign_file".
Result<sqlite::Database> OpenLogForWriting(const Paths& paths);
// Creates nothing; nothing if the log was not made yet. kFatal as above.
Result<std::optional<sqlite::Database>> OpenLogForReading(const Paths& paths);
Result<LogHead> ReadLogHead(sqlite::Database& log);

// Refuses a file that is not what `application_id` says, or newer than `format`. True: it is as it
// should be; false: it is empty.
Result<bool> CheckFormat(sqlite::Database& database, int64_t application_id, int64_t format);

// 32 hexadecimal digits of the system's randomness.
std::string RandomLogId();

}  // namespace tailwater::local
