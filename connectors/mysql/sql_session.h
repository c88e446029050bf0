// A plain session for look-ups beside the stream, opened when it is needed and again when it broke.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "mysql/connection.h"

namespace tailwater::mysql {

// Threads: one at a time.
class SqlSession {
 public:
  SqlSession(const MysqlConfig& config, std::string purpose)
      : config_(config), purpose_(std::move(purpose)) {}

  // For the next queries: the old session listens to the old interrupt.
  void Use(Interrupt interrupt) {
    interrupt_ = std::move(interrupt);
    connection_.reset();
  }

  Result<Connection*> Get();
  // A session that an idle time limit or a restart has ended is opened anew, once per call.
  Result<Rows> Query(const std::string& sql);
  void Close() { connection_.reset(); }
  const Interrupt& interrupt() const { return interrupt_; }

 private:
  const MysqlConfig& config_;
  const std::string purpose_;
  Interrupt interrupt_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace tailwater::mysql
