// What other threads ask of a sink's thread, and its answers.
//
// Post() hands a request over and waits; the sink's thread takes it within its next step. A request
// that nobody took in time is withdrawn: nothing of it was done. One that was taken is waited for.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "tailwater/result.h"
#include "topic/topic.h"
#include "util/mutex.h"

namespace tailwater {

class SinkMailbox {
 public:
  enum class Kind : uint8_t { kRequeue, kDrop };

  // `wake` ends the wait of the sink's thread.
  explicit SinkMailbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  // Any thread.
  Result<uint64_t> Post(Kind kind, const DeadLetterFilter& filter,
                        std::chrono::milliseconds timeout) TW_EXCLUDES(mutex_);

  // The sink's thread: answers what has come. `execute` runs without the lock.
  using Execute = std::function<Result<uint64_t>(Kind, const DeadLetterFilter&)>;
  void Serve(const Execute& execute) TW_EXCLUDES(mutex_);
  // No thread serves it any more: what has come and what will come is answered with this.
  void Close(Error error) TW_EXCLUDES(mutex_);

 private:
  struct Request {
    Kind kind;
    DeadLetterFilter filter;
    bool taken = false;
    std::optional<Result<uint64_t>> answer;
  };

  const std::function<void()> wake_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<std::shared_ptr<Request>> requests_ TW_GUARDED_BY(mutex_);
  std::optional<Error> closed_ TW_GUARDED_BY(mutex_);
};

}  // namespace tailwater
