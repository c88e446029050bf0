// Bodies of the events that are no rows, as views (PROTOCOLS B8). Each Parse… checks to the last
// byte that it knows; kFatal "mysql_event_malformed" names the event, never a value.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mysql/binlog_event.h"
#include "mysql/gtid.h"
#include "tailwater/result.h"

namespace tailwater::mysql {

// What begins a group, of either server.
struct GroupStart {
  std::optional<MysqlGtid> mysql;      // none: anonymous
  std::optional<MariadbGtid> mariadb;  // its server is the header's
  // When this server committed it, since 1970-01-01 UTC. 0: the event does not say (MariaDB, MySQL
  // before 8.0); its header's timestamp is all there is.
  int64_t commit_time_micros = 0;
  // MariaDB: the group is one statement alone, no BEGIN … COMMIT.
  bool standalone = false;
  bool ddl = false;
  // MariaDB: 0 none, 2 START ALTER, 4 COMMIT ALTER, 8 ROLLBACK ALTER (two-phase ALTER).
  uint8_t alter_phase = 0;
};
Result<GroupStart> ParseGtid(const Event& event);         // 33, 34
Result<GroupStart> ParseGtidTagged(const Event& event);   // 42
Result<GroupStart> ParseMariadbGtid(const Event& event);  // 162

struct QueryEvent {
  std::string_view database;  // the session's default; may be empty
  std::string_view
      sql;  // in the client's charset; may hold control bytes and secrets: never logged
  uint64_t sql_mode = 0;
  uint16_t error = 0;
  uint16_t client_charset = 0;  // a collation id; 0: not told
};
// `storage` holds the SQL of a compressed one (165).
Result<QueryEvent> ParseQuery(const Event& event, std::string& storage);

struct XaPrepareEvent {
  bool one_phase = false;  // it is the commit
  std::string xid;         // X'…',X'…',n: as XA START, COMMIT and ROLLBACK print it
};
Result<XaPrepareEvent> ParseXaPrepare(const Event& event);

struct IncidentEvent {
  uint16_t code = 0;
  std::string message;
};
Result<IncidentEvent> ParseIncident(const Event& event);
// 27 and 41: where the server's reading stands.
Result<FilePosition> ParseHeartbeat(const Event& event);
Result<MysqlGtidSet> ParsePreviousGtids(const Event& event);
Result<MariadbGtidState> ParseGtidList(const Event& event);

// A transaction payload (40), decompressed piece by piece: memory is bounded by one inner event,
// not by the transaction.
class PayloadReader {
 public:
  PayloadReader();
  ~PayloadReader();
  // `event`'s bytes stay until the last Next(). kFatal "mysql_payload_malformed",
  // "mysql_payload_unknown" (compression).
  Status Begin(const Event& event);
  // The next inner event whole, header included, for EventReader::ReadInner(); nothing: the payload
  // ended, and was as large as it had declared. Until the next call.
  Result<std::optional<std::string_view>> Next();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The uncompressed body of a MariaDB compressed rows event (166 to 168), as the event that it
// stands for. `storage` holds it, and is best used again for the next one.
Result<Event> Uncompress(const Event& event, const LogFormat& format, std::string& storage);

}  // namespace tailwater::mysql
