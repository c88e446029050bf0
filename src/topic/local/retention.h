// Drops what is older than the retention or beyond the size, a few rows at a time, and gives the
// room back to the disk. Runs on the appending thread, between commits.
//
// A sink that lags further than that gets a named gap; it never holds the log.
#pragma once

#include <cstdint>

#include "support/sqlite.h"
#include "tailwater/result.h"
#include "topic/local/options.h"

namespace tailwater::local {

class Retention {
 public:
  explicit Retention(const LocalTopicOptions& options);

  // One small step. True: there is more to do now.
  Result<bool> Step(sqlite::Database& log, int64_t now_micros);

 private:
  Result<bool> DropOldest(sqlite::Database& log, int64_t now_micros, uint64_t used_bytes);
  const int64_t retention_micros_;
  const uint64_t max_bytes_;
};

}  // namespace tailwater::local
