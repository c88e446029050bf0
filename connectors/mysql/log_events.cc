#include "mysql/log_events.h"

#include <bit>

#include "mysql/compressed.h"
#include "mysql/wire_bytes.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

constexpr uint64_t kHasOriginalTime = uint64_t{1} << 55;

Error Malformed(const Event& event, std::string_view what) {
  return {Disposition::kFatal, "mysql_event_malformed",
          fmt::format("{} event that ends at {}: {}; keep the binlog file and report it with the "
                      "server's version",
                      EventName(event.type), event.end, what)};
}

// The serialization that MySQL 8.3 brought (PROTOCOLS B8): as many bytes as the first one has
// trailing ones, plus one.
bool TakeVarint(std::string_view& rest, uint64_t& out) {
  if (rest.empty()) return false;
  const auto first = static_cast<uint8_t>(rest[0]);
  const int ones = std::countr_one(first);
  if (ones == 8) {
    if (rest.size() < 9) return false;
    out = LoadLittle<uint64_t>(rest.data() + 1);
    rest.remove_prefix(9);
    return true;
  }
  const auto size = static_cast<size_t>(ones) + 1;
  if (!TakeInt(rest, size, out)) return false;
  out >>= size;
  return true;
}

bool TakeSignedVarint(std::string_view& rest, int64_t& out) {
  uint64_t value = 0;
  if (!TakeVarint(rest, value)) return false;
  out = static_cast<int64_t>(value >> 1 ^ (~(value & 1) + 1));
  return true;
}

bool TakeUuid(std::string_view& rest, Uuid& uuid) {
  std::string_view bytes;
  if (!TakeBytes(rest, uuid.bytes.size(), bytes)) return false;
  std::memcpy(uuid.bytes.data(), bytes.data(), bytes.size());
  return true;
}

bool IsTag(std::string_view tag) {
  if (tag.size() > 32 || (!tag.empty() && tag[0] >= '0' && tag[0] <= '9')) return false;
  for (const char c : tag) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
  }
  return true;
}

constexpr int64_t kLargestNumber = INT64_MAX - 1;

}  // namespace

Result<GroupStart> ParseGtid(const Event& event) {
  std::string_view rest = event.body;
  uint8_t flags = 0;
  MysqlGtid gtid;
  if (!TakeInt(rest, flags) || !TakeUuid(rest, gtid.uuid) || !TakeInt(rest, gtid.number)) {
    return Malformed(event, "it ends inside of its GTID");
  }
  GroupStart start;
  if (event.type == EventType::kGtid) {
    if (gtid.number < 1 || gtid.number > kLargestNumber) {
      return Malformed(event, "its number is none");
    }
    start.mysql = std::move(gtid);
  }
  // 5.6 ends here; 5.7 adds the logical clock, 8.0 times and sizes. What comes behind is not ours.
  uint8_t typecode = 0;
  if (!TakeInt(rest, typecode) || typecode != 2) return start;
  std::string_view clock;
  if (!TakeBytes(rest, 16, clock)) return Malformed(event, "it ends inside of its logical clock");
  uint64_t time = 0;
  if (rest.empty()) return start;
  if (!TakeInt(rest, 7, time)) return Malformed(event, "it ends inside of its time");
  start.commit_time_micros = static_cast<int64_t>(time & ~kHasOriginalTime);
  if ((time & kHasOriginalTime) != 0 && !TakeInt(rest, 7, time)) {
    return Malformed(event, "it ends inside of its original time");
  }
  return start;
}

