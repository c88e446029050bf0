#include "postgres/sink/target_session.h"

#include "support/text.h"

namespace tailwater::postgres {
namespace {

// A process that is frozen in mid-transaction must not hold the target's rows for ever.
constexpr std::chrono::milliseconds kIdleLimit = std::chrono::minutes(1);

}  // namespace

Status TargetSession::Connect() {
  Close();
  TW_ASSIGN_OR_RETURN(connection_, Connection::Open(config_.server, Connection::Kind::kTarget,
                                                    purpose_, Interrupt{}));
  ++number_;
  TW_ASSIGN_OR_RETURN(
      const Rows state,
      Run("SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"));
  if (state.Bool(0, 0) || state.Bool(0, 1)) {
    const bool standby = state.Bool(0, 0);
    connection_.reset();  // the next look may meet another server
    return Error{Disposition::kNeedsOperator, "pg_read_only",
                 fmt::format("{}:{}/{} takes no writes: {}", config_.server.host,
                             config_.server.port, config_.server.database,
                             standby ? "it is a standby; give the primary's address"
                                     : fmt::format("run ALTER ROLE {} SET "
                                                   "default_transaction_read_only = off",
                                                   config_.server.user))};
  }
  TW_TRY(Pin());
  if (config_.fire_triggers) return {};
  if (auto set = Run("SET session_replication_role = replica"); !set) {
    Error error = std::move(set).error();
    if (error.code == "pg_privilege_missing") {
      error.message += fmt::format(
          ": `fire_triggers: false` needs GRANT SET ON PARAMETER session_replication_role TO {} "
          "(Postgres 15 and later), or a superuser",
          config_.server.user);
    }
    connection_.reset();
    return error;
  }
  return {};
}

// Beside what Connection pins: what a role or a database may have been given otherwise, and would
// change how values are read or how long a transaction lives.
Status TargetSession::Pin() {
  TW_TRY(
      Run(fmt::format("SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}; "
                      "SET client_min_messages = warning; SET array_nulls = on; "
                      "SET xmloption = content; SET default_transaction_isolation = "
                      "'read committed'{}",
                      config_.lock_timeout.count(), kIdleLimit.count(),
                      connection_->major_version() >= 17 ? "; SET transaction_timeout = 0" : "")));
  // What is committed is acknowledged: of dead letters that were replayed no other copy is left.
  TW_TRY(
      Run("SELECT set_config('synchronous_commit', 'on', false) "
          "WHERE current_setting('synchronous_commit') = 'off'"));
  return {};
}

void TargetSession::Close() {
  connection_.reset();
  in_transaction_ = false;
}

Result<Rows> TargetSession::Run(const std::string& sql, const std::vector<std::string>& parameters,
                                std::chrono::milliseconds limit) {
  if (!connected()) {
    return Error{Disposition::kRetry, "pg_connection_lost", "the session ended: connecting again"};
  }
  Connection::Wait wait;
  wait.moment = Moment::kWrite;
  wait.timeout = limit;
  return connection_->Query(sql, parameters, wait);
}

Result<Rows> TargetSession::Run(const std::string& sql,
                                const std::vector<std::string>& parameters) {
  return Run(sql, parameters, config_.write_timeout);
}

Result<Rows> TargetSession::RunLong(const std::string& sql) {
  return Run(sql, {}, std::chrono::milliseconds(0));
}

Result<int64_t> TargetSession::Count(const std::string& sql,
                                     const std::vector<std::string>& parameters) {
  TW_ASSIGN_OR_RETURN(const Rows rows, Run(sql, parameters));
  return rows.affected();
}

Result<int64_t> TargetSession::CopyIn(const std::string& sql, std::string_view data) {
  if (!connected()) {
    return Error{Disposition::kRetry, "pg_connection_lost", "the session ended: connecting again"};
  }
  Connection::Wait wait;
  wait.moment = Moment::kWrite;
  wait.timeout = config_.write_timeout;
  return connection_->CopyIn(sql, data, wait);
}

Result<Rows> TargetSession::Begin(const std::string& sql) {
  in_transaction_ = true;
  auto rows = Run("BEGIN; " + sql);
  if (!rows) Rollback();
  return rows;
}

Status TargetSession::Commit() {
  auto done = Run("COMMIT");
  if (!done) {
    // Whether it was done, only the offsets can say.
    Close();
    return std::move(done).error();
  }
  in_transaction_ = false;
  if (done->command() == "COMMIT") return {};
  // A transaction that failed is rolled back by its COMMIT, which the server calls a success.
  return Error{Disposition::kRetry, "pg_conflict",
               "the server rolled the transaction back instead of committing it; the batch comes "
               "again"};
}

void TargetSession::Rollback() {
  if (!in_transaction_) return;
  in_transaction_ = false;
  if (connected() && Run("ROLLBACK")) return;
  Close();
}

Status TargetSession::Release(bool keep) {
  TW_TRY(Run(keep ? "RELEASE SAVEPOINT tailwater"
                  : "ROLLBACK TO SAVEPOINT tailwater; RELEASE SAVEPOINT tailwater"));
  return {};
}

}  // namespace tailwater::postgres
