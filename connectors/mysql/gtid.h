// Global transaction identifiers as both servers write them, and the sets of them that say what was
// read already. Positions inside a log are never compared; sets are.
//
// Threads: plain values; const calls from several at once are fine.
#pragma once

#include <array>
#include <compare>
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
  std::string tag;     // [a-z_][a-z0-9_]{0,31}; empty: none
  int64_t number = 0;  // from 1
  bool operator==(const MysqlGtid&) const = default;
  static std::optional<MysqlGtid> Parse(std::string_view text);
  std::string ToString() const;
  void AppendTo(std::string& out) const;
};

// A MySQL GTID set: intervals per (uuid, tag), never a maximum: numbers have holes, and holes are
// filled later.
//
// What it costs with n intervals, all of them together: adding the next number of the last
// interval, which is what a stream does, O(log n) and no allocation; a hole filled k intervals
// before the end, O(log n + k). Its text is kept as it changes, so that printing is one copy of the
// bytes. A set with 10,000 intervals prints in some ten microseconds, and copies in the same time.
class MysqlGtidSet {
 public:
  // "uuid:1-5:9:tag:1-3,uuid2:…" in any order; blanks and line ends anywhere but inside of numbers
  // and names. Nothing: malformed.
  static std::optional<MysqlGtidSet> Parse(std::string_view text);
  // PREVIOUS_GTIDS and COM_BINLOG_DUMP_GTID, both encodings (PROTOCOLS B8).
  static std::optional<MysqlGtidSet> Decode(std::string_view bytes);
  std::string Encode() const;  // tagged form only if a tag is in it

  void Add(const MysqlGtid& gtid);
  void Add(const MysqlGtidSet& other);
  void Remove(const MysqlGtidSet& other);
  bool Contains(const MysqlGtid& gtid) const;
  bool Contains(const MysqlGtidSet& other) const;  // O(n) of both
  bool empty() const { return sets_.empty(); }
  uint64_t count() const;
  size_t intervals() const;
  // As the server prints it, on one line: sorted by uuid and tag, the uuid once.
  std::string ToString() const;
  void AppendTo(std::string& out) const;
  bool operator==(const MysqlGtidSet&) const = default;

 private:
  struct Interval {
    int64_t first, last;  // both inside
    auto operator<=>(const Interval&) const = default;
  };
  struct Key {
    Uuid uuid;
    std::string tag;
    bool operator==(const Key&) const = default;
  };
  struct KeyLess {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      const auto order = a.uuid <=> b.uuid;
      return order != 0 ? order < 0 : std::string_view(a.tag) < std::string_view(b.tag);
    }
  };
  // The numbers of one (uuid, tag), ascending, with a hole between any two of them; never none.
  struct Numbers {
    std::vector<Interval> intervals;
    std::string text;  // ":1-5:9"
    bool operator==(const Numbers& other) const { return intervals == other.intervals; }

    void Add(int64_t number);
    void Add(std::vector<Interval> others);  // any order
    void Remove(const std::vector<Interval>& others);
    bool Contains(int64_t number) const;
    bool Contains(const std::vector<Interval>& others) const;
    void Print(size_t from, size_t printed);
  };
  using Sets = std::map<Key, Numbers, KeyLess>;
  void AddIntervals(const Uuid& uuid, std::string_view tag, std::vector<Interval> intervals);

  Sets sets_;
};

// MariaDB: domain-server-sequence.
struct MariadbGtid {
  uint32_t domain = 0;
  uint32_t server = 0;
  uint64_t sequence = 0;
  bool operator==(const MariadbGtid&) const = default;
  static std::optional<MariadbGtid> Parse(std::string_view text);
  std::string ToString() const;
  void AppendTo(std::string& out) const;
};

// The last transaction of each domain: what MariaDB calls a GTID position ("0-1-100,5-1-7").
// Printing costs O(domains).
class MariadbGtidState {
 public:
  // Blanks and line ends around each; a domain twice is malformed (that is @@gtid_binlog_state).
  static std::optional<MariadbGtidState> Parse(std::string_view text);
  void Set(const MariadbGtid& gtid) { last_[gtid.domain] = gtid; }
  void Forget(uint32_t domain) { last_.erase(domain); }
  const MariadbGtid* Find(uint32_t domain) const;
  // By sequence within the domain: a domain's sequences only grow (gtid_strict_mode).
  bool Contains(const MariadbGtid& gtid) const;
  bool Contains(const MariadbGtidState& other) const;
  const std::map<uint32_t, MariadbGtid>& domains() const { return last_; }
  bool empty() const { return last_.empty(); }
  std::string ToString() const;
  void AppendTo(std::string& out) const;
  bool operator==(const MariadbGtidState&) const = default;

 private:
  std::map<uint32_t, MariadbGtid> last_;
};

}  // namespace tailwater::mysql
