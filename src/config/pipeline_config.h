// What the files say, checked and typed: daemon settings and pipelines.
//
// Plain data; made by LoadConfig() alone, immutable afterwards. The types of sources and sinks
// point into the registry that was given to LoadConfig() and must not outlive it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/delivery_rules.h"
#include "sdk/log_setup.h"
#include "snapshot/snapshot_options.h"
#include "support/kafka/connection.h"
#include "tailwater/config.h"
#include "tailwater/registry.h"
#include "tailwater/tables.h"

namespace tailwater {

struct SourceConfig {
  std::string name;
  const SourceType* type = nullptr;
  ParsedConfig config;
  TableSelection tables;
  SnapshotOptions snapshot;
  GapPolicy on_gap = GapPolicy::kHalt;
  Location location;
  std::string hash = {};  // as PipelineConfig::hash, over this source alone
};

struct SinkConfig {
  std::string name;
  const SinkType* type = nullptr;
  ParsedConfig config;
  DeliveryRules rules;  // as written, else by the type's traits
  Location location;
  std::string hash = {};  // as PipelineConfig::hash, over this sink alone
};

enum class KafkaCompression : uint8_t { kNone, kLz4, kZstd, kGzip, kSnappy };

// What `topic:` says of a topic of type kafka, beside what both types know.
struct KafkaTopicConfig {
  kafka::Connection connection;
  std::string name;  // of the topic; empty: tailwater.<pipeline>. State: <name>.state
  int32_t partitions = 12;
  int32_t replication = 3;
  KafkaCompression compression = KafkaCompression::kLz4;
  bool create = true;  // false: topics are made by someone else; ours are only checked
  std::string scratch;
};

// What happens to a change that is larger than the topic takes.
enum class OversizePolicy : uint8_t {
  kHalt,         // its source halts in front of it
  kOmitColumns,  // its largest columns outside of the key are marked omitted
};

// The `topic:` section. Its option tables are LocalTopicOptionTable() and KafkaTopicOptionTable().
struct TopicConfig {
  std::string type = "local";
  std::string path;  // local: of the topic's folder; relative to the working directory
  KafkaTopicConfig kafka;
  OversizePolicy oversize = OversizePolicy::kHalt;
  std::chrono::seconds retention{7 * 24 * 3600};
  ByteSize max_size{0};  // of the stored records; 0 = no limit
  // Group commit: what came within this time, or of this size, shares one write to the disk.
  std::chrono::milliseconds flush_interval{5};
  ByteSize flush_size{1 << 20};
  // Changes that wait in memory in front of the topic; the source waits beyond that.
  ByteSize queue_size{16 << 20};
  ByteSize max_record_size{64 << 20};  // key and value of one change
  ByteSize transaction_size{4 << 20};  // a larger transaction is published in parts
  // Where a source may spool; emptied at each start.
  std::string ScratchDir() const { return type == "kafka" ? kafka.scratch : path + "/scratch"; }
  Location location;
  std::string hash = {};  // as PipelineConfig::hash, over this section alone
};

struct PipelineConfig {
  std::string name;
  std::vector<SourceConfig> sources;  // in the order of the files, and within them as written
  TopicConfig topic;
  std::vector<SinkConfig> sinks;
  // 16 hexadecimal digits over everything written in this pipeline's files, comments and order of
  // keys aside. Variables are hashed by name, not by value.
  std::string hash;
  Location location;

  const SourceConfig* FindSource(std::string_view source) const;
  const SinkConfig* FindSink(std::string_view sink) const;
};

// `tailwater.yaml`. Its option table is DaemonOptions(); flags of `tailwater run` override it.
struct DaemonConfig {
  std::string listen = "127.0.0.1:4680";
  Secret token;          // needed for any other than a loopback address
  std::string instance;  // empty: host name and port of `listen`
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  std::chrono::seconds shutdown_timeout{30};
  std::string hash = {};  // as PipelineConfig::hash, over the file; empty: there is none
};

struct Config {
  DaemonConfig daemon;
  std::vector<PipelineConfig> pipelines;  // sorted by name

  const PipelineConfig* FindPipeline(std::string_view pipeline) const;
};

}  // namespace tailwater
