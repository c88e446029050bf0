// What a look at the server tells: the server itself, its log, its tables, what we may do.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "mysql/connection.h"
#include "mysql/log_position.h"
#include "mysql/mysql_config.h"
#include "tailwater/registry.h"
#include "tailwater/result.h"
#include "tailwater/schema.h"
#include "tailwater/tables.h"

namespace tailwater::mysql {

// Who runs the server: settings are changed elsewhere there. A guess, for remedies only.
enum class Provider : uint8_t { kSelf, kRds, kAurora, kCloudSql, kAzure };

struct ServerFacts {
  Flavour flavour = Flavour::kMysql;
  int version = 0;           // 101119, 90704
  std::string version_text;  // as the server prints it
  Provider provider = Provider::kSelf;
  std::string uuid;  // MySQL's server_uuid; MariaDB: its server_uid (10.9 and later)
  uint32_t server_id = 0;
  bool log_bin = false;
  std::string binlog_format;  // ROW, MIXED, STATEMENT
  std::string row_image;      // FULL, NOBLOB, MINIMAL; 11.4 and later FULL_NODUP
  bool partial_json = false;  // binlog_row_value_options: parts of documents
  std::string row_metadata;   // FULL, MINIMAL, NO_LOG; empty: the server has no such thing
  std::string gtid_mode;      // MySQL: OFF, OFF_PERMISSIVE, ON_PERMISSIVE, ON
  std::string log_updates;    // of a replica, what it applies: ON, OFF
  bool read_only = false;
  std::optional<int64_t>
      expire_seconds;  // until a file of the log is old enough to go; none: never
  std::optional<uint64_t> max_log_bytes;  // MariaDB 11.4: of all files together
  uint64_t max_file_bytes = 0;
  bool native_foreign_keys = true;  // what cascades change is not in the log
  int lower_case_table_names = 0;
  std::string time_zone;

  bool mariadb() const { return flavour == Flavour::kMariadb; }
  // The log has the whole old row of updates and deletes. FULL_NODUP leaves out of the new row what
  // stays.
  bool whole_before() const { return row_image == "FULL" || row_image == "FULL_NODUP"; }
  // The form of positions that these settings allow.
  LogPosition::Form form() const;
  std::string Name() const;  // "MySQL 9.7.4", "MariaDB 10.11.19"
};
Result<ServerFacts> ReadServer(Connection& sql, const MysqlConfig& config);
// Which server a session is on, for StreamMarks::Begin(): places in files are compared only if
// reader and stream are on the same one.
Result<std::string> ReadServerIdentity(Connection& sql);

// One file of the log. Needs REPLICATION CLIENT (MariaDB: BINLOG MONITOR), as all that follows.
struct LogFile {
  std::string name;
  uint64_t size = 0;  // behind the last event: what encryption puts in front is taken off
};
Result<std::vector<LogFile>> ReadLogFiles(Connection& sql);

struct LogStatus {
  FilePosition end;
  std::string do_databases;  // binlog_do_db, binlog_ignore_db: what is not logged at all
  std::string ignore_databases;
};
Result<LogStatus> ReadLogStatus(Connection& sql);

// The position behind everything that is committed (MySQL with GTIDs: visible) now.
Result<LogPosition> ReadLogEnd(Connection& sql, LogPosition::Form form);
// MySQL: what the log no longer holds.
Result<MysqlGtidSet> ReadPurged(Connection& sql);
// What the files in front of `file` held. MySQL: PREVIOUS_GTIDS; MariaDB: GTID_LIST. Nothing: it
// does not say.
Result<std::optional<LogPosition>> ReadStartOf(Connection& sql, const std::string& file,
                                               LogPosition::Form form);
// MariaDB: the last sequence of each domain and server that the log has seen.
Result<std::vector<MariadbGtid>> ReadBinlogState(Connection& sql);
// It applies the log of another server at this moment. False as well if we may not ask.
bool IsRunningReplica(Connection& sql);

struct TableEntryFacts {
  TableName name;
  std::string quoted;  // for SQL
  std::string engine;
  std::optional<uint64_t> rows;  // estimates
  std::optional<uint64_t> bytes;
  bool system_versioned = false;
  bool transactional() const { return engine == "InnoDB" || engine == "ROCKSDB"; }
};
// Every base table outside the system schemas that we may see; `only` that one, if it is there.
Result<std::vector<TableEntryFacts>> ReadTables(Connection& sql, const TableName* only = nullptr);

struct SelectedTables {
  std::vector<const TableEntryFacts*> tables;  // into `all`
  std::vector<std::string> unmatched;          // entries without a wildcard that name no table
};
SelectedTables SelectTables(const std::vector<TableEntryFacts>& all,
                            const TableSelection& selection, const std::string& source);

// What the session's user may do, as SHOW GRANTS prints it (active roles included).
class Grants {
 public:
  explicit Grants(const Rows& rows);
  // On *.*; "ALL PRIVILEGES" has them all.
  bool HasGlobal(std::string_view privilege) const;
  // It grants through a role that is not active: what it has cannot be told.
  bool has_roles() const { return has_roles_; }

 private:
  std::set<std::string, std::less<>> global_;
  bool has_roles_ = false;
};
Result<Grants> ReadGrants(Connection& sql);
// 'user'@'host' for GRANT statements, as the server knows us.
Result<std::string> ReadAccount(Connection& sql);

// A setting that stands against capturing, with what removes it: shared by the first start, each
// connect, and `tailwater check`.
struct SettingProblem {
  std::string_view code;
  std::string setting;
  std::string message;
  std::string remedy;
};
std::vector<SettingProblem> FindSettingProblems(const ServerFacts& server);

// "SET GLOBAL name = value;", or the provider's way to do it.
std::string SettingRemedy(const ServerFacts& server, std::string_view name, std::string_view value);
// In the configuration file alone: a restart is needed.
std::string FileRemedy(const ServerFacts& server, std::string_view name, std::string_view value);

}  // namespace tailwater::mysql
