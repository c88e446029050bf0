// Where a source resumes in a binlog, in the form that the server's settings allow.
//
// As text, which is what the engine stores and shows:
//   MySQL with GTIDs   3e11fa47-…:1-5:9,…         the set of what was read
//   MariaDB            0-1-100,5-1-7              the last transaction of each domain
//   without GTIDs      mysql-bin.000003:4711      the end of the last group
// An XA transaction that was prepared and not decided yet is not "read": MySQL's set has a hole
// there; the other two forms name those behind a blank ("0-1-100 undecided 0-1-95,0-1-97"): reading
// starts in front of the first of them, and of what lies before the position they alone are heeded.
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
  std::string ToString() const;  // mysql-bin.000003:4711
};

// One group (transaction) of the log: what its changes carry as their position.
using GroupId = std::variant<MysqlGtid, MariadbGtid, FilePosition>;
std::string ToString(const GroupId& group);

class LogPosition {
 public:
  enum class Form : uint8_t { kMysqlGtid, kMariadbGtid, kFile };

  explicit LogPosition(MysqlGtidSet set) : place_(std::move(set)) {}
  explicit LogPosition(MariadbGtidState state) : place_(std::move(state)) {}
  explicit LogPosition(FilePosition file) : place_(std::move(file)) {}
  static std::optional<LogPosition> Parse(Form form, std::string_view text);

  Form form() const { return static_cast<Form>(place_.index()); }
  std::string ToString() const;

  // The group was read whole and is decided. kFile: `end` is where it ends.
  void Pass(const GroupId& group, const FilePosition& end);
  // It was read, but is a prepared XA transaction whose outcome is not known yet.
  void PassUndecided(const GroupId& group, const FilePosition& end);
  // Its outcome was read: it is passed now.
  void Decide(const GroupId& group);

  // Whether the group lies within what was read, so that it must not be handed on again. An
  // undecided one does not.
  bool Contains(const GroupId& group) const;
  // Whether everything that `other` covers is covered. Same form.
  bool Contains(const LogPosition& other) const;

  // Where reading has to start: in front of the first undecided group.
  LogPosition ReadFrom() const;
  const std::vector<GroupId>& undecided() const { return undecided_; }

  const MysqlGtidSet& mysql() const { return std::get<MysqlGtidSet>(place_); }
  const MariadbGtidState& mariadb() const { return std::get<MariadbGtidState>(place_); }
  const FilePosition& file() const { return std::get<FilePosition>(place_); }

 private:
  std::variant<MysqlGtidSet, MariadbGtidState, FilePosition> place_;
  std::vector<GroupId> undecided_;  // in the order of the log
};

}  // namespace tailwater::mysql
