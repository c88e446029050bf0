// A real search server for this process (tests/servers/opensearch.py), and what tests ask it.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "opensearch/cluster.h"
#include "opensearch/opensearch_sink.h"
#include "support/matchers.h"
#include "support/server_process.h"
#include "support/stub_metrics.h"

namespace tailwater::opensearch {

class LiveSearch {
 public:
  LiveSearch() : process_("tests/servers/opensearch.py", {}) {
    config_.url.list = {url()};
    client_ = std::move(*Cluster::Open(config_, Logger("test")));
  }

  // "stop", "start", "restart", "kill", "pause", "resume".
  void Command(const std::string& command) { process_.Command(command); }
  std::string url() const { return process_.state().at("url"); }

  // The answer's JSON; anything but success fails the test.
  nlohmann::json Call(const std::string& method, const std::string& path,
                      const nlohmann::json& body = nullptr) {
    const HttpAnswer answer = client_->Call({method, path, body.is_null() ? "" : body.dump()});
    EXPECT_TRUE(answer.status >= 200 && answer.status < 300)
        << method << ' ' << path << ": " << answer.status << ' ' << answer.body << answer.failure;
    return nlohmann::json::parse(answer.body, nullptr, false);
  }
  int StatusOf(const std::string& method, const std::string& path,
               const nlohmann::json& body = nullptr) {
    return client_->Call({method, path, body.is_null() ? "" : body.dump()}).status;
  }
  // What a search finds, by id of the document.
  std::map<std::string, nlohmann::json> Documents(const std::string& index) {
    std::map<std::string, nlohmann::json> found;
    if (StatusOf("POST", "/" + index + "/_refresh") != 200) return found;
    const auto answer = Call("POST", "/" + index + "/_search", {{"size", 10'000}});
    for (const auto& hit : answer["hits"]["hits"]) found[hit["_id"]] = hit["_source"];
    return found;
  }

  // One for all tests of this process; they use indices of their own.
  static LiveSearch& Shared() {
    static LiveSearch server;
    return server;
  }
  // "t17": a new name each time.
  static std::string NewName() {
    static int last = 0;
    return "t" + std::to_string(++last);
  }

 private:
  ServerProcess process_;
  OpenSearchConfig config_;
  std::unique_ptr<Cluster> client_;
};

// A sink for every table, with an index per table whose names begin alike.
inline OpenSearchConfig LiveConfig(const std::string& prefix) {
  OpenSearchConfig config;
  config.url.list = {LiveSearch::Shared().url()};
  std::string problem;
  config.index = IndexName::Parse(prefix + "_{table}", problem);
  config.settings.inline_json =
      R"({"number_of_shards":1,"number_of_replicas":0,"index.translog.durability":"async"})";
  config.timeouts.request = std::chrono::seconds(20);
  return config;
}

inline std::unique_ptr<OpenSearchSink> NewLiveSink(OpenSearchConfig config, StubMetrics& metrics,
                                                   OpenSearchTableOptions options = {},
                                                   SchemaChanges policy = SchemaChanges::kApply) {
  Problems problems;
  TableRules<OpenSearchTableOptions> rules;
  rules.selection = TableSelection::Parse(nullptr, problems);
  rules.options.assign(rules.selection.entries().size(), options);
  return std::make_unique<OpenSearchSink>(
      std::move(config), rules,
      SinkContext{"pipe", "search", rules.selection, Logger("test"), metrics, {}, policy});
}

}  // namespace tailwater::opensearch
