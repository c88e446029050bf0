// Which messages an endpoint failed to take, how often, and whether it took others meanwhile.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace tailwater::webhook {

// Bounded: with very many failing messages it forgets all of them, and their waits start over. One
// thread.
class RetryLedger {
 public:
  struct Waits {
    std::chrono::milliseconds initial;
    std::chrono::milliseconds max;
  };
  // `random` is uniform in [0, 1).
  RetryLedger(Waits waits, std::function<double()> random)
      : waits_(waits), random_(std::move(random)) {}

  struct Entry {
    uint32_t failures = 0;
    uint64_t taken_before = 0;  // messages that the endpoint had taken when this first failed
  };
  // Counts a failure; the entry lives until the next call.
  const Entry& Fail(std::string_view id, uint64_t taken);
  void Forget(std::string_view id);
  bool empty() const { return entries_.empty(); }

  // Doubles with each failure up to the longest; chance takes off up to a third.
  std::chrono::milliseconds Wait(uint32_t failures);

 private:
  static constexpr size_t kMostEntries = 10'000;
  const Waits waits_;
  const std::function<double()> random_;
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace tailwater::webhook
