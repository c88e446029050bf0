// Real ClickHouse servers for this process (tests/servers/clickhouse.py, which says what of them is
// real), and what tests ask them.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clickhouse/clickhouse_sink.h"
#include "clickhouse/server.h"
#include "support/matchers.h"
#include "support/server_process.h"
#include "support/stub_metrics.h"

namespace tailwater::clickhouse {

inline constexpr char kEngine[] = "engine_behind_http";
inline constexpr char kOldServer[] = "server_18_16";

class LiveClickHouse {
 public:
  explicit LiveClickHouse(const std::string& flavour)
      : process_("tests/servers/clickhouse.py", {"--flavour", flavour}) {
    config_.url.list = {url()};
    server_ = std::move(*Server::Open(config_, Logger("test")));
  }

  // "stop", "start", "restart", "kill", "pause", "resume".
  void Command(const std::string& command) { process_.Command(command); }
  std::string url() const { return process_.state().at("url"); }

  void Execute(const std::string& statement) { EXPECT_OK(server_->Execute(statement, true)); }
  // Rows as texts joined by |.
  std::vector<std::string> Rows(const std::string& query) {
    const auto answer = server_->Rows(query);
    EXPECT_OK(answer);
    std::vector<std::string> rows;
    if (!answer) return rows;
    for (const auto& row : *answer) {
      std::string line;
      for (const std::string& value : row) line += (&value == &row[0] ? "" : "|") + value;
      rows.push_back(line);
    }
    return rows;
  }

  // One of each flavour for all tests of this process; they use databases of their own.
  static LiveClickHouse& Shared(const std::string& flavour) {
    static std::map<std::string, std::unique_ptr<LiveClickHouse>> servers;
    auto& server = servers[flavour];
    if (server == nullptr) server = std::make_unique<LiveClickHouse>(flavour);
    return *server;
  }
  // "t17": a new name each time.
  static std::string NewName() {
    static int last = 0;
    return "t" + std::to_string(++last);
  }

 private:
  ServerProcess process_;
  ClickHouseConfig config_;
  std::unique_ptr<Server> server_;
};

// For every table, into a database.
inline ClickHouseConfig LiveConfig(LiveClickHouse& server, const std::string& database) {
  ClickHouseConfig config;
  config.url.list = {server.url()};
  config.database = database;
  config.batch.interval = std::chrono::milliseconds(0);
  config.timeouts.request = std::chrono::seconds(20);
  return config;
}

inline std::unique_ptr<ClickHouseSink> NewLiveSink(ClickHouseConfig config, StubMetrics& metrics,
                                                   ClickHouseTableOptions options = {},
                                                   SchemaChanges policy = SchemaChanges::kApply) {
  Problems problems;
  TableRules<ClickHouseTableOptions> rules;
  rules.selection = TableSelection::Parse(nullptr, problems);
  rules.options.assign(rules.selection.entries().size(), options);
  return std::make_unique<ClickHouseSink>(
      std::move(config), rules,
      SinkContext{"pipe", "warehouse", rules.selection, Logger("test"), metrics, {}, policy});
}

}  // namespace tailwater::clickhouse
