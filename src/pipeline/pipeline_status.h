// All that is known of one pipeline at one moment: plain data, for the status document, readiness
// and `--until-caught-up`. What is unknown is absent.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "monitor/log_watcher.h"
#include "pipeline/capture_status.h"
#include "pipeline/sink_status.h"
#include "topic/topic.h"

namespace tailwater {

enum class PipelineHalf : uint8_t { kBoth, kCapture, kDeliver };
// "both", "capture", "deliver".
std::string_view PipelineHalfName(PipelineHalf half);

struct TopicStatus {
  std::string location;  // "local /var/lib/tailwater/shop"
  std::string log_id;    // empty: capture has not made the log yet
  std::map<int32_t, PartitionRange> ranges;
  std::optional<uint64_t> stored_bytes;
};

struct PipelineStatus {
  std::string name;
  PipelineHalf half = PipelineHalf::kBoth;
  TopicStatus topic;
  std::optional<CaptureStatus> capture;        // absent: this process only delivers
  std::map<std::string, LogWatchStatus> logs;  // by source

  struct Sink {
    std::string type;
    SinkStatus status;
  };
  std::vector<Sink> sinks;  // in configuration order; empty: this process only captures
  // Sinks with a place in the topic that no file declares; filled for the status document alone.
  std::vector<std::string> orphan_sinks;
};

}  // namespace tailwater
