#include "mysql/binlog_event.h"

#include <array>
#include <utility>

#include "mysql/crc32.h"
#include "mysql/wire_bytes.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

constexpr size_t kHeaderSize = 19;
constexpr size_t kChecksumSize = 4;
constexpr uint16_t kArtificial = 0x20;
constexpr uint16_t kIgnorable = 0x80;
// Longer names are none: the server's own limit is FN_REFLEN, 512.
constexpr size_t kLongestFileName = 512;

std::string_view NameOf(EventType type) {
  switch (type) {
    case EventType::kQuery:
      return "Query";
    case EventType::kStop:
      return "Stop";
    case EventType::kRotate:
      return "Rotate";
    case EventType::kIntvar:
      return "Intvar";
    case EventType::kAppendBlock:
      return "Append_block";
    case EventType::kDeleteFile:
      return "Delete_file";
    case EventType::kRand:
      return "Rand";
    case EventType::kUserVar:
      return "User_var";
    case EventType::kFormatDescription:
      return "Format_desc";
    case EventType::kXid:
      return "Xid";
    case EventType::kBeginLoadQuery:
      return "Begin_load_query";
    case EventType::kExecuteLoadQuery:
      return "Execute_load_query";
    case EventType::kTableMap:
      return "Table_map";
    case EventType::kWriteRowsV1:
      return "Write_rows_v1";
    case EventType::kUpdateRowsV1:
      return "Update_rows_v1";
    case EventType::kDeleteRowsV1:
      return "Delete_rows_v1";
    case EventType::kIncident:
      return "Incident";
    case EventType::kHeartbeat:
      return "Heartbeat";
    case EventType::kIgnorable:
      return "Ignorable";
    case EventType::kRowsQuery:
      return "Rows_query";
    case EventType::kWriteRowsV2:
      return "Write_rows";
    case EventType::kUpdateRowsV2:
      return "Update_rows";
    case EventType::kDeleteRowsV2:
      return "Delete_rows";
    case EventType::kGtid:
      return "Gtid";
    case EventType::kAnonymousGtid:
      return "Anonymous_Gtid";
    case EventType::kPreviousGtids:
      return "Previous_gtids";
    case EventType::kTransactionContext:
      return "Transaction_context";
    case EventType::kViewChange:
      return "View_change";
    case EventType::kXaPrepare:
      return "XA_prepare";
    case EventType::kPartialUpdateRows:
      return "Update_rows_partial";
    case EventType::kTransactionPayload:
      return "Transaction_payload";
    case EventType::kHeartbeatV2:
      return "Heartbeat_v2";
    case EventType::kGtidTagged:
      return "Gtid_tagged";
    case EventType::kAnnotateRows:
      return "Annotate_rows";
    case EventType::kBinlogCheckpoint:
      return "Binlog_checkpoint";
    case EventType::kMariadbGtid:
      return "MariaDB Gtid";
    case EventType::kMariadbGtidList:
      return "Gtid_list";
    case EventType::kStartEncryption:
      return "Start_encryption";
    case EventType::kQueryCompressed:
      return "Query_compressed";
    case EventType::kWriteRowsCompressedV1:
      return "Write_rows_compressed_v1";
    case EventType::kUpdateRowsCompressedV1:
      return "Update_rows_compressed_v1";
    case EventType::kDeleteRowsCompressedV1:
      return "Delete_rows_compressed_v1";
    case EventType::kPartialRowData:
      return "Partial_row_data";
  }
  return {};
}

// Events at which the server's reading has no place of its own, or one that says nothing of what
// was sent: they move the place forward at most.
bool HasPlace(const Event& event) {
  return !event.artificial && event.type != EventType::kFormatDescription &&
         event.type != EventType::kStartEncryption && event.type != EventType::kHeartbeat &&
         event.type != EventType::kHeartbeatV2;
}

}  // namespace

std::string EventName(EventType type) {
  const std::string_view name = NameOf(type);
  return name.empty() ? fmt::format("type {}", static_cast<int>(type)) : std::string(name);
}

void EventReader::Reset(const std::optional<FilePosition>& from) {
  place_ = from.value_or(FilePosition{});
  format_ = {};
  known_format_ = false;
  has_checksum_ = false;
}

