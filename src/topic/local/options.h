// What can be set about a local topic.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "util/clock.h"

namespace tailwater {

struct LocalTopicOptions {
  std::string path;                               // the topic's folder; made if it is not there
  std::chrono::seconds retention{7 * 24 * 3600};  // since publication; 0 = by size alone
  uint64_t max_bytes = 0;  // of changes.db; the oldest go first; 0 = by time alone
  // Group commit: what came within this time, or these bytes, shares one flush of the disk.
  std::chrono::milliseconds flush_interval{5};
  size_t flush_bytes = 1 << 20;
  size_t capacity_bytes = 16 << 20;    // of the queue in front of the appending thread
  size_t max_record_bytes = 64 << 20;  // key and value; at most 512 MiB
  // How often retention and an idle write-ahead log are looked after.
  std::chrono::milliseconds maintenance_interval{5000};
  const Clock* clock = nullptr;  // null: the system's; outlives the topic and its handles
};

}  // namespace tailwater
