// The nodes of a search cluster: requests with credentials, in turns, and elsewhere if one is down.
//
// Threads: the sink's own calls; requests run on the HTTP client's thread.
#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "opensearch/opensearch_options.h"
#include "opensearch/table_plan.h"
#include "opensearch/verdict_table.h"
#include "support/http_client.h"
#include "tailwater/log.h"

namespace tailwater::opensearch {

struct Request {
  std::string method;
  std::string path;  // with its query
  std::string body;
  bool lines = false;  // the body is one JSON per line
};

class Cluster {
 public:
  // kNeedsOperator "http_certificate_unreadable"; kRetry "http_no_resources".
  static Result<std::unique_ptr<Cluster>> Open(const OpenSearchConfig& config, Logger logger);

  // Reads the secrets anew; requests carry them from then on. kNeedsOperator "secret_unreadable".
  Status ReadCredentials();
  // Asks what the server is. kNeedsOperator "opensearch_wrong_server", "opensearch_too_old", or as
  // JudgeAnswer().
  Result<ServerFacts> Probe();

  // A request on its way.
  struct Pending {
    Request request;
    size_t node = 0;
    size_t tries = 0;
    std::future<HttpAnswer> answer;
  };
  Pending Send(Request request);
  // Waits for the answer. A node that cannot be reached is passed over for a while, and the request
  // goes to another one: whatever it did, it may be repeated.
  HttpAnswer Wait(Pending& pending);
  HttpAnswer Call(Request request);
  // "search-1.example.com:9200", of the node that answered last.
  std::string_view label() const { return labels_[last_node_]; }

 private:
  using Clock = std::chrono::steady_clock;
  Cluster(const OpenSearchConfig& config, Logger logger)
      : config_(config), logger_(std::move(logger)) {}
  void PassOver(size_t node, const HttpAnswer& answer);
  size_t NextNode();
  void SendTo(Pending& pending);

  const OpenSearchConfig& config_;
  const Logger logger_;
  std::vector<std::string> labels_;
  std::vector<Clock::time_point> down_until_;  // of each node; zero: it answered last time
  size_t next_node_ = 0;
  size_t last_node_ = 0;
  std::string authorization_;
  std::unique_ptr<HttpClient> client_;
};

}  // namespace tailwater::opensearch
