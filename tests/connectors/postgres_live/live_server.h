// A real Postgres for this process (tests/servers/postgres.py), and a database of its own per test.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "postgres/connection.h"
#include "support/text.h"

namespace tailwater::postgres {

class LiveServer {
 public:
  explicit LiveServer(const std::vector<std::string>& more = {}) {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
      throw std::runtime_error("no pipe");
    pid_ = fork();
    if (pid_ == 0) {
      dup2(in[0], 0);
      dup2(out[1], 1);
      std::vector<std::string> arguments = {"/usr/bin/python3", "tests/servers/postgres.py", "run"};
      arguments.insert(arguments.end(), more.begin(), more.end());
      std::vector<char*> raw;
      for (std::string& argument : arguments) raw.push_back(argument.data());
      raw.push_back(nullptr);
      execv(raw[0], raw.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_ = fdopen(in[1], "w");
    from_ = fdopen(out[0], "r");
    Read();
  }
  ~LiveServer() {
    fclose(to_);  // ends it
    fclose(from_);
    int status;
    waitpid(pid_, &status, 0);
  }
  LiveServer(const LiveServer&) = delete;
  LiveServer& operator=(const LiveServer&) = delete;

  // "restart", "stop", "start", "crash", "set name=value".
  void Command(const std::string& command) {
    fprintf(to_, "%s\n", command.c_str());
    fflush(to_);
    Read();
  }
  int port() const { return state_.at("port"); }
  int version() const { return state_.at("version"); }
  std::string socket_dir() const { return state_.at("socket_dir"); }

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
  void Read() {
    char line[4096];
    if (fgets(line, sizeof line, from_) == nullptr)
      throw std::runtime_error("tests/servers/postgres.py ended; run it by hand to see why");
    state_ = nlohmann::json::parse(line);
  }

  pid_t pid_ = 0;
  FILE* to_ = nullptr;
  FILE* from_ = nullptr;
  nlohmann::json state_;
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