Result<GroupStart> ParseGtidTagged(const Event& event) {
  std::string_view rest = event.body;
  const size_t whole = rest.size();
  uint64_t version = 0, size = 0, last_needed = 0;
  if (!TakeVarint(rest, version) || !TakeVarint(rest, size) || !TakeVarint(rest, last_needed)) {
    return Malformed(event, "it ends inside of its head");
  }
  if (version != 1) return Malformed(event, "its serialization has a version not known here");
  const size_t head = whole - rest.size();
  if (size < head || size > whole) return Malformed(event, "its size is not that of its message");
  rest = rest.substr(0, size - head);

  enum Field : uint64_t {
    kFlags,
    kUuid,
    kNumber,
    kTag,
    kLastCommitted,
    kSequence,
    kImmediateTime,
    kOriginalTime,
    kLength,
    kImmediateVersion,
    kOriginalVersion,
    kTicket,
  };
  GroupStart start;
  MysqlGtid gtid;
  bool has_uuid = false;
  for (uint64_t field = 0; !rest.empty();) {
    bool ok = TakeVarint(rest, field);
    uint64_t value = 0;
    int64_t number = 0;
    switch (field) {
      case kUuid:
        has_uuid = true;
        for (uint8_t& byte : gtid.uuid.bytes) {
          ok = ok && TakeVarint(rest, value) && value <= 255;
          byte = static_cast<uint8_t>(value);
        }
        break;
      case kNumber:
        ok = ok && TakeSignedVarint(rest, gtid.number);
        break;
      case kTag: {
        std::string_view tag;
        ok = ok && TakeVarint(rest, value) && TakeBytes(rest, value, tag) && IsTag(tag);
        gtid.tag = ok ? tag : std::string_view();
        break;
      }
      case kLastCommitted:
      case kSequence:
        ok = ok && TakeSignedVarint(rest, number);
        break;
      case kImmediateTime:
        ok = ok && TakeVarint(rest, value) && value <= INT64_MAX;
        start.commit_time_micros = static_cast<int64_t>(value);
        break;
      case kFlags:
      case kOriginalTime:
      case kLength:
      case kImmediateVersion:
      case kOriginalVersion:
      case kTicket:
        ok = ok && TakeVarint(rest, value);
        break;
      default:  // of a later server: how long it is, is not told, so it and all behind it goes
        if (ok && field <= last_needed) {
          return Malformed(event, "it has a field not known here that may not be skipped");
        }
        rest = {};
    }
    if (!ok) return Malformed(event, fmt::format("its field {} is malformed", field));
  }
  if (!has_uuid || gtid.number < 1 || gtid.number > kLargestNumber) {
    return Malformed(event, "it has no GTID");
  }
  start.mysql = std::move(gtid);
  return start;
}

Result<GroupStart> ParseMariadbGtid(const Event& event) {
  constexpr uint8_t kStandalone = 1, kGroupCommit = 2, kDdl = 0x20, kXaPrepare = 0x40,
                    kXaComplete = 0x80;
  constexpr uint8_t kEngines = 1, kAlterPhases = 2 | 4 | 8;
  std::string_view rest = event.body;
  MariadbGtid gtid{.server = event.server_id};
  uint8_t flags = 0;
  if (!TakeInt(rest, gtid.sequence) || !TakeInt(rest, gtid.domain) || !TakeInt(rest, flags)) {
    return Malformed(event, "it ends inside of its GTID");
  }
  GroupStart start;
  start.mariadb = gtid;
  start.standalone = (flags & kStandalone) != 0;
  start.ddl = (flags & kDdl) != 0;
  uint64_t skipped = 0;
  std::string_view bytes;
  if ((flags & kGroupCommit) != 0 && !TakeInt(rest, 8, skipped)) {
    return Malformed(event, "it ends inside of its commit id");
  }
  if ((flags & (kXaPrepare | kXaComplete)) != 0) {
    uint32_t format = 0;
    uint8_t gtrid = 0, bqual = 0;
    if (!TakeInt(rest, format) || !TakeInt(rest, gtrid) || !TakeInt(rest, bqual) ||
        !TakeBytes(rest, size_t{gtrid} + bqual, bytes)) {
      return Malformed(event, "it ends inside of its XA identifier");
    }
  }
  uint8_t extra = 0;
  if (!TakeInt(rest, extra)) return start;  // before 10.8
  if ((extra & kEngines) != 0 && !TakeInt(rest, 1, skipped)) {
    return Malformed(event, "it ends inside of its extra flags");
  }
  start.alter_phase = extra & kAlterPhases;
  return start;
}

