// What must be true of the server before a stream can start, and whether it still has what follows
// our position. Nothing is created on it.
#pragma once

#include <string>
#include <vector>

#include "mysql/connection.h"
#include "mysql/log_position.h"
#include "mysql/mysql_config.h"
#include "mysql/server_facts.h"
#include "tailwater/position.h"
#include "tailwater/registry.h"

namespace tailwater::mysql {

// As what a reader of the log shows itself to the server. Two readers with one id end each other.
struct ReaderId {
  uint32_t server_id = 0;
  std::string uuid;  // MySQL: the one that counts
};
ReaderId ReaderIdFor(const MysqlConfig& config, const std::string& pipeline,
                     const std::string& source);

// The form that an identity was made with; nothing: it is not one of ours.
std::optional<LogPosition::Form> FormOf(const SourceIdentity& identity);
// The position that the engine stored, in whatever form.
std::optional<LogPosition> ParsePosition(std::string_view text);

// Used by one Run(); owns nothing.
class Setup {
 public:
  Setup(const MysqlConfig& config, const SourceContext& context, Connection& sql,
        Interrupt interrupt)
      : config_(config), context_(context), sql_(sql), interrupt_(std::move(interrupt)) {}

  // Reads the server; kNeedsOperator where its settings forbid to read its log.
  Status Look();

  // What a checkpoint must remember to know the same log again.
  SourceIdentity Identity() const;

  // Refuses, before anything was stored: missing tables, databases that are not logged.
  Status CheckFirstStart();
  // A first start that was cut short goes on with the same server only.
  Status CheckSameServer(const SourceIdentity& identity);
  // Where a first start begins: now.
  Result<LogPosition> Start();

  // Whether the server still has what follows `frontier`, and has all that came before it; kGap
  // with a named code. The position, in the identity's form.
  Result<LogPosition> CheckResume(const SourceIdentity& identity, const std::string& frontier);

  const ServerFacts& server() const { return server_; }
  // XA transactions that were prepared before the place where the first start began: their rows are
  // not in what is read, but in what is copied.
  const std::vector<std::string>& prepared_before() const { return prepared_; }

 private:
  Status ReadPrepared();
  Status CheckMysqlSets(const SourceIdentity& identity, const LogPosition& position);
  Status CheckMariadbDomains(const SourceIdentity& identity, const LogPosition& position);
  Status CheckFile(const SourceIdentity& identity, const LogPosition& position);
  Status CheckLogContinues(const SourceIdentity& identity, const LogPosition& position);
  // Whether it may still get what it lacks.
  Result<MysqlGtidSet> WaitForExecuted(const MysqlGtidSet& wanted);
  bool SameServer(const SourceIdentity& identity) const;
  Error Behind(const SourceIdentity& identity, const std::string& lacks, bool nothing_in_common,
               const LogPosition& position);

  const MysqlConfig& config_;
  const SourceContext& context_;
  Connection& sql_;
  const Interrupt interrupt_;
  ServerFacts server_;
  LogStatus log_;
  std::string identity_;          // ReadServerIdentity()
  std::optional<int64_t> began_;  // the file that is written
  std::vector<std::string> prepared_;
};

}  // namespace tailwater::mysql
