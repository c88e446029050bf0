// Events of a binlog as a server would send them, made by hand: one packet each, without checksums.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mysql/binlog_event.h"
#include "mysql/gtid.h"
#include "mysql/log_position.h"

namespace tailwater::mysql {

template <class T>
std::string Little(T value, size_t size = sizeof(T)) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) {
    bytes += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i) & 255);
  }
  return bytes;
}

// A row of (id INT PRIMARY KEY, v INT NULL).
struct IntRow {
  int32_t id = 0;
  int32_t v = 0;
};

class GroupBytes {
 public:
  // `placed`: events say where they end; else they can be sent in any order.
  explicit GroupBytes(Flavour flavour, bool placed = false) : flavour_(flavour), placed_(placed) {}

  std::string Event(EventType type, const std::string& body, uint16_t flags = 0) {
    const size_t size = 19 + body.size();
    place_ += size;
    return Header(type, size, placed_ ? static_cast<uint32_t>(place_) : 0, flags) + body;
  }
  // Inside of a payload: no place.
  std::string Inner(std::string event) const { return event.replace(13, 4, 4, '\0'); }

  std::string Rotate(const std::string& file, uint64_t place = 4) {
    const std::string body = Little(place) + file;
    place_ = place;
    return Header(EventType::kRotate, 19 + body.size(), 0, 0x20, 0) + body;
  }
  // The description of the format, with a checksum of its own, that says that others have none.
  std::string Format(bool restarted = false, uint8_t checksum = 0) {
    std::string version = flavour_ == Flavour::kMysql ? "9.7.4" : "10.11.19-MariaDB-log";
    version.resize(50);
    std::string lengths(flavour_ == Flavour::kMysql ? 42 : 171, '\0');
    lengths[1] = 13;                               // QUERY
    lengths[3] = 8;                                // ROTATE
    lengths[18] = 8;                               // TABLE_MAP
    lengths[22] = lengths[23] = lengths[24] = 8;   // rows v1
    lengths[29] = lengths[30] = lengths[31] = 10;  // rows v2
    const std::string body = Little<uint16_t>(4) + version + Little<uint32_t>(restarted ? 7 : 0) +
                             '\x13' + lengths + static_cast<char>(checksum);
    const size_t size = 19 + body.size() + 4;
    place_ += size;
    const std::string event = Header(EventType::kFormatDescription, size,
                                     placed_ ? static_cast<uint32_t>(place_) : 0, 0) +
                              body;
    const auto crc =
        crc32(0, reinterpret_cast<const Bytef*>(event.data()), static_cast<uInt>(event.size()));
    return event + Little(static_cast<uint32_t>(crc));
  }

  std::string Gtid(int64_t number, bool anonymous = false) {
    std::string body("\0", 1);
    body += anonymous ? std::string(16, '\0') : std::string(16, '\x11');
    body += Little<int64_t>(anonymous ? 0 : number);
    body += '\2' + Little<int64_t>(number - 1) + Little<int64_t>(number);
    body += Little<uint64_t>(kCommitMicros, 7);
    body += '\x7f' + Little<uint32_t>(90704);
    return Event(anonymous ? EventType::kAnonymousGtid : EventType::kGtid, body);
  }
  // flags: 1 standalone, 8 ordinary, 0x20 DDL.
  std::string MariaGtid(uint64_t sequence, uint8_t flags = 0x0c, uint32_t domain = 0,
                        uint8_t alter = 0) {
    std::string body = Little(sequence) + Little(domain) + static_cast<char>(flags);
    if (alter != 0) {
      body += static_cast<char>(alter);
      if (alter != 2) body += Little<uint64_t>(sequence - 1);
    }
    body.resize(std::max<size_t>(body.size(), 19));
    return Event(EventType::kMariadbGtid, body);
  }
  std::string Query(const std::string& sql, const std::string& database = "shop",
                    const std::string& variables = "") {
    return Event(EventType::kQuery, Little<uint32_t>(5) + Little<uint32_t>(0) +
                                        static_cast<char>(database.size()) + Little<uint16_t>(0) +
                                        Little(static_cast<uint16_t>(variables.size())) +
                                        variables + database + '\0' + sql);
  }
  std::string Xid(uint64_t number = 7) { return Event(EventType::kXid, Little(number)); }
  std::string XaPrepare(const std::string& transaction, bool one_phase = false) {
    return Event(EventType::kXaPrepare, std::string(1, one_phase ? '\1' : '\0') +
                                            Little<uint32_t>(1) +
                                            Little(static_cast<uint32_t>(transaction.size())) +
                                            Little<uint32_t>(0) + transaction);
  }

