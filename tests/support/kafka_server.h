// A real Kafka for this process (tests/servers/kafka.py), and names of its own per test.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "support/kafka/client.h"
#include "support/server_process.h"

namespace tailwater {

class KafkaServer {
 public:
  explicit KafkaServer(const std::vector<std::string>& more = {})
      : process_("tests/servers/kafka.py", more) {}

  // "stop", "start", "crash", "freeze", "thaw"; with a node's number behind it where there are
  // several.
  void Command(const std::string& command) { process_.Command(command); }
  std::string brokers() const { return process_.state().at("brokers"); }

  kafka::Connection connection() const {
    kafka::Connection connection;
    std::string rest = brokers();
    for (size_t comma; (comma = rest.find(',')) != std::string::npos; rest.erase(0, comma + 1)) {
      connection.brokers.push_back(rest.substr(0, comma));
    }
    connection.brokers.push_back(rest);
    return connection;
  }
  kafka::ClientOptions client() const { return {connection(), "test", Logger("kafka")}; }

  // A name that no other test of this process uses.
  static std::string UniqueName(const std::string& prefix) {
    static std::atomic<int> next = 0;
    return prefix + "." + std::to_string(next++);
  }

  // One for all tests of this process; they leave it running as they found it.
  static KafkaServer& Shared() {
    static KafkaServer server;
    return server;
  }

 private:
  ServerProcess process_;
};

}  // namespace tailwater
