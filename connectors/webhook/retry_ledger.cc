#include "webhook/retry_ledger.h"

#include <algorithm>
#include <cmath>

namespace tailwater::webhook {

const RetryLedger::Entry& RetryLedger::Fail(std::string_view id, uint64_t taken) {
  if (entries_.size() >= kMostEntries) entries_.clear();
  const auto [entry, added] = entries_.try_emplace(std::string(id), Entry{0, taken});
  ++entry->second.failures;
  return entry->second;
}

void RetryLedger::Forget(std::string_view id) {
  if (!entries_.empty()) entries_.erase(std::string(id));
}

std::chrono::milliseconds RetryLedger::Wait(uint32_t failures) {
  const double doubled = std::ldexp(static_cast<double>(waits_.initial.count()),
                                    static_cast<int>(std::min(failures, 60u)) - 1);
  const double wait = std::min(doubled, static_cast<double>(waits_.max.count()));
  const auto jittered = static_cast<int64_t>(wait * (1 - random_() / 3));
  return std::chrono::milliseconds(std::max<int64_t>(jittered, 1));
}

}  // namespace tailwater::webhook