  // (id INT PRIMARY KEY, v INT), with full metadata; `type` of v: 3 INT, or 99, which is none.
  std::string Map(uint64_t id, const std::string& table, const std::string& database = "shop",
                  uint8_t type = 3) {
    std::string body = Little(id, 6) + Little<uint16_t>(1);
    body += static_cast<char>(database.size()) + database + '\0';
    body += static_cast<char>(table.size()) + table + '\0';
    body += std::string("\2\3", 2) + static_cast<char>(type) + '\0' + '\2';
    body += std::string("\1\1\0", 3);       // both signed
    body += std::string("\4\5\2id\1v", 7);  // names
    body += std::string("\x08\1\0", 3);     // key
    return Event(EventType::kTableMap, body);
  }
  // As Map(), with (id INT, v INT, row_end TIMESTAMP(6)), whose key names the last, too.
  std::string VersionedMap(uint64_t id, const std::string& table) {
    std::string body = Little(id, 6) + Little<uint16_t>(1) + '\4' + "shop" + '\0';
    body += static_cast<char>(table.size()) + table + '\0';
    body += std::string("\3\3\3\x11\1\6\2", 7);
    body += std::string("\1\1\0", 3) + std::string("\4\x0d\2id\1v\7row_end", 15);
    body += std::string("\x08\2\0\2", 4);
    return Event(EventType::kTableMap, body);
  }

  std::string Insert(uint64_t id, const std::vector<IntRow>& rows, bool statement_end = true) {
    std::string body;
    for (const IntRow& row : rows) body += '\0' + Little(row.id) + Little(row.v);
    return Rows(EventType::kWriteRowsV1, EventType::kWriteRowsV2, id, "\3", body, statement_end);
  }
  std::string Delete(uint64_t id, const std::vector<IntRow>& rows) {
    std::string body;
    for (const IntRow& row : rows) body += '\0' + Little(row.id) + Little(row.v);
    return Rows(EventType::kDeleteRowsV1, EventType::kDeleteRowsV2, id, "\3", body);
  }
  std::string Update(uint64_t id, const std::vector<std::pair<IntRow, IntRow>>& rows) {
    std::string body;
    for (const auto& [before, after] : rows) {
      body += '\0' + Little(before.id) + Little(before.v);
      body += '\0' + Little(after.id) + Little(after.v);
    }
    return Rows(EventType::kUpdateRowsV1, EventType::kUpdateRowsV2, id, "\3\3", body);
  }
  // `images`: the bitmaps of columns; `rows`: with their null bitmaps.
  std::string Rows(EventType v1, EventType v2, uint64_t id, const std::string& images,
                   const std::string& rows, bool statement_end = true, char columns = 2) {
    const bool maria = flavour_ == Flavour::kMariadb;
    return Event(maria ? v1 : v2, Little(id, 6) + Little<uint16_t>(statement_end ? 1 : 0) +
                                      (maria ? "" : Little<uint16_t>(2)) + columns + images + rows);
  }

  // Not compressed, which is a form of its own.
  std::string Payload(const std::vector<std::string>& events) {
    std::string whole;
    for (const std::string& event : events) {
      whole += Inner(event);
      place_ -= event.size();
    }
    const auto field = [](char type, uint64_t value) {
      return std::string(1, type) + "\x09\xfe" + Little(value);
    };
    return Event(EventType::kTransactionPayload,
                 field(2, 255) + field(3, whole.size()) + field(1, whole.size()) + '\0' + whole);
  }
  std::string Fragment(uint32_t total, uint32_t number, const std::string& bytes) {
    return Event(EventType::kPartialRowData,
                 Little(total) + Little(number) + std::string(1, '\0') + bytes);
  }

  uint64_t place() const { return place_; }

  static constexpr int64_t kCommitMicros = 1'700'000'000'123'456;
  static constexpr uint32_t kSeconds = 1'700'000'000;

 private:
  std::string Header(EventType type, size_t size, uint32_t end, uint16_t flags,
                     uint32_t seconds = kSeconds) {
    return Little(seconds) + static_cast<char>(type) + Little<uint32_t>(1) +
           Little(static_cast<uint32_t>(size)) + Little(end) + Little(flags);
  }

  const Flavour flavour_;
  const bool placed_;
  uint64_t place_ = 4;
};

}  // namespace tailwater::mysql
