// Packets in, changes out: groups of the log, whole and decided, in the order in which they took
// effect.
//
// MySQL's rows are handed on as they come. What may still be undone or decided later is kept first,
// as the bytes it came in, in memory and then on scratch disk (group_spool.h):
//   MariaDB: every transaction. It logs rows that were undone, too, and says so only at the end
//     (ROLLBACK TO a savepoint, or ROLLBACK where a temporary table came or went in between).
//   MySQL: what follows a savepoint, for servers and sessions that do the same.
//   Prepared XA transactions of both come out at their XA COMMIT, at the place of that group and
//     under their own (the prepare group's) identity; until then the position names them as
//     undecided, and after a restart the server sends them again.
// If a group whose rows were handed on is undone all the same (MySQL, a session that does not log
// rows; a server that crashed), Decode() answers kRetry "mysql_group_undone": the run ends without
// a commit, and when the group comes again it is kept until its end.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mysql/binlog_event.h"
#include "mysql/log_events.h"
#include "mysql/log_position.h"
#include "mysql/mysql_config.h"
#include "mysql/sql_statement.h"
#include "mysql/table_map.h"
#include "tailwater/change.h"
#include "tailwater/result.h"
#include "tailwater/source.h"

namespace tailwater::mysql {

// Takes what was decoded; the Source implements it. All on the thread that calls Decode(); an error
// ends Decode() and is returned as it is. May wait for room.
class DecodedChanges {
 public:
  virtual ~DecodedChanges() = default;
  virtual Status Begin(const Transaction& transaction) = 0;
  // The records of one event of the server: parts 0, 1, …
  virtual Status Append(std::span<const Change> parts) = 0;
  // `position`: everything up to the end of this group was handed on, or is named in it as
  // undecided.
  virtual Status Commit(const LogPosition& position) = 0;
  // A group without a change for us ended.
  virtual Status Passed(const LogPosition& position) = 0;
  // In front of the next group: the rows that are in the table now are not those that the log
  // tells: it has to be copied again.
  virtual Status RowsReplaced(const TableName& table, std::string_view why) = 0;
};

class ChangeDecoder {
 public:
  struct Options {
    std::function<bool(const TableName&)> selects_table;  // empty: every table
    ValueOptions values;
    std::string scratch_dir;
    // Up to here groups stay in memory while they may still be undone, all of them together.
    size_t spool_above_bytes = 8 << 20;
    // The schema of a table as the catalog has it now, for a TRUNCATE of one that no row was met of
    // yet. Null: there is no such table. Empty: nobody can tell; such a table counts as replaced.
    std::function<Result<SchemaPtr>(const TableName&)> describe_table;
    // All tables of ours, as the catalog has them now: those that a transaction of
    // ForgivePrepared() may have changed, when it is committed. Empty: it is passed over.
    std::function<Result<std::vector<TableName>>()> captured_tables;
  };

  ChangeDecoder(Options options, CatalogFacts& facts);
  ~ChangeDecoder();

  // Before a dump: what was read already; the server may send some of it again.
  void Reset(LogPosition position);
  // lower_case_table_names = 1: names in table maps are in lower case, in statements as they were
  // typed.
  void FoldNames(bool fold);
  // XA transactions that were prepared before the place where the very first reading began: their
  // rows lie in front of it. Where one is committed, tables that were copied already lack its rows:
  // all are said to be replaced.
  void ForgivePrepared(const std::vector<std::string>& xids);

  // One packet without its status byte. The views of changes live for the call of Append().
  // kFatal: what EventReader, TableCache, RowReader say; "mysql_statement_unknown",
  // "mysql_group_malformed", "mysql_key_missing". kGap, as the log does not hold the rows:
  // "mysql_statement_format" (of a captured table), "mysql_incident", "mysql_xa_unknown" (prepared
  // where we did not read). kNeedsOperator: "mysql_gtid_mode", "mysql_spool_failed". kRetry:
  // "mysql_group_undone". What `out` returns comes back as it is.
  Status Decode(std::string_view packet, DecodedChanges& out);

  // Between groups: Decode() left nothing open.
  bool between_groups() const;
  const LogPosition& position() const;              // of what was handed on
  const FilePosition& place() const;                // behind the last event, of this server
  int64_t commit_time_micros() const;               // of the last group; 0: none
  std::vector<std::string> undecided_xids() const;  // XA, prepared and not decided yet
  bool saw_heartbeat() const;  // the last event was one: the server has sent all it has

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailwater::mysql
