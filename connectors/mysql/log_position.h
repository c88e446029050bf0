// Where a source resumes in a binlog, in the form that the server's settings allow.
//
// As text, which is what the engine stores and shows:
//   MySQL with GTIDs   3e11fa47-…:1-5:9,…         the set of what was read
//   MariaDB            0-1-100,5-1-7              the last transaction of each domain
//   without GTIDs      mysql-bin.000003:4711      the end of the last group
// An XA transaction that was prepared and not decided yet is not "read": MySQL's set has a hole
// there. The other two forms name those behind a blank, MariaDB's with the one in front of it in
// its domain, which is what the server has to be asked for:
//   0-1-100 undecided 0-1-94>0-1-95,0-1-96>0-1-97       (">5-1-1": the first of its domain)
//   mysql-bin.000003:4711 undecided mysql-bin.000002:815
// Reading starts in front of the first of them, and of what lies before the position they alone are
// heeded.
//
// Printed on each commit: that costs one copy of the text for MySQL (gtid.h), O(domains) and O(1)
// for the others, and in addition O(undecided).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mysql/gtid.h"

namespace tailwater::mysql {

enum class Flavour : uint8_t { kMysql, kMariadb };

// A file of the log and a place in it. 64 bits: events above 4 GiB are real.
struct FilePosition {
  std::string file;
  uint64_t offset = 4;
  bool operator==(const FilePosition&) const = default;
  // Files of one server in the order of their numbers. Only for a server's own, unreset log.
  bool Before(const FilePosition& other) const;
  static std::optional<FilePosition> Parse(std::string_view text);
  // mysql-bin.000003:4711. Blanks, commas, '>' and '%' of the name as %20, …, as the name stands in
  // lists.
  std::string ToString() const;
  void AppendTo(std::string& out) const;
};

// One group (transaction) of the log: what its changes carry as their position. Without GTIDs the
// place where it begins.
using GroupId = std::variant<MysqlGtid, MariadbGtid, FilePosition>;
std::string ToString(const GroupId& group);
void AppendTo(const GroupId& group, std::string& out);

// Threads: a plain value.
class LogPosition {
 public:
  enum class Form : uint8_t { kMysqlGtid, kMariadbGtid, kFile };

  explicit LogPosition(MysqlGtidSet set) : place_(std::move(set)) {}
  explicit LogPosition(MariadbGtidState state) : place_(std::move(state)) {}
  explicit LogPosition(FilePosition file) : place_(std::move(file)) {}
  static std::optional<LogPosition> Parse(Form form, std::string_view text);

  Form form() const { return static_cast<Form>(place_.index()); }
  std::string ToString() const;
  void AppendTo(std::string& out) const;  // for a buffer that is used again

  // `group` has this position's form in all calls.
  //
  // The group was read whole and is decided. Not for one that Contains() names: the position would
  // go back. kFile: `end` is where it ends; the others do not look at it.
  void Pass(const GroupId& group, const FilePosition& end);
  // It was read, but is a prepared XA transaction whose outcome is not known yet. Once more for one
  // that is undecided already (read again after a restart): nothing.
  void PassUndecided(const GroupId& group, const FilePosition& end);
  // Its outcome was read: it is passed now.
  void Decide(const GroupId& group);

  // Whether the group lies within what was read, so that it must not be handed on again. An
  // undecided one does not. MariaDB: by sequence; a server whose gtid_strict_mode is off can send a
  // lower one that is new. It sends nothing of before ReadFrom(), so while nothing is undecided
  // what it sends is new, whatever this says.
  bool Contains(const GroupId& group) const;
  // Whether everything that `other` covers was read here, too. What is undecided here counts as
  // read: nobody can see its rows yet, and its outcome is a group of its own. Same form, of one
  // server or its replicas.
  bool Contains(const LogPosition& other) const;

  // Where reading has to start: in front of the first undecided group.
  LogPosition ReadFrom() const;
  // In the order of the log. MySQL: those that this object was told of; after a restart the server
  // sends them again, as the set does not have them.
  const std::vector<GroupId>& undecided() const { return undecided_; }

  const MysqlGtidSet& mysql() const { return std::get<MysqlGtidSet>(place_); }
  const MariadbGtidState& mariadb() const { return std::get<MariadbGtidState>(place_); }
  const FilePosition& file() const { return std::get<FilePosition>(place_); }

  // The same text and the same undecided groups.
  bool operator==(const LogPosition&) const = default;

 private:
  bool IsUndecided(const GroupId& group) const;

  std::variant<MysqlGtidSet, MariadbGtidState, FilePosition> place_;
  std::vector<GroupId> undecided_;
  // MariaDB: one per undecided group, what its domain's last group was then.
  std::vector<std::optional<MariadbGtid>> in_front_;
};

}  // namespace tailwater::mysql
