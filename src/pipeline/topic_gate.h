// The one way of all sources of a pipeline to their topic's writer; it knows when everything in
// flight has been answered, so that recovery after a failure starts from a state that nothing can
// change behind its back. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include "topic/topic.h"
#include "util/mutex.h"

namespace tailwater {

class TopicGate {
 public:
  // Told of each failure once, however many batches it takes with it, and of each attempt to
  // recover that failed; on the topic's thread or on that of whoever recovers, so it must not wait.
  using OnFailure = std::function<void(const Error&)>;

  explicit TopicGate(std::unique_ptr<TopicWriter> writer, OnFailure on_failure = {})
      : on_failure_(std::move(on_failure)), writer_(std::move(writer)) {}

  // Counts the topic's failures. A run that began in one generation must not go on in the next:
  // another source may have made the topic recover before the run heard that a batch of its own
  // was lost.
  uint64_t generation() const TW_EXCLUDES(mutex_);
  // Hands the batch to the topic; `done` comes exactly once if it is accepted. Refused with the
  // topic's error after a failure: until Recover(), and for ever in a generation that is over.
  // Never blocks.
  Status Submit(uint64_t generation, AppendBatch batch, AppendDone done) TW_EXCLUDES(mutex_);
  bool WaitForRoom(std::chrono::milliseconds timeout) { return writer_->WaitForRoom(timeout); }
  void Flush() { writer_->Flush(); }

  // Before a source starts from the stored state. After a failure: waits until nothing is in
  // flight, then asks the topic whether it takes writes again; one caller does it for all. OK at
  // once while the topic is well. The topic's own error while it is not; kCancelled when stopped.
  Status Recover(const std::stop_token& stop) TW_EXCLUDES(mutex_);

  TopicWriter& writer() { return *writer_; }

 private:
  void Tell(const Error& error) const {
    if (on_failure_) on_failure_(error);
  }

  const OnFailure on_failure_;
  mutable Mutex mutex_;
  CondVar changed_;
  size_t in_flight_ TW_GUARDED_BY(mutex_) = 0;
  uint64_t generation_ TW_GUARDED_BY(mutex_) = 0;
  std::optional<Error> failed_ TW_GUARDED_BY(mutex_);      // until Recover()
  std::optional<Error> last_error_ TW_GUARDED_BY(mutex_);  // that ended the last generation
  bool recovering_ TW_GUARDED_BY(mutex_) = false;
  std::unique_ptr<TopicWriter> writer_;  // last: what it flushes on its way out still calls back
};

}  // namespace tailwater
