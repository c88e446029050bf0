// The tables of a pipeline's sources as their servers describe them now: asked once for all sinks
// that start together.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/rules_check.h"
#include "tailwater/log.h"
#include "tailwater/result.h"
#include "util/clock.h"
#include "util/mutex.h"

namespace tailwater {

// Thread-safe. Who comes while another one asks waits for that answer.
class TableDescriber {
 public:
  using Ask = std::function<Result<std::vector<TableDescription>>()>;

  TableDescriber(std::map<std::string, Ask> sources, Logger logger, const Clock& clock)
      : sources_(std::move(sources)), logger_(std::move(logger)), clock_(clock) {}

  // At most kFreshFor old. A source whose server does not answer is left out, and logged.
  DescribedTables Describe() TW_EXCLUDES(mutex_);

  static constexpr std::chrono::seconds kFreshFor{5};

 private:
  const std::map<std::string, Ask> sources_;
  const Logger logger_;
  const Clock& clock_;
  Mutex mutex_;
  DescribedTables tables_ TW_GUARDED_BY(mutex_);
  std::optional<Clock::TimePoint> asked_ TW_GUARDED_BY(mutex_);
};

}  // namespace tailwater