std::string EventReader::Where() const {
  return place_.file.empty() ? "at the start of the stream"
                             : fmt::format("at {}:{}", place_.file, place_.offset);
}

Error EventReader::Malformed(const Event& event, std::string_view what) const {
  return {
      Disposition::kFatal, "mysql_event_malformed",
      fmt::format("{} event {}: {}; compare with `SHOW BINLOG EVENTS` on the server: the log is "
                  "damaged, or was changed on its way to us",
                  EventName(event.type), Where(), what)};
}

Result<Event> EventReader::Read(std::string_view packet) {
  TW_ASSIGN_OR_RETURN(Event event, ReadHeader(packet));
  if (LoadLittle(packet.data() + 9, 4) != packet.size()) {
    return Malformed(event, "its size is not that of its packet");
  }
  TW_TRY(CheckSum(event, packet));
  if (event.type == EventType::kFormatDescription) {
    TW_TRY(TakeFormat(event));
  } else if (event.type == EventType::kRotate) {
    TW_TRY(TakeRotate(event));
    event.end = place_.offset;
    return event;
  } else if (!known_format_ && event.type != EventType::kHeartbeat &&
             event.type != EventType::kHeartbeatV2) {
    return Malformed(event, "it came before the event that describes the format");
  }
  TW_TRY(Advance(event, static_cast<uint32_t>(LoadLittle(packet.data() + 13, 4)), packet.size()));
  event.end = place_.offset;
  return event;
}

Result<Event> EventReader::ReadInner(std::string_view& rest) {
  TW_ASSIGN_OR_RETURN(Event event, ReadHeader(rest));
  const uint64_t size = LoadLittle(rest.data() + 9, 4);
  if (size < kHeaderSize || size > rest.size()) {
    return Malformed(event, "it does not fit into its transaction payload");
  }
  if (event.type == EventType::kFormatDescription || event.type == EventType::kRotate ||
      event.type == EventType::kTransactionPayload) {
    return Malformed(event, "it stands inside of a transaction payload");
  }
  event.body = rest.substr(kHeaderSize, size - kHeaderSize);
  event.end = place_.offset;
  rest.remove_prefix(size);
  return event;
}

Result<Event> EventReader::ReadHeader(std::string_view bytes) {
  Event event;
  if (bytes.size() < kHeaderSize) return Malformed(event, "it is shorter than a header");
  event.timestamp = static_cast<uint32_t>(LoadLittle(bytes.data(), 4));
  event.type = static_cast<EventType>(static_cast<uint8_t>(bytes[4]));
  event.server_id = static_cast<uint32_t>(LoadLittle(bytes.data() + 5, 4));
  event.flags = static_cast<uint16_t>(LoadLittle(bytes.data() + 17, 2));
  event.artificial = (event.flags & kArtificial) != 0;
  event.body = bytes.substr(kHeaderSize);
  if (NameOf(event.type).empty()) {
    if ((event.flags & kIgnorable) == 0) {
      return Error{Disposition::kFatal, "mysql_event_unknown",
                   fmt::format("event type {} {} is not known here and may not be skipped: this "
                               "server writes what this version of tailwater cannot read; upgrade "
                               "tailwater",
                               static_cast<int>(event.type), Where())};
    }
    event.known = false;
  }
  return event;
}

