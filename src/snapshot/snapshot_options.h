// `snapshot:` and `on_gap:` of a source: what is copied by itself, and how hard it may pull.
#pragma once

#include <chrono>
#include <cstdint>

#include "tailwater/config.h"

namespace tailwater {

enum class SnapshotMode : uint8_t {
  kInitial,  // every captured table once: at the first start, and when it is added
  kNever,    // only what is asked for
};

enum class GapPolicy : uint8_t {
  kHalt,        // wait for a person
  kResnapshot,  // a new start in a new epoch, and all tables again, deletes included
};

struct SnapshotOptions {
  SnapshotMode mode = SnapshotMode::kInitial;
  uint32_t workers = 2;  // chunks that are read at the same time, each on its own session
  uint32_t chunk_rows = 10'000;
  ByteSize chunk_size{4 << 20};  // a chunk of wide rows ends here; each worker holds one in memory
  // Copying waits while one of these is exceeded. 0: it does not look.
  ByteSize max_retained_log{0};               // log that the server keeps for us
  std::chrono::milliseconds max_lag{60'000};  // age of the oldest change that is not in the topic
  int64_t max_sink_lag = 0;                   // records that the slowest sink is behind
  std::chrono::milliseconds follow_interval{30'000};  // between looks for new tables
};

}  // namespace tailwater
