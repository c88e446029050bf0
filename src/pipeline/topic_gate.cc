#include "pipeline/topic_gate.h"

#include <utility>

namespace tailwater {

using std::chrono::seconds;

uint64_t TopicGate::generation() const {
  MutexLock lock(mutex_);
  return generation_;
}

Status TopicGate::Submit(uint64_t generation, AppendBatch batch, AppendDone done) {
  {
    MutexLock lock(mutex_);
    if (failed_) return *failed_;
    if (generation != generation_) return *last_error_;
    // Counted before it is handed over: Recover() waits for it, wherever it is.
    ++in_flight_;
  }
  writer_->Append(std::move(batch),
                  [this, done = std::move(done)](Result<AppendReceipt> answer) mutable {
                    if (!answer) {
                      bool first = false;
                      {
                        MutexLock lock(mutex_);
                        first = !failed_.has_value();
                        if (first) {
                          failed_ = last_error_ = answer.error();
                          ++generation_;
                        }
                      }
                      if (first) Tell(answer.error());
                    }
                    done(std::move(answer));
                    MutexLock lock(mutex_);
                    --in_flight_;
                    changed_.NotifyAll();
                  });
  return {};
}

Status TopicGate::Recover(const std::stop_token& stop) {
  {
    MutexLock lock(mutex_);
    while (failed_ && (recovering_ || in_flight_ > 0)) {
      if (stop.stop_requested()) {
        return Error{Disposition::kCancelled, "stopped", "stopped while the topic recovers"};
      }
      changed_.Wait(mutex_, stop, seconds(1));
    }
    if (!failed_) return {};
    recovering_ = true;
  }
  Status recovered = writer_->Recover();
  if (!recovered) Tell(recovered.error());
  MutexLock lock(mutex_);
  recovering_ = false;
  if (recovered) {
    failed_.reset();
  } else {
    failed_ = recovered.error();
  }
  changed_.NotifyAll();
  return recovered;
}

}  // namespace tailwater
