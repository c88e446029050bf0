#include "mysql/mysql_tools.h"

#include <algorithm>

#include "mysql/gap.h"
#include "mysql/log_began.h"
#include "mysql/setup.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

using Form = LogPosition::Form;

constexpr int64_t kMegabyte = 1024 * 1024;
constexpr uint64_t kWorthExplaining = 16 * kMegabyte;

// How many transactions `to` has that `from` lacks.
uint64_t Transactions(const LogPosition& from, const LogPosition& to) {
  if (to.form() == Form::kMysqlGtid) {
    MysqlGtidSet lacking = to.mysql();
    lacking.Remove(from.mysql());
    return lacking.count();
  }
  uint64_t count = 0;
  for (const auto& [domain, last] : to.mariadb().domains()) {
    const auto found = from.mariadb().domains().find(domain);
    const uint64_t has = found == from.mariadb().domains().end() ? 0 : found->second.sequence;
    if (last.sequence > has) count += last.sequence - has;
  }
  return count;
}

}  // namespace

Result<std::optional<LogPosition>> LogPlaces::StartOf(Connection& sql, const std::string& file,
                                                      Form form) {
  if (const auto found = starts_.find(file); found != starts_.end())
    return std::optional<LogPosition>(found->second);
  TW_ASSIGN_OR_RETURN(const std::optional<LogPosition> start, ReadStartOf(sql, file, form));
  if (start) starts_.insert_or_assign(file, *start);
  return start;
}

Result<LogPlace> LogPlaces::Find(Connection& sql, const std::vector<LogFile>& files,
                                 const LogPosition& position, const LogPosition& end) {
  LogPlace place;
  if (files.empty()) return place;
  // What is gone is no longer asked for; after a reset the names begin anew.
  std::erase_if(starts_, [&](const auto& entry) {
    return std::none_of(files.begin(), files.end(),
                        [&](const LogFile& file) { return file.name == entry.first; });
  });
  const LogPosition from = position.ReadFrom();
  const Form form = from.form();
  if (form == Form::kFile) {
    const auto found = std::find_if(files.begin(), files.end(), [&](const LogFile& file) {
      return file.name == from.file().file;
    });
    if (found == files.end()) {
      place.lost = true;
      return place;
    }
    place.file = static_cast<size_t>(found - files.begin());
    place.in_file = std::min(from.file().offset, found->size);
  } else if (from.Contains(end)) {
    place.file = files.size() - 1;
    place.in_file = files.back().size;
  } else {
    // The last file whose beginning we have: beginnings only grow.
    size_t low = 0, high = files.size();  // low..high-1 may be it
    std::optional<LogPosition> start, next;
    TW_ASSIGN_OR_RETURN(start, StartOf(sql, files[0].name, form));
    if (start && !from.Contains(*start)) {
      place.lost = true;
      return place;
    }
    while (high - low > 1) {
      // Most often it is the newest one.
      const size_t middle = high == files.size() ? high - 1 : low + (high - low) / 2;
      TW_ASSIGN_OR_RETURN(const auto begins, StartOf(sql, files[middle].name, form));
      if (begins && from.Contains(*begins)) {
        low = middle;
        start = begins;
      } else {
        high = middle;
        next = begins;
      }
    }
    place.file = low;
    const LogPosition& until = next ? *next : end;
    const uint64_t lacking = Transactions(from, until);
    const uint64_t all = start ? std::max(Transactions(*start, until), lacking) : lacking;
    const double share = all == 0 ? 0 : static_cast<double>(lacking) / static_cast<double>(all);
    const uint64_t size = files[low].size;
    place.in_file = size - std::min(size, static_cast<uint64_t>(static_cast<double>(size) * share));
  }
  for (size_t i = 0; i < files.size(); ++i) {
    if (i < place.file) {
      place.before += files[i].size;
    } else {
      place.behind += files[i].size;
    }
  }
  place.before += place.in_file;
  place.behind -= place.in_file;
  return place;
}

Result<Connection*> MysqlTools::Session() {
  if (session_ == nullptr || session_->broken()) {
    session_.reset();
    TW_ASSIGN_OR_RETURN(
        session_,
        Connection::Open(config_,
                         fmt::format("tailwater {}/{} ops", context_.pipeline, context_.name), {}));
  }
  return session_.get();
}

Result<std::vector<Finding>> MysqlTools::Check() { return CheckServer(config_, context_); }

Result<std::vector<TableDescription>> MysqlTools::DescribeTables() {
  return mysql::DescribeTables(config_, context_);
}

Result<TableDigest> MysqlTools::Digest(const std::string& table) {
  return DigestTable(config_, context_, table);
}

void MysqlTools::Follow(const std::optional<Position>& frontier, int64_t commit_time_micros) {
  frontier_ = frontier ? ParsePosition(frontier->text) : std::nullopt;
  frontier_micros_ = commit_time_micros;
}

Result<LogHealth> MysqlTools::Watch() {
  const bool kept = session_ != nullptr;
  Result<LogHealth> health = Look();
  // The old session may have died unnoticed.
  if (!health && kept && session_ != nullptr && session_->broken()) health = Look();
  if (!health) session_.reset();
  return health;
}