// PROTOCOLS B6. The server's value is declared before the dump, so a format that names CRC32 has
// checksums. What comes before the first format is tried.
Status EventReader::CheckSum(Event& event, std::string_view packet) {
  const bool is_format = event.type == EventType::kFormatDescription;
  bool required = known_format_ && has_checksum_;
  if (is_format) {
    // The algorithm and room for a checksum are always there; MySQL fills it even with NONE.
    if (event.body.size() < 1 + kChecksumSize) return Malformed(event, "it is too short");
    const uint8_t algorithm = static_cast<uint8_t>(packet[packet.size() - kChecksumSize - 1]);
    if (algorithm > 1 && algorithm != 255) {
      return Error{Disposition::kFatal, "mysql_format_unknown",
                   fmt::format("the log {} has checksums of kind {}, which is not known here: SET "
                               "GLOBAL binlog_checksum = CRC32",
                               Where(), algorithm)};
    }
    event.body.remove_suffix(kChecksumSize);
    required = algorithm == 1;
    if (!required) return {};
  } else if (known_format_ && !has_checksum_) {
    return {};
  } else if (event.body.size() < kChecksumSize) {
    if (required) return Malformed(event, "it has no room for its checksum");
    return {};
  }
  const std::string_view covered = packet.substr(0, packet.size() - kChecksumSize);
  const bool matches = Crc32(covered) == LoadLittle(packet.data() + covered.size(), kChecksumSize);
  if (!matches && required) {
    return Error{Disposition::kFatal, "mysql_checksum",
                 fmt::format("{} event {}: its checksum is wrong; nothing of it was used. Look for "
                             "damage with `mysqlbinlog --verify-binlog-checksum` on the server; if "
                             "there is none, it was damaged on its way to us",
                             EventName(event.type), Where())};
  }
  if (matches && !is_format) event.body.remove_suffix(kChecksumSize);
  return {};
}

Status EventReader::Advance(const Event& event, uint32_t end, size_t size) {
  if (!HasPlace(event)) {
    // Such events never say that the place went around 4 GiB.
    const uint64_t known = (place_.offset & ~uint64_t{0xFFFFFFFF}) | end;
    if (end != 0 && known > place_.offset) place_.offset = known;
    return {};
  }
  if (end == 0) {  // MariaDB 11.4 and later leave it out
    place_.offset += size;
    return {};
  }
  uint64_t known = (place_.offset & ~uint64_t{0xFFFFFFFF}) | end;
  if (known < place_.offset) {
    known += uint64_t{1} << 32;
    // Only an event that really crosses 4 GiB goes around; nothing is skipped there, as a ROTATE
    // follows that group.
    if (known != place_.offset + size)
      return Malformed(event, "it ends in front of where it begins");
  }
  place_.offset = known;
  return {};
}

Status EventReader::TakeFormat(const Event& event) {
  std::string_view rest = event.body, server, lengths;
  uint16_t version = 0;
  uint32_t created = 0;
  uint8_t header_size = 0, algorithm = 0;
  if (!TakeInt(rest, version) || !TakeBytes(rest, 50, server) || !TakeInt(rest, created) ||
      !TakeInt(rest, header_size) || rest.empty() || !TakeBytes(rest, rest.size() - 1, lengths) ||
      !TakeInt(rest, algorithm)) {
    return Malformed(event, "it is too short");
  }
  const auto length_of = [&](EventType type) {
    const size_t at = static_cast<size_t>(type) - 1;
    return at < lengths.size() ? static_cast<int>(static_cast<uint8_t>(lengths[at])) : -1;
  };
  const int map = length_of(EventType::kTableMap);
  if (version != 4 || header_size != kHeaderSize || length_of(EventType::kQuery) != 13 ||
      length_of(EventType::kRotate) != 8 || (map != 8 && map != 6)) {
    return Error{
        Disposition::kFatal, "mysql_format_unknown",
        fmt::format("the log {} has format version {} with layouts that are not known here: "
                    "MySQL 5.6.1, MariaDB 5.3 and later write what can be read",
                    Where(), version)};
  }
  format_.server_version = server.substr(0, server.find('\0'));
  format_.flavour = format_.server_version.find("MariaDB") != std::string::npos ? Flavour::kMariadb
                                                                                : Flavour::kMysql;
  format_.server_restarted = created != 0;
  format_.table_id_bytes = map == 6 ? 4 : 6;
  const int rows = length_of(EventType::kWriteRowsV2);
  format_.rows_have_extra = rows == 10;
  has_checksum_ = algorithm == 1;
  known_format_ = true;
  return {};
}

Status EventReader::TakeRotate(const Event& event) {
  std::string_view file = event.body;
  uint64_t offset = 0;
  if (!TakeInt(file, offset) || file.empty() || file.size() > kLongestFileName ||
      file.find('\0') != std::string_view::npos) {
    return Malformed(event, "it names no file");
  }
  place_.file = file;
  place_.offset = offset;
  return {};
}

}  // namespace tailwater::mysql
