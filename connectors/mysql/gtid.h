// Global transaction identifiers as both servers write them, and the sets of them that say what was
// read already. Positions inside a log are never compared; sets are.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailwater::mysql {

// A server's UUID as its 16 bytes; prints as 3e11fa47-71ca-11e1-9e33-c80aa9429562.
struct Uuid {
  std::array<uint8_t, 16> bytes{};
  auto operator<=>(const Uuid&) const = default;
  static std::optional<Uuid> Parse(std::string_view text);  // any letter case
  std::string ToString() const;
};

// MySQL: uuid:number, or uuid:tag:number (8.3 and later).
struct MysqlGtid {
  Uuid uuid;
  std::string tag;
  int64_t number = 0;
  bool operator==(const MysqlGtid&) const = default;
  std::string ToString() const;
};

// A MySQL GTID set: intervals per (uuid, tag), never a maximum: numbers have holes, and holes are
// filled later. Adding the next number of an interval costs O(log n) and allocates nothing.
class MysqlGtidSet {
 public:
  // "uuid:1-5:9:tag:1-3,uuid2:…"; blanks and line ends anywhere. Nothing: malformed.
  static std::optional<MysqlGtidSet> Parse(std::string_view text);
  // PREVIOUS_GTIDS and COM_BINLOG_DUMP_GTID, both encodings (PROTOCOLS B8).
  static std::optional<MysqlGtidSet> Decode(std::string_view bytes);
  std::string Encode() const;  // tagged form only if a tag is in it

  void Add(const MysqlGtid& gtid);
  void Add(const MysqlGtidSet& other);
  void Remove(const MysqlGtidSet& other);
  bool Contains(const MysqlGtid& gtid) const;
  bool Contains(const MysqlGtidSet& other) const;
  bool empty() const { return sets_.empty(); }
  uint64_t count() const;
  std::string ToString() const;  // sorted; no blanks
  bool operator==(const MysqlGtidSet&) const = default;

 private:
  using Key = std::pair<Uuid, std::string>;
  std::map<Key, std::vector<std::pair<int64_t, int64_t>>> sets_;  // [first, last], ascending
};

// MariaDB: domain-server-sequence.
struct MariadbGtid {
  uint32_t domain = 0;
  uint32_t server = 0;
  uint64_t sequence = 0;
  bool operator==(const MariadbGtid&) const = default;
  static std::optional<MariadbGtid> Parse(std::string_view text);
  std::string ToString() const;
};

// The last transaction of each domain: what MariaDB calls a GTID position ("0-1-100,5-1-7").
class MariadbGtidState {
 public:
  static std::optional<MariadbGtidState> Parse(std::string_view text);
  void Set(const MariadbGtid& gtid) { last_[gtid.domain] = gtid; }
  // By sequence within the domain: a domain's sequences only grow (gtid_strict_mode).
  bool Contains(const MariadbGtid& gtid) const;
  bool Contains(const MariadbGtidState& other) const;
  const std::map<uint32_t, MariadbGtid>& domains() const { return last_; }
  bool empty() const { return last_.empty(); }
  std::string ToString() const;
  bool operator==(const MariadbGtidState&) const = default;

 private:
  std::map<uint32_t, MariadbGtid> last_;
};

}  // namespace tailwater::mysql
