// A plain session for look-ups beside the stream, opened when it is needed and again when it broke.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "postgres/connection.h"

namespace tailwater::postgres {

// Threads: one at a time.
class SqlSession {
 public:
  SqlSession(const PostgresConfig& config, std::string purpose)
      : config_(config), purpose_(std::move(purpose)) {}

  // For the next queries. `keep_alive` is called every second while one takes long.
  void Use(Interrupt interrupt, std::function<void()> keep_alive);

  Result<Connection*> Get();
  // A session that an idle time limit or a restart has ended is opened anew, once per call.
  // `formats` as in Connection::Query().
  Result<Rows> Query(const std::string& sql, const std::vector<std::string>& parameters = {},
                     const std::vector<int>& formats = {});
  // From here on a session that broke stays so (kRetry "pg_connection_lost"): what its transaction
  // would have read must not come from another one.
  void NeverReopen() { reopens_ = false; }
  // A server that shuts down ends plain sessions first, and waits for its log's readers: the error
  // then. Other ends of an idle session mean nothing; the next query opens a new one.
  Status CheckServerStays();
  int socket() const { return connection_ == nullptr ? -1 : connection_->socket(); }
  void Close() { connection_.reset(); }
  void KeepAlive() const {
    if (keep_alive_) keep_alive_();
  }
  const Interrupt& interrupt() const { return interrupt_; }

 private:
  const PostgresConfig& config_;
  const std::string purpose_;
  Interrupt interrupt_;
  std::function<void()> keep_alive_;
  std::unique_ptr<Connection> connection_;
  bool reopens_ = true;
};

}  // namespace tailwater::postgres
