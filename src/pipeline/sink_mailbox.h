// What other threads ask of a sink's thread, and its answers.
//
// Ask() hands a job over and waits; the sink's thread runs it within its next step. A job that
// nobody took in time is withdrawn: nothing of it was done. One that was taken is waited for.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "tailwater/result.h"
#include "util/mutex.h"

namespace tailwater {

class SinkMailbox {
 public:
  // `wake` ends the wait of the sink's thread.
  explicit SinkMailbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  // Any thread. `job` runs on the sink's, without a lock.
  template <class T>
  Result<T> Ask(std::function<Result<T>()> job, std::chrono::milliseconds timeout) {
    std::optional<Result<T>> answer;
    Status taken = Post([&answer, &job] { answer.emplace(job()); }, timeout);
    if (!taken) return std::move(taken).error();
    return *std::move(answer);
  }

  // What has come and is not taken yet.
  size_t waiting() const TW_EXCLUDES(mutex_);

  // The sink's thread: runs what has come.
  void Serve() TW_EXCLUDES(mutex_);
  // No thread serves it any more: what has come and what will come is answered with this.
  void Close(Error error) TW_EXCLUDES(mutex_);

 private:
  struct Request {
    std::function<void()> job;  // refers to its poster's stack: not run once he is gone
    bool taken = false;
    std::optional<Status> end;  // OK: it ran
  };
  Status Post(std::function<void()> job, std::chrono::milliseconds timeout) TW_EXCLUDES(mutex_);

  const std::function<void()> wake_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<std::shared_ptr<Request>> requests_ TW_GUARDED_BY(mutex_);
  std::optional<Error> closed_ TW_GUARDED_BY(mutex_);
};

}  // namespace tailwater
