// How capture batches, cuts and waits. The defaults suit the local topic.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "util/backoff.h"

namespace tailwater {

struct CaptureOptions {
  // A batch goes to the topic when the source has no more input, or at a commit once it is this
  // large or this old.
  size_t batch_bytes = 512 * 1024;
  std::chrono::milliseconds batch_delay{5};
  // A transaction larger than this, or open for longer, is published in parts.
  size_t part_bytes = 4 * 1024 * 1024;
  std::chrono::milliseconds part_delay{1000};
  // A change that is larger than the topic takes loses its largest columns; else it halts its
  // source.
  bool omit_oversize_columns = false;
  std::chrono::milliseconds frontier_interval{100};  // between frontier records while changes flow
  std::chrono::milliseconds idle_advance_interval{10'000};  // between checkpoints without a change
  BackoffOptions backoff;
  std::string log_prefix;  // of the loggers' names: "shop."
};

}  // namespace tailwater
