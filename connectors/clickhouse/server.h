// The servers that the sink talks to: statements with credentials over HTTP, kept to one replica as
// long as it answers, for only there what was written last is sure to be read.
//
// Threads: the sink's own calls; requests run on the HTTP clients' threads.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clickhouse/clickhouse_options.h"
#include "clickhouse/verdict_table.h"
#include "support/http_client.h"
#include "tailwater/log.h"

namespace tailwater::clickhouse {

// What the server can do.
struct ServerFacts {
  std::string version;
  uint32_t major = 0;
  uint32_t minor = 0;
  std::string timezone;
  std::vector<std::string> settings;  // that it knows, of those that the sink sets

  bool Since(uint32_t wanted_major, uint32_t wanted_minor) const {
    return std::pair(major, minor) >= std::pair(wanted_major, wanted_minor);
  }
  // Types as a server of our days has them, and headers with types in inserts.
  bool modern() const { return Since(22, 8); }
  bool deleted_flag() const { return Since(23, 2); }  // ReplacingMergeTree(version, deleted)
  bool native_json() const { return Since(25, 3); }
  bool Knows(std::string_view setting) const;
};

// Of the tables that are made, where the server is modern(): what it has answered survives a loss
// of power.
inline constexpr char kDurableTable[] = "fsync_after_insert = 1, fsync_part_directory = 1";

using Settings = std::vector<std::pair<std::string, std::string>>;

struct Statement {
  std::string query;
  std::string body;  // behind the query: rows; then the query travels in the URL
  Settings settings;
  bool patient = false;  // may take as long as a sweep
};

class Server {
 public:
  // kNeedsOperator "http_certificate_unreadable"; kRetry "http_no_resources".
  static Result<std::unique_ptr<Server>> Open(const ClickHouseConfig& config, Logger logger);

  // Reads the password anew; requests carry it from then on. kNeedsOperator "secret_unreadable".
  Status ReadCredentials();
  // Asks what the server is. kNeedsOperator "clickhouse_too_old", "clickhouse_wrong_server", or as
  // Judge().
  Result<ServerFacts> Probe();

  // A statement on its way.
  struct Pending {
    Statement statement;
    size_t node = 0;
    size_t tries = 0;
    std::future<HttpAnswer> answer;
  };
  Pending Send(Statement statement);
  // Waits for the answer. If the server cannot be reached, another one of the list is kept to from
  // now on, and the statement goes there: whatever became of it, it may be repeated.
  HttpAnswer Wait(Pending& pending);
  HttpAnswer Call(Statement statement);

  // Statements without row values, whose errors may be repeated.
  Status Execute(std::string query, bool patient = false, Settings settings = {});
  // The rows of a query, each value as text, without its own FORMAT; NULL as "\\N". Each has
  // that many columns, or somebody else answered; 0: whoever asks looks at it.
  Result<std::vector<std::vector<std::string>>> Rows(std::string query, size_t columns = 0);

  // "ch-1.example.com:8123", of the server that is kept to.
  std::string_view label() const { return labels_[node_]; }
  // Changes with the server that is kept to.
  uint64_t changes() const { return changes_; }

 private:
  Server(const ClickHouseConfig& config, Logger logger)
      : config_(config), logger_(std::move(logger)) {}
  void SendTo(Pending& pending);

  const ClickHouseConfig& config_;
  const Logger logger_;
  std::vector<std::string> labels_;
  size_t node_ = 0;
  uint64_t changes_ = 0;
  std::string password_;
  std::unique_ptr<HttpClient> client_;
  std::unique_ptr<HttpClient> patient_client_;
};

// Tab-separated text taken apart.
std::vector<std::vector<std::string>> ParseTabSeparated(std::string_view text);

}  // namespace tailwater::clickhouse
