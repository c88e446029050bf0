// What a topic of type kafka is made of: the names of everything that it owns in the cluster, and
// how it is set up.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "support/kafka/client.h"

namespace tailwater {

struct KafkaSettings {
  kafka::ClientOptions client;
  std::string pipeline;
  std::string topic;  // records
  // Of this process, for static membership; empty: dynamic (tools of the command line).
  std::string instance;

  int32_t partitions = 12;
  int32_t replication = 3;
  std::string compression = "lz4";                // librdkafka's names
  bool create = true;                             // false: somebody else makes the topics
  std::chrono::seconds retention{7 * 24 * 3600};  // since publication; 0 = by size alone
  uint64_t max_bytes = 0;                         // of all partitions; 0 = by time alone

  size_t max_record_bytes = 64 << 20;              // key and value
  size_t queue_bytes = 16 << 20;                   // in front of the appending thread
  std::chrono::milliseconds lease_timeout{6'000};  // a holder that is gone is replaced after it
  // A transaction that nobody ends is aborted by the brokers; committed readers wait so long.
  std::chrono::milliseconds transaction_timeout{10'000};
  std::chrono::milliseconds request_timeout{30'000};  // of what is asked of the cluster

  std::string StateTopic() const { return topic + ".state"; }
  std::string DeadLetterTopic(const std::string& sink) const { return topic + "." + sink + ".dlq"; }
  std::string CaptureGroup() const { return topic + ".capture"; }
  std::string SinkGroup(const std::string& sink) const { return topic + "." + sink; }
  std::string CaptureTransactionalId() const { return topic + ".capture"; }
  std::string SinkTransactionalId(const std::string& sink) const {
    return topic + "." + sink + "." + instance;
  }
  // The largest batch that brokers must take for a record of max_record_bytes: it bears headers.
  size_t MaxMessageBytes() const { return max_record_bytes + (128 << 10); }
};

}  // namespace tailwater