Result<LogHealth> MysqlTools::Look() {
  TW_ASSIGN_OR_RETURN(Connection * sql, Session());
  TW_ASSIGN_OR_RETURN(const ServerFacts server, ReadServer(*sql, config_));
  TW_ASSIGN_OR_RETURN(const std::vector<LogFile> files, ReadLogFiles(*sql));
  const Form form = frontier_ ? frontier_->form() : server.form();
  TW_ASSIGN_OR_RETURN(const LogPosition end, ReadLogEnd(*sql, form));
  LogHealth health;
  health.server_end = Position{end.ToString()};
  health.server_end_bytes = CountWritten(files);
  TW_ASSIGN_OR_RETURN(
      const Rows readers,
      sql->Query("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = "
                 "SUBSTRING_INDEX(USER(), '@', 1) AND COMMAND LIKE 'Binlog Dump%'"));
  health.active = readers.MaybeNumber(0, 0).value_or(0) > 0;
  if (!frontier_) return health;
  TW_TRY(Measure(*sql, server, files, *frontier_, end, health));
  return health;
}

Status MysqlTools::Measure(Connection& sql, const ServerFacts& server,
                           const std::vector<LogFile>& files, const LogPosition& position,
                           const LogPosition& end, LogHealth& health) {
  TW_ASSIGN_OR_RETURN(const LogPlace place, places_.Find(sql, files, position, end));
  if (place.lost || files.empty()) {
    health.state = "lost";
    health.headroom_bytes = 0;
    health.explanation = fmt::format(
        "the server has purged log behind our position (its oldest file is {}): set `on_gap: "
        "resnapshot`, or take a new start: tailwater destroy, then run",
        files.empty() ? std::string("none") : files.front().name);
    return {};
  }
  health.state = "reserved";
  health.confirmed_lag_bytes = place.behind;
  health.confirmed_bytes =
      *health.server_end_bytes - std::min(*health.server_end_bytes, place.behind);
  health.headroom_bytes = place.before;
  if (server.max_log_bytes) {
    const uint64_t needed = place.in_file + place.behind;
    health.safe_bytes = *server.max_log_bytes - std::min(*server.max_log_bytes, needed);
  }
  if (frontier_micros_ > 0) {
    if (const std::optional<int64_t> began = BeganAt(files.front().name)) {
      health.headroom_seconds =
          std::max(0.0, static_cast<double>(frontier_micros_) / 1e6 - static_cast<double>(*began));
    }
    // The newest file never goes; another one by its last change, which came after our position.
    if (server.expire_seconds && place.file + 1 < files.size()) {
      TW_ASSIGN_OR_RETURN(const Rows clock, sql.Query("SELECT UNIX_TIMESTAMP()"));
      const double age = static_cast<double>(clock.MaybeNumber(0, 0).value_or(0)) -
                         static_cast<double>(frontier_micros_) / 1e6;
      health.safe_seconds =
          std::max(0.0, static_cast<double>(*server.expire_seconds) - std::max(0.0, age));
      if (*health.safe_seconds == 0) {
        health.state = "unreserved";
        health.explanation =
            "what we have to read is older than binlog_expire_logs_seconds: the server removes it "
            "when it begins its next file; let it keep its log for longer: " +
            SettingRemedy(server, "binlog_expire_logs_seconds",
                          std::to_string(*server.expire_seconds * 2));
      }
    }
  }
  if (health.explanation.empty() && place.behind > kWorthExplaining) {
    health.explanation =
        health.active.value_or(false)
            ? fmt::format("{} MB are not yet durable: still being read, or waiting for the topic",
                          place.behind / kMegabyte)
            : "nobody reads the log: is the pipeline running?";
  }
  return {};
}

uint64_t MysqlTools::CountWritten(const std::vector<LogFile>& files) {
  bool counted = false;
  if (newest_) {
    for (const LogFile& file : files) {
      if (counted) {
        written_ += file.size;
      } else if (file.name == newest_->name) {
        counted = true;
        if (file.size > newest_->size) written_ += file.size - newest_->size;
      }
    }
  }
  if (!counted) {
    written_ = 0;
    for (const LogFile& file : files) written_ += file.size;
  }
  if (!files.empty()) newest_ = files.back();
  return written_;
}

std::optional<int64_t> MysqlTools::BeganAt(const std::string& file) {
  if (file == oldest_) return oldest_seconds_;
  oldest_ = file;
  oldest_seconds_.reset();
  const auto began = ReadBegan(config_, context_, "watch", "", file, {});
  if (began) oldest_seconds_ = *began;
  return oldest_seconds_;
}

Result<Position> MysqlTools::LogEnd() {
  TW_ASSIGN_OR_RETURN(Connection * sql, Session());
  TW_ASSIGN_OR_RETURN(const ServerFacts server, ReadServer(*sql, config_));
  TW_ASSIGN_OR_RETURN(const LogPosition end,
                      ReadLogEnd(*sql, frontier_ ? frontier_->form() : server.form()));
  return Position{end.ToString()};
}

Result<bool> MysqlTools::HasReached(const Position& frontier, const Position& target) {
  const std::optional<LogPosition> goal = ParsePosition(target.text);
  if (!goal) {
    return Error{Disposition::kFatal, "mysql_checkpoint_malformed",
                 fmt::format("'{}' is no position of a MySQL or MariaDB server: is the state of "
                             "another kind of source?",
                             Shorten(target.text))};
  }
  if (target.text.empty()) return true;
  if (frontier.text.empty()) return false;
  const std::optional<LogPosition> at = LogPosition::Parse(goal->form(), frontier.text);
  if (!at) {
    return Error{Disposition::kNeedsOperator, "mysql_gtid_mode",
                 fmt::format("the source stands at {}, which does not compare with the server's "
                             "{}: gtid_mode was changed; a new start (tailwater destroy, then run) "
                             "reads by GTIDs",
                             Shorten(frontier.text), Shorten(target.text))};
  }
  return at->Contains(*goal);
}

}  // namespace tailwater::mysql