Result<QueryEvent> ParseQuery(const Event& event, std::string& storage) {
  std::string_view rest = event.body;
  uint32_t thread = 0, seconds = 0;
  uint8_t database_size = 0;
  uint16_t variables_size = 0;
  QueryEvent query;
  std::string_view variables, zero;
  if (!TakeInt(rest, thread) || !TakeInt(rest, seconds) || !TakeInt(rest, database_size) ||
      !TakeInt(rest, query.error) || !TakeInt(rest, variables_size) ||
      !TakeBytes(rest, variables_size, variables) ||
      !TakeBytes(rest, database_size, query.database) || !TakeBytes(rest, 1, zero) ||
      zero[0] != '\0') {
    return Malformed(event, "it ends in front of its statement");
  }
  // As far as they are known; their whole size is.
  for (bool known = true; known && !variables.empty();) {
    const auto code = static_cast<uint8_t>(variables[0]);
    variables.remove_prefix(1);
    std::string_view skipped;
    uint8_t size = 0;
    bool ok = true;
    switch (code) {
      case 1:  // sql_mode
        ok = TakeInt(variables, query.sql_mode);
        break;
      case 4:  // charsets: client, connection, server
        ok = TakeInt(variables, query.client_charset) && TakeBytes(variables, 4, skipped);
        break;
      case 0:  // flags
      case 3:  // auto_increment
      case 10:
        ok = TakeBytes(variables, 4, skipped);
        break;
      case 2:  // catalog, with a zero behind it
        ok = TakeInt(variables, size) && TakeBytes(variables, size + 1u, skipped);
        break;
      case 5:  // time zone
      case 6:  // catalog
        ok = TakeInt(variables, size) && TakeBytes(variables, size, skipped);
        break;
      case 7:
      case 8:
        ok = TakeBytes(variables, 2, skipped);
        break;
      default:  // those behind which nothing stands that is asked for
        known = false;
    }
    if (!ok) return Malformed(event, "it ends inside of its session variables");
  }
  query.sql = rest;
  if (event.type == EventType::kQueryCompressed) {
    size_t size = 0;
    TW_TRY(Inflate(rest, 0, storage, size));
    query.sql = std::string_view(storage).substr(0, size);
  }
  return query;
}

Result<XaPrepareEvent> ParseXaPrepare(const Event& event) {
  std::string_view rest = event.body, gtrid, bqual;
  uint8_t one_phase = 0;
  uint32_t format = 0, gtrid_size = 0, bqual_size = 0;
  if (!TakeInt(rest, one_phase) || !TakeInt(rest, format) || !TakeInt(rest, gtrid_size) ||
      !TakeInt(rest, bqual_size) || gtrid_size > 64 || bqual_size > 64 ||
      !TakeBytes(rest, gtrid_size, gtrid) || !TakeBytes(rest, bqual_size, bqual)) {
    return Malformed(event, "it ends inside of its XA identifier");
  }
  XaPrepareEvent prepare{.one_phase = one_phase != 0};
  for (const std::string_view part : {gtrid, bqual}) {
    static constexpr char kDigits[] = "0123456789abcdef";
    prepare.xid += "X'";
    for (const char c : part) {
      prepare.xid += kDigits[static_cast<uint8_t>(c) >> 4];
      prepare.xid += kDigits[c & 15];
    }
    prepare.xid += "',";
  }
  prepare.xid += std::to_string(format);
  return prepare;
}

Result<IncidentEvent> ParseIncident(const Event& event) {
  std::string_view rest = event.body, message;
  IncidentEvent incident;
  uint8_t size = 0;
  if (!TakeInt(rest, incident.code) || !TakeInt(rest, size) || !TakeBytes(rest, size, message)) {
    return Malformed(event, "it ends inside of its message");
  }
  incident.message = message;
  return incident;
}

Result<FilePosition> ParseHeartbeat(const Event& event) {
  FilePosition place{.offset = event.end};
  if (event.type == EventType::kHeartbeat) {
    place.file = event.body;
    return place;
  }
  std::string_view rest = event.body;
  for (uint8_t type = 0; TakeInt(rest, type) && type != 0;) {
    std::string_view value;
    if (!TakeLenencBytes(rest, value)) return Malformed(event, "it ends inside of a field");
    if (type == 1) place.file = value;
    if (type == 2 && !TakeLenenc(value, place.offset)) {
      return Malformed(event, "its position is none");
    }
  }
  return place;
}

Result<MysqlGtidSet> ParsePreviousGtids(const Event& event) {
  auto set = MysqlGtidSet::Decode(event.body);
  if (!set) return Malformed(event, "it holds no GTID set");
  return *std::move(set);
}

Result<MariadbGtidState> ParseGtidList(const Event& event) {
  std::string_view rest = event.body;
  uint32_t count = 0;
  if (!TakeInt(rest, count)) return Malformed(event, "it is too short");
  count &= 0x0FFFFFFF;  // the rest are flags
  MariadbGtidState state;
  for (uint32_t i = 0; i < count; ++i) {
    MariadbGtid gtid;
    if (!TakeInt(rest, gtid.domain) || !TakeInt(rest, gtid.server) ||
        !TakeInt(rest, gtid.sequence)) {
      return Malformed(event, "it ends inside of its list");
    }
    // One per server that ever wrote to the domain; the last one written stands behind the others.
    state.Set(gtid);
  }
  return state;
}

}  // namespace tailwater::mysql
