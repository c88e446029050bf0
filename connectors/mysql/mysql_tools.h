// SourceTools of `type: mysql`: check, describe, watch, digest. Nothing on the server is ours.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mysql/connection.h"
#include "mysql/log_position.h"
#include "mysql/mysql_config.h"
#include "mysql/server_facts.h"
#include "tailwater/registry.h"
#include "tailwater/source.h"

namespace tailwater::mysql {

// Where a position lies in the files that the server has, in bytes. Exact for positions in files
// and for one that has all; of other GTID positions the file is known, and the place in it is as
// many bytes from its end as the share of its transactions that we lack.
struct LogPlace {
  bool lost = false;     // the oldest file begins behind it
  size_t file = 0;       // index into the files
  uint64_t before = 0;   // from the beginning of the oldest file
  uint64_t behind = 0;   // up to the end of the log
  uint64_t in_file = 0;  // of `before`: in its own file
};

// Remembers what the beginnings of files say: they never change. Threads: one.
class LogPlaces {
 public:
  Result<LogPlace> Find(Connection& sql, const std::vector<LogFile>& files,
                        const LogPosition& position, const LogPosition& end);

 private:
  Result<std::optional<LogPosition>> StartOf(Connection& sql, const std::string& file,
                                             LogPosition::Form form);
  std::map<std::string, LogPosition> starts_;
};

// Threads: one call at a time. Watch() keeps its session open between calls; a statement of it that
// takes longer than ten seconds is given up.
class MysqlTools final : public SourceTools {
 public:
  MysqlTools(MysqlConfig config, SourceContext context)
      : config_(std::move(config)), context_(std::move(context)) {}

  Result<std::vector<Finding>> Check() override;
  Result<std::vector<TableDescription>> DescribeTables() override;
  void Follow(const std::optional<Position>& frontier, int64_t commit_time_micros) override;
  Result<LogHealth> Watch() override;
  Result<Position> LogEnd() override;
  Result<bool> HasReached(const Position& frontier, const Position& target) override;
  Result<std::vector<OwnedObject>> ListOwned() override { return std::vector<OwnedObject>(); }
  Status Drop(const OwnedObject&) override { return {}; }
  Result<TableDigest> Digest(const std::string& table) override;

 private:
  // The session of the last call, opened anew if it broke.
  Result<Connection*> Session();
  Result<LogHealth> Look();
  Status Measure(Connection& sql, const ServerFacts& server, const std::vector<LogFile>& files,
                 const LogPosition& position, const LogPosition& end, LogHealth& health);
  // Bytes that the server has written, counted on from look to look: files come and go.
  uint64_t CountWritten(const std::vector<LogFile>& files);
  // When the server began to write it; nothing: it cannot be read.
  std::optional<int64_t> BeganAt(const std::string& file);

  const MysqlConfig config_;
  const SourceContext context_;
  std::unique_ptr<Connection> session_;
  std::optional<LogPosition> frontier_;
  int64_t frontier_micros_ = 0;
  LogPlaces places_;
  uint64_t written_ = 0;
  std::optional<LogFile> newest_;  // at the last look
  std::string oldest_;             // file whose time is known, and that time
  std::optional<int64_t> oldest_seconds_;
};

// The selected tables as the stream will describe them; see describe.cc.
Result<std::vector<TableDescription>> DescribeTables(const MysqlConfig& config,
                                                     const SourceContext& context);

// One table, as the stream will describe it; null: there is none.
Result<SchemaPtr> DescribeSchema(Connection& sql, const MysqlConfig& config,
                                 const TableName& table);

// The findings of `tailwater check`; see check.cc.
std::vector<Finding> CheckServer(const MysqlConfig& config, const SourceContext& context);

// See digest.cc.
Result<TableDigest> DigestTable(const MysqlConfig& config, const SourceContext& context,
                                const std::string& table);

}  // namespace tailwater::mysql
