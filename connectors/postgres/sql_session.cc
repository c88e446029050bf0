#include "postgres/sql_session.h"

namespace tailwater::postgres {

void SqlSession::Use(Interrupt interrupt, std::function<void()> keep_alive) {
  interrupt_ = std::move(interrupt);
  keep_alive_ = std::move(keep_alive);
  connection_.reset();  // the old one listens to the old interrupt
}

Result<Connection*> SqlSession::Get() {
  if (connection_ != nullptr && connection_->broken() && !reopens_)
    return MakeLostError("the session of a copy ended");
  if (connection_ == nullptr || connection_->broken()) {
    connection_.reset();
    TW_ASSIGN_OR_RETURN(connection_,
                        Connection::Open(config_, Connection::Kind::kSql, purpose_, interrupt_));
  }
  return connection_.get();
}

Status SqlSession::CheckServerStays() {
  if (connection_ == nullptr) return {};
  std::optional<Error> end = connection_->PollEnd();
  if (!end) return {};
  connection_.reset();
  if (end->code == "pg_server_shutdown") return *std::move(end);
  return {};
}

Result<Rows> SqlSession::Query(const std::string& sql, const std::vector<std::string>& parameters,
                               const std::vector<int>& formats) {
  Connection::Wait wait;
  wait.timeout = {};  // a lock may be waited for; keep_alive keeps the stream up meanwhile
  wait.tick = std::chrono::seconds(1);
  wait.on_tick = [this] { KeepAlive(); };
  const bool fresh = connection_ == nullptr;
  TW_ASSIGN_OR_RETURN(Connection * connection, Get());
  Result<Rows> rows = connection->Query(sql, parameters, wait, formats);
  if (rows || fresh || !reopens_ || rows.error().disposition != Disposition::kRetry ||
      !connection->broken())
    return rows;
  TW_ASSIGN_OR_RETURN(connection, Get());
  return connection->Query(sql, parameters, wait, formats);
}

}  // namespace tailwater::postgres
