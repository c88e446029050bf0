// One event of a binlog as it comes over the wire: header, checksum and place taken care of, the
// body still bytes (PROTOCOLS B5, B6). Pure functions of bytes; nothing is copied.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mysql/log_position.h"
#include "tailwater/result.h"

namespace tailwater::mysql {

enum class EventType : uint8_t {
  kQuery = 2,
  kStop = 3,
  kRotate = 4,
  kIntvar = 5,
  kAppendBlock = 9,  // 9, 11, 17, 18: LOAD DATA in statement format
  kDeleteFile = 11,
  kRand = 13,
  kUserVar = 14,
  kFormatDescription = 15,
  kXid = 16,
  kBeginLoadQuery = 17,
  kExecuteLoadQuery = 18,
  kTableMap = 19,
  kWriteRowsV1 = 23,
  kUpdateRowsV1 = 24,
  kDeleteRowsV1 = 25,
  kIncident = 26,
  kHeartbeat = 27,
  kIgnorable = 28,
  kRowsQuery = 29,
  kWriteRowsV2 = 30,
  kUpdateRowsV2 = 31,
  kDeleteRowsV2 = 32,
  kGtid = 33,
  kAnonymousGtid = 34,
  kPreviousGtids = 35,
  kTransactionContext = 36,
  kViewChange = 37,
  kXaPrepare = 38,
  kPartialUpdateRows = 39,
  kTransactionPayload = 40,
  kHeartbeatV2 = 41,
  kGtidTagged = 42,
  kAnnotateRows = 160,
  kBinlogCheckpoint = 161,
  kMariadbGtid = 162,
  kMariadbGtidList = 163,
  kStartEncryption = 164,
  kQueryCompressed = 165,
  kWriteRowsCompressedV1 = 166,
  kUpdateRowsCompressedV1 = 167,
  kDeleteRowsCompressedV1 = 168,
  kPartialRowData = 172,
};

struct Event {
  // As the number that came: EventReader lets unknown ones through only with the ignorable flag.
  EventType type = EventType::kQuery;
  uint16_t flags = 0;
  uint32_t server_id = 0;
  uint32_t timestamp = 0;  // seconds; a client may set it: for people only
  bool artificial = false;
  bool known = true;      // false: an unknown one that says itself that it may be skipped
  std::string_view body;  // behind the header, without the checksum; lives as long as the packet
  // Behind the event, in 64 bits; the same as before for events that have no place of their own.
  uint64_t end = 0;
};

// "Write_rows_v1", …; "type 99" for what has no name here.
std::string EventName(EventType type);

// What a FORMAT_DESCRIPTION event tells of the events behind it.
struct LogFormat {
  Flavour flavour = Flavour::kMysql;
  std::string server_version;
  bool server_restarted = false;  // created != 0: a group left open by the previous file is dead
  uint8_t table_id_bytes = 6;
  bool rows_have_extra = true;  // post-header of 10 bytes (v2)
};

// Reads one packet after the other. Keeps what later packets need: file, place, checksum rule,
// format. Allocates at ROTATE and FORMAT_DESCRIPTION only. Threads: one.
class EventReader {
 public:
  // Before a dump: `from` is where the server was asked to start (nothing: by GTID).
  void Reset(const std::optional<FilePosition>& from);

  // `packet` starts at the event's header (without the status byte). ROTATE and FORMAT_DESCRIPTION
  // are taken in before they are returned. Behind a ROTATE the place is in the next file.
  // kFatal "mysql_event_malformed", "mysql_checksum", "mysql_event_unknown" (the type and the
  // place), "mysql_format_unknown". After an error: Reset() and a new dump.
  Result<Event> Read(std::string_view packet);
  // An event inside of a transaction payload, taken off the front of `rest`: no checksum, no place
  // of its own (`end` is the payload's).
  Result<Event> ReadInner(std::string_view& rest);

  const LogFormat& format() const { return format_; }
  // Behind the last event.
  const FilePosition& place() const { return place_; }
  bool known_format() const { return known_format_; }

 private:
  Result<Event> ReadHeader(std::string_view bytes);
  Status CheckSum(Event& event, std::string_view packet);
  Status Advance(const Event& event, uint32_t end, size_t size);
  Status TakeFormat(const Event& event);
  Status TakeRotate(const Event& event);
  Error Malformed(const Event& event, std::string_view what) const;
  std::string Where() const;

  FilePosition place_;
  LogFormat format_;
  bool known_format_ = false;
  bool has_checksum_ = false;
};

}  // namespace tailwater::mysql
