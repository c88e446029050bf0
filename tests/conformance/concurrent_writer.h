// Gives a batch to a concurrent sink as the runner would, and waits for all verdicts: in order per
// key, one in flight at a time, no control record but one copy of a TRUNCATE.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/text.h"
#include "tailwater/sink.h"
#include "util/mutex.h"

namespace tailwater {

// Bound to the sink for good: OnProgress() is called once. Destroyed after it.
class ConcurrentWriter {
 public:
  explicit ConcurrentWriter(ConcurrentSink& sink) : sink_(sink) {
    sink_.OnProgress([this] {
      MutexLock lock(mutex_);
      progress_ = true;
      changed_.NotifyAll();
    });
  }

  // One verdict per delivery; what the runner deals with itself counts as applied. After a kRetry
  // all that follow of the key are put off with it.
  Result<std::vector<Verdict>> Write(const DeliveryBatch& batch) {
    std::vector<Verdict> verdicts(batch.deliveries.size());
    std::map<std::string_view, std::vector<size_t>> queues;  // newest first
    for (size_t i = batch.deliveries.size(); i-- > 0;) {
      const Delivery& delivery = batch.deliveries[i];
      const Operation operation = delivery.change->operation;
      if (IsControl(operation) && (operation != Operation::kTruncate || delivery.partition != 0)) {
        verdicts[i] = Verdict::Applied();
      } else {
        queues[delivery.key].push_back(i);
      }
    }
    std::map<uint64_t, std::string_view> flying;
    std::vector<std::string_view> ready;
    for (const auto& [key, queue] : queues) ready.push_back(key);
    while (!ready.empty() || !flying.empty()) {
      while (!ready.empty() && sink_.Room() > 0) {
        const std::string_view key = ready.back();
        ready.pop_back();
        flying[++ticket_] = key;
        sink_.Submit(ticket_, batch.deliveries[queues[key].back()]);
      }
      std::vector<ConcurrentSink::Finished> finished;
      if (Status taken = sink_.TakeFinished(finished); !taken) return std::move(taken).error();
      for (ConcurrentSink::Finished& done : finished) {
        const auto flight = flying.find(done.ticket);
        if (flight == flying.end()) continue;
        std::vector<size_t>& queue = queues[flight->second];
        const bool again = done.verdict.kind == Verdict::Kind::kRetry;
        do {
          verdicts[queue.back()] = done.verdict;
          queue.pop_back();
        } while (again && !queue.empty());
        if (!queue.empty()) ready.push_back(flight->second);
        flying.erase(flight);
      }
      if (finished.empty() && !Wait()) {
        return Error{Disposition::kFatal, "no_progress",
                     fmt::format("{} changes are in flight, {} wait for room, and the sink has not "
                                 "woken anybody for a minute",
                                 flying.size(), ready.size())};
      }
    }
    return verdicts;
  }

 private:
  bool Wait() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    MutexLock lock(mutex_);
    while (!progress_ && std::chrono::steady_clock::now() < deadline) {
      changed_.WaitUntil(mutex_, deadline);
    }
    return std::exchange(progress_, false);
  }

  ConcurrentSink& sink_;
  uint64_t ticket_ = 0;
  Mutex mutex_;
  CondVar changed_;
  bool progress_ TW_GUARDED_BY(mutex_) = false;
};

}  // namespace tailwater
