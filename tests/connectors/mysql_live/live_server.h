// Real MySQL and MariaDB servers for this process (tests/servers/mysql.py). A test that holds for
// both:
//
//   class StreamTest : public ::testing::TestWithParam<Flavour> {
//     LiveServer& server_ = LiveServer::Shared(GetParam());
//   };
//   INSTANTIATE_TEST_SUITE_P(Live, StreamTest, BothFlavours(), FlavourName);
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "mysql/connection.h"
#include "mysql/log_position.h"
#include "mysql/mysql_config.h"
#include "support/server_process.h"

namespace tailwater::mysql {

inline auto BothFlavours() { return ::testing::Values(Flavour::kMariadb, Flavour::kMysql); }
inline std::string FlavourName(const ::testing::TestParamInfo<Flavour>& info) {
  return info.param == Flavour::kMariadb ? "Mariadb" : "Mysql";
}

class LiveServer {
 public:
  // `more`: "--tls", "--set", "name=value", "--unset", "name", …
  explicit LiveServer(Flavour flavour, const std::vector<std::string>& more = {})
      : flavour_(flavour), process_("tests/servers/mysql.py", Arguments(flavour, more)) {}

  // "restart", "stop", "start", "crash", "set name=value", "unset name".
  void Command(const std::string& command) { process_.Command(command); }
  Flavour flavour() const { return flavour_; }
  bool is_mariadb() const { return flavour_ == Flavour::kMariadb; }
  int port() const { return process_.state().at("port"); }
  std::string socket() const { return process_.state().at("socket"); }
  std::string data() const { return process_.state().at("data"); }
  // With --tls: the files of the CA that signed the server's certificate.
  std::string ca() const { return process_.state().at("ca"); }
  std::string ca_key() const { return process_.state().at("ca_key"); }

  // root without a password.
  MysqlConfig Config(const std::string& database = "") const {
    MysqlConfig config;
    config.host = "127.0.0.1";
    config.port = static_cast<uint32_t>(port());
    config.database = database;
    config.user = "root";
    return config;
  }

  // One of each for all tests of this process.
  static LiveServer& Shared(Flavour flavour) {
    if (flavour == Flavour::kMariadb) {
      static LiveServer server(Flavour::kMariadb);
      return server;
    }
    static LiveServer server(Flavour::kMysql);
    return server;
  }

 private:
  static std::vector<std::string> Arguments(Flavour flavour, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--flavour",
                                    flavour == Flavour::kMariadb ? "mariadb" : "mysql"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  const Flavour flavour_;
  ServerProcess process_;
};

// A session for the test's own statements; throws on errors.
class Sql {
 public:
  explicit Sql(const MysqlConfig& config) {
    auto opened = Connection::Open(config, "test", {});
    if (!opened) throw std::runtime_error(opened.error().message);
    connection_ = *std::move(opened);
    if (!config.database.empty()) Run("use " + Connection::QuoteName(config.database));
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

}  // namespace tailwater::mysql
