// Packets in, changes out: groups of the log, whole and decided, in the order in which they took
// effect.
//
// Rows are handed on as they come. What the server may still undo or decide later is spooled to
// scratch disk first: groups of MariaDB that hold a savepoint, and prepared XA transactions, which
// come out at their XA COMMIT, at the place of that group and under their own (the prepare group's)
// identity.
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
    std::function<bool(const TableName&)> selects_table;
    ValueOptions values;
    std::string scratch_dir;
    // Up to here a group stays in memory while it may still be undone.
    size_t spool_above_bytes = 8 << 20;
  };

  ChangeDecoder(Options options, CatalogFacts& facts);
  ~ChangeDecoder();

  // Before a dump: what was read already; the server may send some of it again.
  void Reset(LogPosition position);

  // One packet without its status byte. The views of changes live for the call of Append().
  // kFatal: what EventReader, TableCache, RowReader say; "mysql_statement_format" (rows of a
  // captured table that are not in the log), "mysql_statement_unknown", "mysql_incident" is kGap,
  // "mysql_group_malformed".
  Status Decode(std::string_view packet, DecodedChanges& out);

  // Between groups: Decode() left nothing open.
  bool between_groups() const;
  const LogPosition& position() const;  // of what was handed on
  const FilePosition& place() const;    // behind the last event, of this server
  int64_t commit_time_micros() const;   // of the last group; 0: none
  // The server's clock and place of the last heartbeat or event, for lag.
  bool saw_heartbeat() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailwater::mysql
