#include "pipeline/sink_mailbox.h"

#include <algorithm>

namespace tailwater {

Status SinkMailbox::Post(std::function<void()> job, std::chrono::milliseconds timeout) {
  const auto request = std::make_shared<Request>(Request{std::move(job), false, {}});
  {
    MutexLock lock(mutex_);
    if (closed_) return *closed_;
    requests_.push_back(request);
  }
  wake_();
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  MutexLock lock(mutex_);
  while (!request->end) {
    if (request->taken) {
      changed_.Wait(mutex_);
    } else if (std::chrono::steady_clock::now() < deadline) {
      changed_.WaitUntil(mutex_, deadline);
    } else {
      std::erase(requests_, request);
      return Error{Disposition::kRetry, "sink_busy",
                   "the sink is in a call to its target, or waits for its lease, and did not get "
                   "to it in time; nothing was done, try again"};
    }
  }
  return *std::move(request->end);
}

size_t SinkMailbox::waiting() const {
  MutexLock lock(mutex_);
  return requests_.size();
}

void SinkMailbox::Serve() {
  for (;;) {
    std::shared_ptr<Request> request;
    {
      MutexLock lock(mutex_);
      if (requests_.empty()) return;
      request = std::move(requests_.front());
      requests_.pop_front();
      request->taken = true;
    }
    const auto end = [&](Status status) {
      MutexLock lock(mutex_);
      request->end = std::move(status);
      changed_.NotifyAll();
    };
    try {
      request->job();
      end({});
    } catch (...) {
      end(Error{Disposition::kFatal, "sink_exception", "the sink's thread threw meanwhile"});
      throw;
    }
  }
}

void SinkMailbox::Close(Error error) {
  MutexLock lock(mutex_);
  closed_ = std::move(error);
  for (const auto& request : requests_) request->end = Status(*closed_);
  requests_.clear();
  changed_.NotifyAll();
}

}  // namespace tailwater
