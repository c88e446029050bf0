// A real Postgres for this process (tests/servers/postgres.py), and a database of its own per test.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "postgres/connection.h"
#include "support/server_process.h"
#include "support/text.h"

namespace tailwater::postgres {

class LiveServer {
 public:
  explicit LiveServer(const std::vector<std::string>& more = {})
      : process_("tests/servers/postgres.py", more) {}

  // "restart", "stop", "start", "crash", "set name=value".
  void Command(const std::string& command) { process_.Command(command); }
  int port() const { return process_.state().at("port"); }
  int version() const { return process_.state().at("version"); }
  std::string socket_dir() const { return process_.state().at("socket_dir"); }

  PostgresConfig Config(const std::string& database) const {
    PostgresConfig config;
    config.host = "127.0.0.1";
    config.port = static_cast<uint32_t>(port());
    config.database = database;
    config.user = "postgres";
    return config;
  }

  // One for all tests of this process.
  static LiveServer& Shared() {
    static LiveServer server({"--set", "wal_sender_timeout=60s"});
    return server;
  }

 private:
  ServerProcess process_;
};

// A session for the test's own statements; throws on errors.
class Sql {
 public:
  explicit Sql(const PostgresConfig& config) {
    auto opened = Connection::Open(config, Connection::Kind::kSql, "test", {});
    if (!opened) throw std::runtime_error(opened.error().message);
    connection_ = *std::move(opened);
    Run("set search_path = public");
  }
  Rows Run(const std::string& sql) {
    auto rows = connection_->Query(sql);
    if (!rows) throw std::runtime_error(sql + ": " + rows.error().message);
    return *std::move(rows);
  }
  std::string Value(const std::string& sql) { return Run(sql).String(0, 0); }
  Connection& connection() { return *connection_; }

 private:
  std::unique_ptr<Connection> connection_;
};

}  // namespace tailwater::postgres
